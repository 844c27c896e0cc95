"""What each open order says of when it is due, beside its clocks: no verb may leave one that is not so."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Deadline, Order, table_of
from workflows import deadlines, states
from workflows.terms import DeadlineState, SubjectKind

_ORDERS, _DEADLINES = table_of(Order), table_of(Deadline)
# The one database keeps thousandths of seconds where it counts, the other millionths.
_ROUNDED = timedelta(milliseconds=2)


async def wrong(conn: AsyncConnection) -> list[str]:
    """Return what the open orders say that their clocks do not."""
    is_open = sa.or_(_ORDERS.c.state.in_(states.UNANSWERED), _ORDERS.c.letting_go_since.is_not(None))
    orders = (await conn.execute(sa.select(_ORDERS).where(is_open))).all()
    clocks: dict[Any, list[sa.Row[Any]]] = {order.id: [] for order in orders}
    theirs = sa.select(_DEADLINES).where(_DEADLINES.c.subject_kind == SubjectKind.ORDER, _DEADLINES.c.rung == 0)
    known: set[Any] = set()
    for clock in (await conn.execute(theirs)).all() if orders else []:
        known.add(clock.subject_id)
        if clock.subject_id in clocks and clock.state in (DeadlineState.PENDING, DeadlineState.MISSED):
            clocks[clock.subject_id].append(clock)
    found = []
    for order in orders:
        if order.id not in known:
            # A row that a test made itself.
            continue
        owed = [clock for clock in clocks[order.id] if _counts(clock, order)]
        due_at = min((clock.due_at for clock in owed), default=None)
        tight_at = min((deadlines.tight(clock.started_at, clock.due_at) for clock in owed), default=None)
        if not (_same(order.due_at, due_at) and _same(order.tight_at, tight_at)):
            said = f"{order.due_at}, tight {order.tight_at}; its clocks say {due_at}, tight {tight_at}"
            found.append(f"{order.action} {order.state} (lets go: {order.letting_go_since}) says {said}")
    return found


def _counts(clock: sa.Row[Any], order: sa.Row[Any]) -> bool:
    since = order.letting_go_since
    is_of_its_lift = since is not None and clock.started_at >= since
    return states.is_owed(clock.stage, order.state, is_of_its_lift)


def _same(said: datetime | None, counted: datetime | None) -> bool:
    if said is None or counted is None:
        return said is counted
    return abs(said - counted) < _ROUNDED
