"""Holds a request for call-back: whether a bound is passed, the held request with its task, and its refusal."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit
from service.audit import Log
from service.engine import settling, statuses, tasks, timers
from service.engine.dossier import Dossier
from service.engine.hub import Hub
from service.models import ActionRequest, Approval, Baseline, table_of
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
_ORIGINALS = _REQUESTS.alias("originals")

# A lift or an extension is about the money of what it lifts or extends.
WORTH = sa.case(
    (sa.or_(_REQUESTS.c.whole_account, sa.func.coalesce(_ORIGINALS.c.whole_account, sa.false())), bounds.WHOLE_ACCOUNT),
    else_=sa.func.coalesce(_REQUESTS.c.amount, _ORIGINALS.c.amount, 0),
)
WITH_ORIGINALS = _REQUESTS.outerjoin(_ORIGINALS, _ORIGINALS.c.id == _REQUESTS.c.original_id)


def chain(tenant: str) -> str:
    """Name the chain whose lock an agency's requests queue at while they are judged: of two at once, one is second."""
    return audit.tenant_chain(tenant)


async def judge(
    conn: AsyncConnection, log: Log, found: Dossier, second: str | None, own: tuple[Bound, ...]
) -> tuple[Excess, ...]:
    """Return the bounds that a request passes if it becomes active now; the chain of its agency must be locked.

    ``second`` is the officer who approves it, None where one officer is enough; ``own`` are the policy's bounds.
    """
    kind = bounds.kind_of(found.request["action"])
    subjects = {BoundSubject.OFFICER: found.request["officer_id"], BoundSubject.AGENCY: found.tenant}
    if second is not None:
        subjects[BoundSubject.PAIR] = bounds.pair(found.request["officer_id"], second)
    usual = await _usual(conn, found.tenant, kind, subjects)
    limits = {subject: bounds.limit(own, subject, kind, usual.get(subject), log.at) for subject in subjects}
    if all(limit.is_endless for limit in limits.values()):
        return ()
    amount = sa.select(WORTH).select_from(WITH_ORIGINALS).where(_REQUESTS.c.id == found.id)
    seen = await _seen(conn, log, found, second, kind)
    return bounds.excess(limits, seen, (await conn.execute(amount)).scalar_one())


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


async def _seen(
    conn: AsyncConnection, log: Log, found: Dossier, second: str | None, kind: BoundKind
) -> dict[BoundSubject, Load]:
    maker = _REQUESTS.c.officer_id
    its = maker == found.request["officer_id"]
    who: dict[BoundSubject, sa.ColumnElement[bool]] = {BoundSubject.OFFICER: its, BoundSubject.AGENCY: sa.true()}
    source = WITH_ORIGINALS
    if second is not None:
        approved = sa.and_(_APPROVALS.c.request_id == _REQUESTS.c.id, _APPROVALS.c.kind == "approval")
        source = source.outerjoin(_APPROVALS, approved)
        other = sa.and_(maker == second, _APPROVALS.c.officer_id == found.request["officer_id"])
        who[BoundSubject.PAIR] = sa.or_(sa.and_(its, _APPROVALS.c.officer_id == second), other)
    sums = [
        column
        for condition in who.values()
        for column in (sa.func.sum(sa.case((condition, 1), else_=0)), sa.func.sum(sa.case((condition, WORTH), else_=0)))
    ]
    query = (
        sa.select(*sums)
        .select_from(source)
        .where(
            _REQUESTS.c.tenant == found.tenant,
            _REQUESTS.c.activated_at > log.at - bounds.WINDOW,
            _REQUESTS.c.action.in_(bounds.actions_of(kind)),
            # What two people heard to be meant is not counted against the others.
            _REQUESTS.c.held_at.is_(None),
            _REQUESTS.c.id != found.id,
        )
    )
    row = [int(value or 0) for value in (await conn.execute(query)).one()]
    return {subject: Load(*row[2 * at : 2 * at + 2]) for at, subject in enumerate(who)}


async def _usual(
    conn: AsyncConnection, tenant: str, kind: BoundKind, subjects: Mapping[BoundSubject, str]
) -> dict[BoundSubject, Usual]:
    those = [
        sa.and_(_BASELINES.c.subject_kind == subject, _BASELINES.c.subject == name)
        for subject, name in subjects.items()
    ]
    query = sa.select(_BASELINES).where(_BASELINES.c.tenant == tenant, _BASELINES.c.kind == kind, sa.or_(*those))
    return {
        row.subject_kind: Usual(Load(row.p99_count, row.p99_amount), row.since)
        for row in (await conn.execute(query)).all()
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
