"""When what an order still owes is due: written into its row wherever that changes, so that no board looks for it."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among
from service.models import Deadline, Order, table_of
from service.queries import owed
from workflows import deadlines
from workflows.terms import OrderState

_DEADLINES = table_of(Deadline)
_ORDERS = table_of(Order)
_MICROSECONDS = "%Y-%m-%d %H:%M:%f000"


def due(
    conn: AsyncConnection, state: OrderState | None = None, letting_go_since: Any = _ORDERS.c.letting_go_since
) -> dict[str, sa.ColumnElement[Any]]:
    """Return what an UPDATE of orders writes where what they owe changes: ``due_at`` and ``tight_at``.

    ``state`` and ``letting_go_since`` are those that the same statement writes; left out, the order's own stay. The
    clocks are read as they stand before it: what sets or settles one comes first.
    """
    now = _ORDERS.c.state if state is None else sa.literal(state, _ORDERS.c.state.type)
    first = {"due_at": _DEADLINES.c.due_at, "tight_at": _tight(conn)}
    return {
        name: sa.select(sa.func.min(instant))
        .where(owed.runs(now, letting_go_since))
        .correlate(_ORDERS)
        .scalar_subquery()
        for name, instant in first.items()
    }


async def renew(conn: AsyncConnection, orders: Collection[UUID]) -> None:
    """Write anew when what these orders owe is due, after a clock was settled and the order stayed as it was."""
    if orders:
        await conn.execute(sa.update(_ORDERS).where(among.of(conn, _ORDERS.c.id, orders)).values(**due(conn)))


def _tight(conn: AsyncConnection) -> sa.ColumnElement[Any]:
    """Say ``workflows.deadlines.tight`` in the database's words."""
    due_at, started_at = _DEADLINES.c.due_at, _DEADLINES.c.started_at
    part: sa.ColumnElement[Any] = sa.literal_column(str(deadlines.TIGHT))
    if conn.dialect.name == "postgresql":
        whole = (due_at - started_at).self_group()
        return due_at - whole.op("/", precedence=8, return_type=sa.Interval())(part)
    until, since = (sa.func.julianday(each, type_=sa.Float) for each in (due_at, started_at))
    return sa.func.strftime(_MICROSECONDS, until - (until - since) / part, type_=due_at.type)
