"""The live board: one line an order, what is missed first, then what is about to be; each group counted and begun."""

from collections.abc import Sequence
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
from workflows import amounts, states
from workflows.terms import Action, DeadlineState, DispatchKind, SubjectKind

_ACKNOWLEDGEMENTS = table_of(Acknowledgement)
_CASES = table_of(Case)
_DEADLINES = table_of(Deadline)
_DISPATCHES = table_of(Dispatch)
_ENTRIES = table_of(AuditEntry)
_ESCALATIONS = table_of(Escalation)
_ORDERS = table_of(Order)
_PARTICIPANTS = table_of(Participant)
_REQUESTS = table_of(ActionRequest)

_NO_COMPILER = sa.text("SET LOCAL jit = off")
# Less than this part of the time left is about to be missed.
_QUARTER = 4
# How long an order stays on the board after its result.
DONE_FOR = timedelta(hours=24)
# Where an order without a running deadline stands: behind all others.
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)
# Identities are given out before the commits that bear them: one that comes late lies within so many of the highest.
_LATE = 1_000


async def load(conn: AsyncConnection, principal: Principal, wanted: Filter, *, now: datetime, limit: int) -> Board:
    """Return the board as the caller may see it, with ``limit`` lines of each group."""
    if conn.dialect.name == "postgresql":
        # Compiling the statement takes it longer than running it.
        await conn.execute(_NO_COMPILER)
    found: list[sa.Row[Any]] = []
    for placed in (_placed(_open(conn, principal, wanted, now)), _done(principal, wanted, now)):
        found += (await conn.execute(_begun(placed, wanted, limit))).all()
    # By their ids, in a statement of its own: in one with the groups, planners walk through all orders for it.
    shown = {row.id: row for row in (await conn.execute(_shown([row.id for row in found]))).all()}
    lines: dict[Group, list[Line]] = {group: [] for group in Group}
    totals = dict.fromkeys(Group, 0)
    following: dict[Group, str] = {}
    for row in found:
        group = Group(row.grp)
        totals[group] = row.total
        if not row.is_listed:
            continue
        if len(lines[group]) == limit:
            last = lines[group][-1]
            following[group] = cursors.write(_sorted_by(last), last.id)
        elif row.id in shown:
            lines[group].append(_line(shown[row.id], row, group))
    return Board(lines, totals, following)


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


def _owed(order: sa.FromClause, state: DeadlineState) -> sa.Select[Any]:
    """Return the deadlines in ``state`` that count for an order: those of what it owes now."""
    return sa.select().where(
        _DEADLINES.c.subject_kind == SubjectKind.ORDER,
        _DEADLINES.c.subject_id == order.c.id,
        _DEADLINES.c.rung == 0,
        # Written out, for the partial indexes by state.
        _DEADLINES.c.state == sa.literal(state, _DEADLINES.c.state.type, literal_execute=True),
        owed.counts(order.c.state, order.c.letting_go_since),
    )


def _open(conn: AsyncConnection, principal: Principal, wanted: Filter, now: datetime) -> sa.Subquery:
    """Return each open order with its group and the instant that it is sorted by."""
    due_at = _DEADLINES.c.due_at
    first = {
        state: _owed(_ORDERS, state).add_columns(sa.func.min(due_at)).correlate(_ORDERS).scalar_subquery()
        for state in (DeadlineState.MISSED, DeadlineState.PENDING)
    }
    query = sa.select(
        _ORDERS.c.id,
        _ORDERS.c.state,
        _ORDERS.c.letting_go_since,
        first[DeadlineState.MISSED].label("overdue_since"),
        first[DeadlineState.PENDING].label("due_at"),
    ).where(owed.is_open())
    # A fence: unfolded into what is around it, each look at the deadlines would be made twice.
    each = _narrowed(query, principal, wanted).offset(0).subquery("each")
    left = _seconds(conn, due_at) - _seconds(conn, sa.literal(now, due_at.type))
    whole = _seconds(conn, due_at) - _seconds(conn, _DEADLINES.c.started_at)
    pending = _owed(each, DeadlineState.PENDING).add_columns(sa.literal(1))
    is_tight = pending.where(left * _QUARTER < whole).correlate(each).exists()
    group = sa.case(
        # What is due by now is missed, whether or not a worker has said so yet: the board is what shows that none does.
        (
            sa.or_(each.c.overdue_since.is_not(None), each.c.due_at <= sa.literal(now, due_at.type)),
            Group.BREACHED.value,
        ),
        (is_tight, Group.QUARTER.value),
        else_=Group.RUNNING.value,
    )
    at = sa.func.coalesce(each.c.overdue_since, each.c.due_at, sa.literal(_NEVER, due_at.type))
    return sa.select(each.c.id, group.label("grp"), at.label("at")).subquery("open")


def _placed(orders: sa.Subquery) -> sa.Subquery:
    place = sa.func.row_number().over(partition_by=orders.c.grp, order_by=(orders.c.at, orders.c.id))
    total = sa.func.count().over(partition_by=orders.c.grp)
    return sa.select(orders, place.label("place"), total.label("total")).subquery("placed")


def _done(principal: Principal, wanted: Filter, now: datetime) -> sa.Subquery:
    """Return the orders with a result of late, the latest first."""
    place = sa.func.row_number().over(order_by=(_ORDERS.c.changed_at.desc(), _ORDERS.c.id))
    query = sa.select(
        _ORDERS.c.id,
        sa.literal(Group.DONE.value).label("grp"),
        _ORDERS.c.changed_at.label("at"),
        place.label("place"),
        sa.func.count().over().label("total"),
    ).where(sa.not_(owed.is_open()), _ORDERS.c.changed_at > now - DONE_FOR)
    return _narrowed(query, principal, wanted).subquery("done")


def _begun(placed: sa.Subquery, wanted: Filter, limit: int) -> sa.Select[Any]:
    """Return the first orders of each group, one more than ``limit``; of a group alone those behind the cursor.

    The first order of every group comes along, of this one too: it says how many there are.
    """
    counts = sa.and_(
        _DEADLINES.c.subject_kind == SubjectKind.ORDER,
        _DEADLINES.c.subject_id == placed.c.id,
        _DEADLINES.c.rung == 0,
        _DEADLINES.c.due_at == placed.c.at,
        _DEADLINES.c.state.in_((DeadlineState.PENDING, DeadlineState.MISSED)),
        _DEADLINES.c.stage.in_(tuple(states.OWED)),
    )
    clock = {
        name: sa.select(_DEADLINES.c[name]).where(counts).order_by(_DEADLINES.c.id).limit(1)
        for name in ("stage", "started_at")
    }
    query = sa.select(
        placed.c.id,
        placed.c.grp,
        placed.c.at,
        placed.c.total,
        *(each.correlate(placed).scalar_subquery().label(name) for name, each in clock.items()),
    )
    if wanted.group is None:
        query = query.add_columns(sa.true().label("is_listed"))
        return query.where(placed.c.place <= limit + 1).order_by(placed.c.grp, placed.c.place)
    is_own = placed.c.grp == wanted.group.value
    own = is_own
    if wanted.after is not None:
        at, last = cursors.read(wanted.after)
        beyond = placed.c.at < at if wanted.group is Group.DONE else placed.c.at > at
        own = sa.and_(is_own, sa.or_(beyond, sa.and_(placed.c.at == at, placed.c.id > last)))
    first = placed.c.place == 1
    # Before the cursor, the first of the own group says how many there are and is not shown again.
    query = query.add_columns(sa.or_(own, sa.not_(is_own)).label("is_listed"))
    return query.where(sa.or_(own, first)).order_by(first.desc(), placed.c.place).limit(limit + len(Group))


def _shown(ids: Sequence[UUID]) -> sa.Select[Any]:
    """Return what is shown of these orders: whose request, how far the ladder climbed, what was heard."""
    of = _ORDERS.c.id
    its = sa.or_(_ORDERS.c.letting_go_since.is_(None), _ESCALATIONS.c.raised_at >= _ORDERS.c.letting_go_since)
    reached = sa.select(sa.func.max(_ESCALATIONS.c.rung)).where(_ESCALATIONS.c.order_id == of, its)
    heard = sa.select(sa.func.max(_ACKNOWLEDGEMENTS.c.received_at)).where(_ACKNOWLEDGEMENTS.c.order_id == of)
    sent = sa.and_(_DISPATCHES.c.order_id == of, _DISPATCHES.c.kind == DispatchKind.ORDER)
    latest = sa.select(_DISPATCHES.c.channel).where(sent).order_by(_DISPATCHES.c.created_at.desc()).limit(1)
    attempts = sa.select(sa.func.sum(_DISPATCHES.c.attempts)).where(sent)
    details = {"rung": reached, "heard_at": heard, "channel": latest, "attempts": attempts}
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


def _seconds(conn: AsyncConnection, instant: sa.ColumnElement[Any]) -> sa.ColumnElement[float]:
    if conn.dialect.name == "postgresql":
        return sa.cast(sa.extract("epoch", instant), sa.Float)
    return sa.func.julianday(instant, type_=sa.Float) * 86_400


def _line(row: sa.Row[Any], placed: sa.Row[Any], group: Group) -> Line:
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
        stage=None if is_done else placed.stage,
        started_at=None if is_done else placed.started_at,
        due_at=None if is_done or placed.stage is None else placed.at,
        changed_at=row.changed_at,
        rung=row.rung or 0,
        channel=row.channel,
        attempts=row.attempts or 0,
        heard_at=max(heard, default=None),
    )


def _sorted_by(line: Line) -> datetime:
    return line.changed_at if line.group is Group.DONE else line.due_at or _NEVER
