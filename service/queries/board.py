"""What the console's pages show beside the requests themselves: what presses, who is who, which rungs fired."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import ActionRequest, Deadline, Escalation, Officer, Order, Participant, Task, table_of
from service.queries import approvals, owed, visibility
from service.security.principals import Principal
from service.security.signatures import Kind
from workflows import states
from workflows.terms import Action, DeadlineState, RequestState, Stage, SubjectKind, TargetKind

_REQUESTS = table_of(ActionRequest)
_DEADLINES = table_of(Deadline)
_ESCALATIONS = table_of(Escalation)
_OFFICERS = table_of(Officer)
_ORDERS = table_of(Order)
_PARTICIPANTS = table_of(Participant)
_TASKS = table_of(Task)

_LATE = frozenset({*states.OWED, Stage.APPROVAL})
# What a reader waits for; the hub's own reminders are not shown as somebody's deadline.
_SHOWN = (*states.OWED, Stage.APPROVAL, Stage.REVIEW, Stage.END)
_RAISED = ("rung", "stage", "raised_at", "reached_somebody", "policy_name", "policy_version")
# Values that name no person; everything else is shown whole to its own agency only (PROMISES R19).
PUBLIC_TARGETS = frozenset({TargetKind.SMS_SENDER, TargetKind.DOMAIN, TargetKind.URL, TargetKind.CONTENT})


@dataclass(slots=True)
class Pressure:
    """What presses in one request: the next due instant and its stage, since when one is overdue, open work.

    ``awaits`` is the kind of signature that is missing, whichever clock comes first; for whoever filed it, none: the
    second one is never his.
    """

    tenant: str = ""
    awaits: Kind | None = None
    stage: Stage | None = None
    due_at: datetime | None = None
    overdue_stage: Stage | None = None
    overdue_since: datetime | None = None
    escalations: int = 0
    rung: int = 0
    tasks: int = 0


@dataclass(frozen=True, slots=True)
class Name:
    """How a member of the network is called."""

    short: str
    vi: str
    en: str
    sector: str


@dataclass(frozen=True, slots=True)
class Raised:
    """A rung that fired."""

    rung: int
    stage: Stage
    raised_at: datetime
    reached_somebody: bool
    policy_name: str
    policy_version: int


@dataclass(frozen=True, slots=True)
class Coming:
    """The rung that fires next unless the participant answers before."""

    deadline_id: int
    rung: int
    stage: Stage
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Background:
    """What stands behind a request: its agency, the officers' ranks and numbers, names, and the rungs of each order.

    ``letting_go`` are the orders of which the hub itself waits to hear that nothing is held any more. ``whole`` tells
    whether personal values are shown as they are: to the filing agency.
    """

    tenant: str
    whole: bool
    officers: Mapping[str, tuple[str, str]]
    names: Mapping[str, Name]
    raised: Mapping[UUID | None, Sequence[Raised]]
    coming: Mapping[UUID, Coming]
    letting_go: Collection[UUID]


async def pressure(
    conn: AsyncConnection, principal: Principal, ids: Sequence[UUID], now: datetime
) -> dict[UUID, Pressure]:
    """Return what presses in each of these requests at ``now``, leaving out what the caller may not see."""
    columns = ("id", "tenant", "officer_id", "state", "ends_at", "review_by", "reviewed_at")
    owners = sa.select(*(_REQUESTS.c[name] for name in columns)).where(
        _REQUESTS.c.id.in_(ids), visibility.requests(principal)
    )
    rows = (await conn.execute(owners)).all()
    mine = {row.id for row in rows if visibility.owns(principal, row.tenant) and row.officer_id == principal.client_id}
    found = {row.id: Pressure(row.tenant, None if row.id in mine else approvals.awaited(row, now)) for row in rows}
    joined = _DEADLINES.outerjoin(
        _ORDERS, sa.and_(_DEADLINES.c.subject_kind == SubjectKind.ORDER, _ORDERS.c.id == _DEADLINES.c.subject_id)
    )
    owed_now = [owed.counts(_ORDERS.c.state, _ORDERS.c.letting_go_since)]
    unsigned = sa.select(_REQUESTS.c.id).where(_REQUESTS.c.state == RequestState.AWAITING_APPROVAL)
    owed_now.append(sa.and_(_DEADLINES.c.stage == Stage.APPROVAL, _DEADLINES.c.request_id.in_(unsigned)))
    query = (
        sa.select(_DEADLINES.c.request_id, _DEADLINES.c.stage, _DEADLINES.c.due_at, _DEADLINES.c.state)
        .select_from(joined)
        .where(
            _DEADLINES.c.request_id.in_(list(found)),
            _DEADLINES.c.rung == 0,
            _DEADLINES.c.stage.in_(_SHOWN),
            sa.or_(
                _DEADLINES.c.state == DeadlineState.PENDING,
                sa.and_(_DEADLINES.c.state == DeadlineState.MISSED, sa.or_(*owed_now)),
            ),
        )
        .order_by(_DEADLINES.c.due_at.desc(), _DEADLINES.c.id.desc())
    )
    # The latest first: what is left standing in each slot is the earliest.
    for row in (await conn.execute(query)).all():
        line = found[row.request_id]
        # What somebody owed by now is late, whether or not a worker has said so yet.
        if row.state == DeadlineState.PENDING and not (row.stage in _LATE and row.due_at <= now):
            line.stage, line.due_at = row.stage, row.due_at
        else:
            line.overdue_stage, line.overdue_since = row.stage, row.due_at
    for row in (await conn.execute(_open_escalations(list(found)))).all():
        found[row.request_id].escalations, found[row.request_id].rung = row.orders, row.rung
    tasks = (
        sa.select(_TASKS.c.request_id, sa.func.count().label("open"))
        .where(_TASKS.c.request_id.in_(list(found)), _TASKS.c.resolved_at.is_(None), visibility.tasks(principal))
        .group_by(_TASKS.c.request_id)
    )
    for row in (await conn.execute(tasks)).all():
        found[row.request_id].tasks = row.open
    return found


def _open_escalations(ids: Sequence[UUID]) -> sa.Select[Any]:
    """Count the orders that were escalated for what they still owe, with the highest rung of each request."""
    return (
        sa.select(
            _ESCALATIONS.c.request_id,
            sa.func.count(sa.distinct(_ESCALATIONS.c.order_id)).label("orders"),
            sa.func.max(_ESCALATIONS.c.rung).label("rung"),
        )
        .join(_ORDERS, _ORDERS.c.id == _ESCALATIONS.c.order_id)
        .where(_ESCALATIONS.c.request_id.in_(ids), owed.climbed(_ORDERS.c.state, _ORDERS.c.letting_go_since))
        .group_by(_ESCALATIONS.c.request_id)
    )


async def background(
    conn: AsyncConnection,
    principal: Principal,
    request_id: UUID,
    *,
    officers: Iterable[str],
    participants: Iterable[str],
) -> Background | None:
    """Return what stands behind a request, or None when it does not exist or is not for the caller.

    ``officers`` and ``participants`` are the ids that the page mentions; the agency is always among the names.
    """
    query = sa.select(_REQUESTS.c.tenant).where(_REQUESTS.c.id == request_id, visibility.requests(principal))
    tenant = (await conn.execute(query)).scalar_one_or_none()
    if tenant is None:
        return None
    known = sa.select(_OFFICERS.c.id, _OFFICERS.c.rank, _OFFICERS.c.number).where(_OFFICERS.c.id.in_(set(officers)))
    raised, coming = await climbed(conn, request_id)
    awaited = sa.select(_ORDERS.c.id).where(_ORDERS.c.request_id == request_id, _ORDERS.c.letting_go_since.is_not(None))
    return Background(
        tenant=tenant,
        whole=visibility.owns(principal, tenant),
        officers={row.id: (row.rank, row.number) for row in (await conn.execute(known)).all()},
        names=await names(conn, {*participants, tenant}),
        raised=raised,
        coming=coming,
        letting_go=frozenset((await conn.execute(awaited)).scalars()),
    )


async def climbed(
    conn: AsyncConnection, request_id: UUID, order_id: UUID | None = None
) -> tuple[dict[UUID | None, list[Raised]], dict[UUID, Coming]]:
    """Return the rungs that fired, by order (None: the request's own), and the next rung of each order.

    Of a request that the caller was shown before, or of its one order ``order_id`` alone.
    """
    raised: dict[UUID | None, list[Raised]] = {}
    rungs = sa.select(_ESCALATIONS).where(_ESCALATIONS.c.request_id == request_id)
    waiting = sa.select(
        _DEADLINES.c.id, _DEADLINES.c.subject_id, _DEADLINES.c.rung, _DEADLINES.c.stage, _DEADLINES.c.due_at
    ).where(
        _DEADLINES.c.request_id == request_id,
        _DEADLINES.c.subject_kind == SubjectKind.ORDER,
        _DEADLINES.c.state == DeadlineState.PENDING,
        _DEADLINES.c.rung > 0,
    )
    if order_id is not None:
        rungs = rungs.where(_ESCALATIONS.c.order_id == order_id)
        waiting = waiting.where(_DEADLINES.c.subject_id == order_id)
    for row in (await conn.execute(rungs.order_by(_ESCALATIONS.c.raised_at, _ESCALATIONS.c.rung))).all():
        raised.setdefault(row.order_id, []).append(Raised(**{name: row._mapping[name] for name in _RAISED}))
    # Of several rungs the earliest comes last, and is left standing.
    latest_first = waiting.order_by(_DEADLINES.c.due_at.desc(), _DEADLINES.c.id.desc())
    coming = {
        row.subject_id: Coming(row.id, row.rung, row.stage, row.due_at)
        for row in (await conn.execute(latest_first)).all()
    }
    return raised, coming


async def originals(conn: AsyncConnection, principal: Principal, ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the reference of the request that each of these lifts or extends; one that does neither is absent."""
    pairs = sa.select(_REQUESTS.c.id, _REQUESTS.c.original_id).where(
        _REQUESTS.c.id.in_(ids), _REQUESTS.c.original_id.is_not(None), visibility.requests(principal)
    )
    about = {row.id: row.original_id for row in (await conn.execute(pairs)).all()}
    if not about:
        return {}
    query = sa.select(_REQUESTS.c.id, _REQUESTS.c.reference).where(
        _REQUESTS.c.id.in_(set(about.values())), visibility.requests(principal)
    )
    known = {row.id: row.reference for row in (await conn.execute(query)).all()}
    return {lift: known[original] for lift, original in about.items() if original in known}


async def references(conn: AsyncConnection, principal: Principal, ids: Iterable[UUID | None]) -> dict[UUID, str]:
    """Return the references of these requests, leaving out what the caller may not see."""
    query = sa.select(_REQUESTS.c.id, _REQUESTS.c.reference).where(
        _REQUESTS.c.id.in_({each for each in ids if each is not None}), visibility.requests(principal)
    )
    return {row.id: row.reference for row in (await conn.execute(query)).all()}


async def lifts(conn: AsyncConnection, principal: Principal, request_id: UUID) -> dict[UUID, str]:
    """Return the references of the requests that lift this one and took effect, oldest first, by their ids."""
    query = sa.select(_REQUESTS.c.id, _REQUESTS.c.reference).where(
        _REQUESTS.c.original_id == request_id,
        _REQUESTS.c.action == Action.LIFT,
        _REQUESTS.c.state.in_((RequestState.ACTIVE, RequestState.CLOSED)),
        visibility.requests(principal),
    )
    ordered = query.order_by(_REQUESTS.c.submitted_at, _REQUESTS.c.id)
    return {row.id: row.reference for row in (await conn.execute(ordered)).all()}


async def names(conn: AsyncConnection, participants: Iterable[str]) -> dict[str, Name]:
    """Return how these participants are called; an unknown id is absent."""
    columns = (_PARTICIPANTS.c.id, _PARTICIPANTS.c.short_name, _PARTICIPANTS.c.name_vi, _PARTICIPANTS.c.name_en)
    query = sa.select(*columns, _PARTICIPANTS.c.sector).where(_PARTICIPANTS.c.id.in_(set(participants)))
    return {
        row.id: Name(row.short_name, row.name_vi, row.name_en, str(row.sector))
        for row in (await conn.execute(query)).all()
    }
