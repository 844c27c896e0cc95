"""The live board: one line an order, what is missed first, then what is about to be; each group counted and begun."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import (
    Acknowledgement,
    ActionRequest,
    AuditEntry,
    Case,
    Deadline,
    Dispatch,
    Escalation,
    Order,
    Participant,
    table_of,
)
from service.queries import cursors, owed, visibility
from service.queries.board_lines import Board, Filter, Group, Line
from service.security.principals import Principal
from workflows import amounts
from workflows.terms import Action, DispatchKind

_ACKNOWLEDGEMENTS = table_of(Acknowledgement)
_CASES = table_of(Case)
_DEADLINES = table_of(Deadline)
_DISPATCHES = table_of(Dispatch)
_ENTRIES = table_of(AuditEntry)
_ESCALATIONS = table_of(Escalation)
_ORDERS = table_of(Order)
_PARTICIPANTS = table_of(Participant)
_REQUESTS = table_of(ActionRequest)

# How long an order stays on the board after its result.
DONE_FOR = timedelta(hours=24)
# Where an order without a running deadline stands: behind all others.
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)
# Identities are given out before the commits that bear them: one that comes late lies within so many of the highest.
_LATE = 1_000


async def load(
    conn: AsyncConnection,
    principal: Principal,
    wanted: Filter,
    *,
    now: datetime,
    limit: int,
    groups: Collection[Group] = tuple(Group),
) -> Board:
    """Return the board as the caller may see it: how many orders each group has, and ``limit`` lines of ``groups``."""
    totals = (await conn.execute(_counted(principal, wanted, now))).one()
    found = (await conn.execute(_begun(principal, wanted, now, limit, groups))).all()
    # By their ids, in a statement of its own: in one with the groups, planners walk through all orders for it.
    shown = {row.id: row for row in (await conn.execute(_shown([row.id for row in found]))).all()}
    lines: dict[Group, list[Line]] = {group: [] for group in Group}
    following: dict[Group, str] = {}
    for group in Group:
        own = [row for row in found if row.grp == group.value]
        own.sort(key=lambda row: (row.at, row.id.int))
        if group is Group.DONE:
            own.sort(key=lambda row: row.at, reverse=True)
        if len(own) > limit:
            following[group] = cursors.write(own[limit - 1].at, own[limit - 1].id)
        lines[group] = [_line(shown[row.id], group) for row in own[:limit] if row.id in shown]
    return Board(lines, {group: getattr(totals, group.value) for group in Group}, following)


async def present(conn: AsyncConnection, principal: Principal) -> tuple[set[str], set[str]]:
    """Return the agencies and the participants of the open orders that the caller may see."""
    query = sa.select(_ORDERS.c.tenant, _ORDERS.c.participant_id).distinct()
    rows = (await conn.execute(query.where(owed.is_open(), visibility.orders(principal)))).all()
    return {row.tenant for row in rows}, {row.participant_id for row in rows}


async def marker(conn: AsyncConnection) -> tuple[int, int]:
    """Return what differs once any fact was recorded since; two looks at the end of one index."""
    highest = sa.select(sa.func.coalesce(sa.func.max(_ENTRIES.c.id), 0)).scalar_subquery()
    latest = sa.select(sa.func.count()).where(_ENTRIES.c.id > highest - _LATE).scalar_subquery()
    row = (await conn.execute(sa.select(highest.label("highest"), latest.label("latest")))).one()
    return row.highest, row.latest


def _narrowed(query: sa.Select[Any], principal: Principal, wanted: Filter) -> sa.Select[Any]:
    query = query.where(visibility.orders(principal))
    if wanted.agency is not None:
        query = query.where(_ORDERS.c.tenant == wanted.agency)
    if wanted.participant is not None:
        query = query.where(_ORDERS.c.participant_id == wanted.participant)
    if wanted.action is not None:
        query = query.where(_ORDERS.c.action == wanted.action)
    if wanted.sector is not None:
        # Asked of each order: as a list, SQLite walks through all orders of the sector.
        addressed = sa.select(sa.literal(1)).where(_PARTICIPANTS.c.id == _ORDERS.c.participant_id)
        query = query.where(addressed.where(_PARTICIPANTS.c.sector == wanted.sector).correlate(_ORDERS).exists())
    if wanted.urgency is not None or wanted.text:
        about = sa.select(sa.literal(1)).where(_REQUESTS.c.id == _ORDERS.c.request_id, visibility.requests(principal))
        if wanted.urgency is not None:
            about = about.where(_REQUESTS.c.urgency == wanted.urgency)
        if wanted.text:
            cases = sa.select(_CASES.c.id).where(_CASES.c.number.icontains(wanted.text, autoescape=True))
            named = _REQUESTS.c.reference.icontains(wanted.text, autoescape=True)
            about = about.where(sa.or_(named, _REQUESTS.c.case_id.in_(cases)))
        query = query.where(about.correlate(_ORDERS).exists())
    return query


def _in(group: Group, now: datetime) -> sa.ColumnElement[bool]:
    """Tell of an order whether it stands in a group at ``now``."""
    if group is Group.DONE:
        return sa.and_(sa.not_(owed.is_open()), _ORDERS.c.changed_at > now - DONE_FOR)
    return sa.and_(owed.is_open(), _stands(group, now))


def _stands(group: Group, now: datetime) -> sa.ColumnElement[bool]:
    """Tell of an open order whether it stands in a group, as what it owes is due (``service.engine.owing``)."""
    at = sa.literal(now, _ORDERS.c.due_at.type)
    is_ahead, is_tight = _ORDERS.c.due_at > at, _ORDERS.c.tight_at < at
    if group is Group.BREACHED:
        # What is due by now is missed, whether or not a worker has said so: the board is what shows that none does.
        return _ORDERS.c.due_at <= at
    if group is Group.QUARTER:
        return sa.and_(is_ahead, is_tight)
    # It may wait for something that has no clock, too.
    return sa.or_(sa.and_(is_ahead, sa.not_(is_tight)), _ORDERS.c.due_at.is_(None))


def _counted(principal: Principal, wanted: Filter, now: datetime) -> sa.Select[Any]:
    """Return how many orders each group has: what is open by one walk along its index, which has all that it asks."""
    waiting = (Group.BREACHED, Group.QUARTER, Group.RUNNING)
    counts: list[Any] = [sa.func.count().filter(_stands(group, now)).label(group.value) for group in waiting]
    every = sa.select(*counts).select_from(_ORDERS).where(owed.is_open())
    late: sa.Select[Any] = sa.select(sa.func.count()).select_from(_ORDERS).where(_in(Group.DONE, now))
    done = _narrowed(late, principal, wanted).scalar_subquery()
    return sa.select(_narrowed(every, principal, wanted).subquery(), done.label(Group.DONE.value))


def _begun(
    principal: Principal, wanted: Filter, now: datetime, limit: int, groups: Collection[Group]
) -> sa.CompoundSelect[Any]:
    """Return the first orders of each group, one more than ``limit``; of a group alone those behind the cursor."""
    parts = []
    for group in groups if wanted.group is None else (wanted.group,):
        at = _ORDERS.c.changed_at if group is Group.DONE else _ORDERS.c.due_at
        query = sa.select(
            _ORDERS.c.id,
            sa.literal(group.value).label("grp"),
            sa.func.coalesce(at, sa.literal(_NEVER, at.type)).label("at"),
        ).where(_in(group, now))
        if wanted.group is group and wanted.after is not None:
            query = query.where(_behind(at, wanted.after, group))
        ordered = at.desc() if group is Group.DONE else at.nulls_last()
        query = _narrowed(query, principal, wanted).order_by(ordered, _ORDERS.c.id).limit(limit + 1)
        parts.append(sa.select(query.subquery(group.value)))
    return sa.union_all(*parts)


def _behind(at: sa.ColumnElement[Any], cursor: str, group: Group) -> sa.ColumnElement[bool]:
    instant, last = cursors.read(cursor)
    if group is Group.DONE:
        beyond = at < instant
    elif instant == _NEVER:
        return sa.and_(at.is_(None), _ORDERS.c.id > last)
    else:
        beyond = sa.or_(at > instant, at.is_(None))
    return sa.or_(beyond, sa.and_(at == instant, _ORDERS.c.id > last))


def _shown(ids: Sequence[UUID]) -> sa.Select[Any]:
    """Return what is shown of these orders: whose request, how far the ladder climbed, what was heard."""
    of = _ORDERS.c.id
    its = sa.or_(_ORDERS.c.letting_go_since.is_(None), _ESCALATIONS.c.raised_at >= _ORDERS.c.letting_go_since)
    reached = sa.select(sa.func.max(_ESCALATIONS.c.rung)).where(_ESCALATIONS.c.order_id == of, its)
    heard = sa.select(sa.func.max(_ACKNOWLEDGEMENTS.c.received_at)).where(_ACKNOWLEDGEMENTS.c.order_id == of)
    sent = sa.and_(_DISPATCHES.c.order_id == of, _DISPATCHES.c.kind == DispatchKind.ORDER)
    latest = sa.select(_DISPATCHES.c.channel).where(sent).order_by(_DISPATCHES.c.created_at.desc()).limit(1)
    attempts = sa.select(sa.func.sum(_DISPATCHES.c.attempts)).where(sent)
    # What is due next, of several at one instant the first.
    clock = sa.and_(owed.runs(), _DEADLINES.c.due_at == _ORDERS.c.due_at)
    next_one = {
        name: sa.select(_DEADLINES.c[name]).where(clock).order_by(_DEADLINES.c.id).limit(1)
        for name in ("stage", "started_at")
    }
    details = {"rung": reached, "heard_at": heard, "channel": latest, "attempts": attempts, **next_one}
    return (
        sa.select(
            *(each for each in _ORDERS.c if each.name != "subject_index"),
            _REQUESTS.c.reference,
            _REQUESTS.c.urgency,
            _REQUESTS.c.whole_account,
            *(query.correlate(_ORDERS).scalar_subquery().label(name) for name, query in details.items()),
        )
        .join(_REQUESTS, _REQUESTS.c.id == _ORDERS.c.request_id)
        .where(of.in_(ids))
    )


def _line(row: sa.Row[Any], group: Group) -> Line:
    heard = [each for each in (row.delivered_at, row.heard_at, row.answered_at) if each is not None]
    is_done = group is Group.DONE
    return Line(
        id=row.id,
        group=group,
        request_id=row.request_id,
        reference=row.reference,
        urgency=row.urgency,
        # What is asked of it now; the orders of a lift have an action of their own.
        action=row.action if row.letting_go_since is None else Action.LIFT,
        state=row.state,
        tenant=row.tenant,
        participant_id=row.participant_id,
        amount=row.amount,
        amount_done=amounts.done(row.action, row.amount_held, row.amount_returned),
        whole_account=row.whole_account,
        stage=None if is_done else row.stage,
        started_at=None if is_done else row.started_at,
        due_at=None if is_done else row.due_at,
        changed_at=row.changed_at,
        rung=row.rung or 0,
        channel=row.channel,
        attempts=row.attempts or 0,
        heard_at=max(heard, default=None),
    )
