"""How the hub asks a person to do something: a task with a deadline of its own, and a fact."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock, db
from service.audit import Log
from service.engine import settling, timers
from service.models import Task, table_of
from workflows import deadlines, policy
from workflows.terms import Actor, Fact, Stage, SubjectKind, TaskKind

_TASKS = table_of(Task)


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to open: for which tenant's request or order, about which participant, with which codes."""

    tenant: str
    kind: TaskKind
    chain: str
    participant_id: str | None = None
    request_id: UUID | None = None
    order_id: UUID | None = None
    within: timedelta = deadlines.TASK_WITHIN
    data: dict[str, Any] = field(default_factory=dict)


def within(rules: policy.Policy) -> timedelta:
    """Return the time that a task of a request has, by the policy that the request was filed under."""
    return deadlines.within(Stage.TASK, deadlines.TASK_WITHIN, overrides=rules.limit_overrides)


async def moot(conn: AsyncConnection, log: Log, actor: Actor, request_id: UUID, chain: str) -> list[str]:
    """Resolve what a request that is lifted still asks a person to bring to participants out of reach.

    Return the participants that such a task is or was about, so that somebody tells them of the lift.
    """
    about = sa.select(_TASKS).where(
        _TASKS.c.request_id == request_id,
        _TASKS.c.kind == TaskKind.UNREACHABLE_PARTICIPANT,
        _TASKS.c.order_id.is_(None),
    )
    rows = (await conn.execute(about)).all()
    await settle(conn, log, actor, chain, [row for row in rows if row.resolved_at is None])
    return sorted({row.participant_id for row in rows})


async def resolve(conn: AsyncConnection, log: Log, actor: Actor, request_id: UUID, kind: TaskKind, chain: str) -> None:
    """Resolve the open tasks of one kind about a request: what they asked for was done, or is not wanted any more."""
    pending = sa.select(_TASKS).where(
        _TASKS.c.request_id == request_id, _TASKS.c.kind == kind, _TASKS.c.resolved_at.is_(None)
    )
    await settle(conn, log, actor, chain, (await conn.execute(pending)).all())


async def dug_up(conn: AsyncConnection, log: Log, actor: Actor, dispatches: Mapping[UUID, str]) -> set[UUID]:
    """Resolve the tasks that these dispatches were given up with: they are sent once more. ``dispatches`` are by chain.

    Return the requests that such a task was about.
    """
    pending = sa.select(_TASKS).where(_TASKS.c.kind == TaskKind.DEAD_DISPATCH, _TASKS.c.resolved_at.is_(None))
    about: dict[str, list[sa.Row[Any]]] = {}
    for row in (await conn.execute(pending)).all() if dispatches else ():
        if (chain := dispatches.get(UUID(row.data["dispatch_id"]))) is not None:
            about.setdefault(chain, []).append(row)
    for chain, rows in about.items():
        await settle(conn, log, actor, chain, rows)
    return {row.request_id for rows in about.values() for row in rows if row.request_id is not None}


async def settle(conn: AsyncConnection, log: Log, actor: Actor, chain: str, rows: Sequence[sa.Row[Any]]) -> None:
    """Resolve these tasks, with their clocks, and tell it on ``chain``."""
    if not rows:
        return
    ids = [row.id for row in rows]
    await conn.execute(sa.update(_TASKS).where(_TASKS.c.id.in_(ids)).values(resolved_at=log.at, resolved_by=actor.id))
    await settling.cancel(conn, log.at, ids, [Stage.TASK])
    for row in rows:
        log.record(
            chain,
            Fact.TASK_RESOLVED,
            actor,
            row.tenant,
            request_id=row.request_id,
            task_id=str(row.id),
            kind=str(row.kind),
            participant_id=row.participant_id,
        )


async def open_tasks(conn: AsyncConnection, log: Log, actor: Actor, at: datetime, new: Iterable[NewTask]) -> list[UUID]:
    """Write the tasks, their deadlines and their facts; return their ids in the order given."""
    tasks = [(clock.new_id(), task) for task in new]
    rows = [
        {
            "id": task_id,
            "tenant": task.tenant,
            "participant_id": task.participant_id,
            "kind": task.kind,
            "request_id": task.request_id,
            "order_id": task.order_id,
            "data": task.data,
            "opened_at": at,
            "due_at": at + task.within,
        }
        for task_id, task in tasks
    ]
    await db.insert_rows(conn, _TASKS, rows)
    await timers.start(
        conn,
        [
            timers.Timer(
                tenant=task.tenant,
                subject_kind=SubjectKind.TASK,
                subject_id=task_id,
                chain=task.chain,
                stage=Stage.TASK,
                started_at=at,
                due_at=at + task.within,
                request_id=task.request_id,
                participant_id=task.participant_id,
            )
            for task_id, task in tasks
        ],
    )
    for task_id, task in tasks:
        log.record(
            task.chain,
            Fact.TASK_OPENED,
            actor,
            task.tenant,
            request_id=task.request_id,
            task_id=str(task_id),
            kind=str(task.kind),
            participant_id=task.participant_id,
            order_id=str(task.order_id) if task.order_id else None,
        )
    return [task_id for task_id, _ in tasks]
