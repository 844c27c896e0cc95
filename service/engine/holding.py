"""Holds a request for call-back: whether a bound is passed, the held request with its task, and its refusal."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit
from service.audit import Log
from service.engine import loads, settling, statuses, tasks, timers
from service.engine.dossier import Dossier
from service.engine.hub import Hub
from service.models import ActionRequest, Approval, Baseline, Task, table_of
from workflows import bounds, deadlines, states
from workflows.bounds import Bound, Excess, Load, Usual
from workflows.terms import (
    Actor,
    BoundKind,
    BoundSubject,
    Fact,
    RequestEvent,
    RequestState,
    Stage,
    SubjectKind,
    TaskKind,
)

_REQUESTS = table_of(ActionRequest)
_APPROVALS = table_of(Approval)
_BASELINES = table_of(Baseline)
_TASKS = table_of(Task)
_USUAL = sa.select(_BASELINES).where(
    _BASELINES.c.tenant == sa.bindparam("agency"),
    _BASELINES.c.kind == sa.bindparam("doing"),
    _BASELINES.c.subject.in_(sa.bindparam("names", expanding=True)),
)


def chain(tenant: str) -> str:
    """Name the chain whose lock an agency's requests queue at while they are judged: of two at once, one is second."""
    return audit.tenant_chain(tenant)


async def judge(
    conn: AsyncConnection, log: Log, found: Dossier, second: str | None, own: tuple[Bound, ...]
) -> tuple[Excess, ...]:
    """Return the bounds that a request passes if it becomes active now; the chain of its agency must be locked.

    ``second`` is the officer who approves it, None where one officer is enough; ``own`` are the policy's bounds.
    """
    asked = await loads.of_request(conn, found)
    kind = bounds.kind_of(found.request["action"])
    return await _judge(
        conn, log, _Doing(found.id, found.tenant, found.request["officer_id"], second, kind, asked), own
    )


async def judge_lift(
    conn: AsyncConnection, log: Log, found: Dossier, order_id: UUID | None, officer_id: str, own: tuple[Bound, ...]
) -> tuple[Excess, ...]:
    """Return the bounds of lifts that an officer passes who ends a hold by upholding an appeal; ask it before he does.

    ``order_id`` is the order that the appeal contests, None where it contests the whole request.
    """
    asked = await loads.of_lift(conn, found, order_id)
    return await _judge(conn, log, _Doing(found.id, found.tenant, officer_id, None, BoundKind.LIFTS, asked), own)


async def hold(conn: AsyncConnection, hub: Hub, log: Log, found: Dossier, passed: tuple[Excess, ...]) -> Dossier:
    """Hold a request that would become active, and return it: nothing is sent, a coordinator calls the agency back.

    Its end keeps running: a request whose end comes while it is held is refused.
    """
    names = [str(excess) for excess in passed]
    # What needs one officer has awaited nobody, and is held as what did.
    state = states.advance_request(RequestState.AWAITING_APPROVAL, RequestEvent.HOLD)
    values: dict[str, Any] = {
        "state": state,
        "held_at": log.at,
        "held_bounds": names,
        "activated_at": None,
        # The review of an emergency hold begins when it holds something.
        "review_by": None,
    }
    await conn.execute(sa.update(_REQUESTS).where(_REQUESTS.c.id == found.id).values(**values))
    if found.request["ends_at"] and not await settling.is_pending(conn, found.id, Stage.END):
        await timers.start(conn, [_end(log, found)])
    log.record(found.chain, Fact.REQUEST_HELD, hub.actor, found.tenant, request_id=found.id, bounds=names)
    task = tasks.NewTask(
        tenant=found.tenant,
        kind=TaskKind.CALLBACK,
        chain=found.chain,
        participant_id=found.tenant,
        request_id=found.id,
        within=found.within(Stage.TASK, deadlines.CALLBACK_WITHIN),
        data={"action": str(found.request["action"]), "bounds": names},
    )
    await tasks.open_tasks(conn, log, hub.actor, log.at, [task])
    held = replace(found, request={**found.request, **values})
    await statuses.tell(conn, hub, log.at, [statuses.News(held, Fact.REQUEST_HELD, str(state))])
    return held


async def warn_of_lifts(conn: AsyncConnection, hub: Hub, log: Log, found: Dossier, passed: tuple[Excess, ...]) -> None:
    """Record that an upheld appeal lifts more than the bounds of lifts allow, and ask a coordinator to call the agency.

    The lift goes out all the same: the person was found to be right. One call at a time is enough for an agency.
    """
    names = [str(excess) for excess in passed]
    log.record(found.chain, Fact.LIFTS_UNUSUAL, hub.actor, found.tenant, request_id=found.id, bounds=names)
    waiting = sa.select(_TASKS.c.id).where(
        _TASKS.c.tenant == found.tenant, _TASKS.c.kind == TaskKind.UNUSUAL_LIFTS, _TASKS.c.resolved_at.is_(None)
    )
    if (await conn.execute(waiting.limit(1))).first() is not None:
        return
    task = tasks.NewTask(
        tenant=found.tenant,
        kind=TaskKind.UNUSUAL_LIFTS,
        chain=found.chain,
        participant_id=found.tenant,
        request_id=found.id,
        within=found.within(Stage.TASK, deadlines.CALLBACK_WITHIN),
        data={"bounds": names},
    )
    await tasks.open_tasks(conn, log, hub.actor, log.at, [task])


async def refuse(conn: AsyncConnection, hub: Hub, log: Log, actor: Actor, found: Dossier, reason: str) -> None:
    """Refuse a held request for good: the agency denied it (``callback_denied``), or its end came (``end_reached``)."""
    state = states.advance_request(found.request["state"], RequestEvent.REFUSE)
    await conn.execute(sa.update(_REQUESTS).where(_REQUESTS.c.id == found.id).values(state=state, closed_at=log.at))
    await settling.cancel(conn, log.at, [found.id])
    await tasks.resolve(conn, log, actor, found.id, TaskKind.CALLBACK, found.chain)
    log.record(found.chain, Fact.REQUEST_REFUSED, actor, found.tenant, request_id=found.id, reason=reason)
    await statuses.tell(conn, hub, log.at, [statuses.News(found, Fact.REQUEST_REFUSED, str(state))])


async def second_officer(conn: AsyncConnection, request_id: UUID) -> str | None:
    """Return the officer who approved a request, or None where nobody did."""
    query = sa.select(_APPROVALS.c.officer_id).where(
        _APPROVALS.c.request_id == request_id, _APPROVALS.c.kind == "approval"
    )
    return (await conn.execute(query)).scalar_one_or_none()


@dataclass(frozen=True, slots=True)
class _Doing:
    """What is about to be set in motion: by which request, for which agency, by which officers, and how much."""

    id: UUID
    tenant: str
    officer_id: str
    second_id: str | None
    kind: BoundKind
    load: Load


async def _judge(conn: AsyncConnection, log: Log, doing: _Doing, own: tuple[Bound, ...]) -> tuple[Excess, ...]:
    subjects = {BoundSubject.OFFICER: doing.officer_id, BoundSubject.AGENCY: doing.tenant}
    if doing.second_id is not None:
        subjects[BoundSubject.PAIR] = bounds.pair(doing.officer_id, doing.second_id)
    usual = await _usual(conn, doing.tenant, doing.kind, subjects)
    limits = {subject: bounds.limit(own, subject, doing.kind, usual.get(subject), log.at) for subject in subjects}
    if all(limit.is_endless for limit in limits.values()):
        return ()
    return bounds.excess(limits, await _seen(conn, log, doing), doing.load)


async def _seen(conn: AsyncConnection, log: Log, doing: _Doing) -> dict[BoundSubject, Load]:
    done = loads.since(log.at - bounds.WINDOW)
    its = done.c.officer_id == doing.officer_id
    who: dict[BoundSubject, sa.ColumnElement[bool]] = {BoundSubject.OFFICER: its, BoundSubject.AGENCY: sa.true()}
    if doing.second_id is not None:
        other = sa.and_(done.c.officer_id == doing.second_id, done.c.second_id == doing.officer_id)
        who[BoundSubject.PAIR] = sa.or_(sa.and_(its, done.c.second_id == doing.second_id), other)
    sums = [
        sa.func.sum(sa.case((condition, measure), else_=0))
        for condition in who.values()
        for measure in (done.c.count, done.c.amount)
    ]
    query = sa.select(*sums).where(
        done.c.tenant == doing.tenant,
        done.c.action.in_(bounds.actions_of(doing.kind)),
        # What two people heard to be meant is not counted against the others.
        sa.not_(done.c.was_held),
        done.c.id != doing.id,
    )
    row = [int(value or 0) for value in (await conn.execute(query)).one()]
    return {subject: Load(*row[2 * at : 2 * at + 2]) for at, subject in enumerate(who)}


async def _usual(
    conn: AsyncConnection, tenant: str, kind: BoundKind, subjects: Mapping[BoundSubject, str]
) -> dict[BoundSubject, Usual]:
    asked = {"agency": tenant, "doing": kind, "names": sorted(set(subjects.values()))}
    return {
        row.subject_kind: Usual(Load(row.p99_count, row.p99_amount), row.since)
        for row in (await conn.execute(_USUAL, asked)).all()
        # An officer may be named as his agency is.
        if subjects.get(row.subject_kind) == row.subject
    }


def _end(log: Log, found: Dossier) -> timers.Timer:
    values: dict[str, Any] = {"tenant": found.tenant, "chain": found.chain, "request_id": found.id}
    return timers.Timer(
        **values,
        subject_kind=SubjectKind.REQUEST,
        subject_id=found.id,
        stage=Stage.END,
        started_at=log.at,
        due_at=found.request["ends_at"],
    )
