"""A participant comes back with its cursor: what it was given up to there counts as delivered."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db, errors
from service.actions import standing
from service.audit import Log
from service.engine import messages, outbox, owing, settling, writer
from service.engine.hub import Hub
from service.models import Dispatch, Order, table_of
from service.queries import inbox, visibility
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows import states
from workflows.terms import Channel, DispatchState, Event, Fact, Stage

_DISPATCHES = table_of(Dispatch)
_ORDERS = table_of(Order)
# A whole backlog in one transaction would keep the answers and deadlines of all its requests waiting.
AT_ONCE = 100


async def receive(hub: Hub, principal: Principal, up_to: int) -> None:
    """Mark the caller's pull dispatches up to the cursor delivered and meet their receipt deadlines, in parts.

    Broken off, what is left is marked when the caller comes back with its cursor.
    Raises ``InvalidInput`` for a cursor beyond what was ever laid into the inbox (of another hub, or of before a
    restore): it would confirm what is still to come, unseen. Raises ``Unauthenticated`` when suspended meanwhile.
    """
    principal.require(Scope.ORDERS_READ)
    if up_to <= 0:
        return
    waiting: sa.Select[Any] = (
        sa.select(
            _DISPATCHES.c.id,
            _DISPATCHES.c.first_id,
            _DISPATCHES.c.order_id,
            _DISPATCHES.c.request_id,
            _DISPATCHES.c.tenant,
            _DISPATCHES.c.message_type,
        )
        .where(
            visibility.inbox(principal),
            _DISPATCHES.c.channel == Channel.PULL,
            _DISPATCHES.c.state == DispatchState.PENDING,
            _DISPATCHES.c.position <= up_to,
        )
        .order_by(_DISPATCHES.c.position)
    )
    async with hub.database.read(principal.reach) as conn:
        if up_to > await inbox.newest(conn, principal):
            raise errors.InvalidInput.of("after", "cursor.invalid")
        if (await conn.execute(waiting.limit(1))).first() is None:
            return

    async def unit(conn: AsyncConnection) -> bool:
        candidates = (await conn.execute(waiting.limit(AT_ONCE))).all()
        # What arrived moves the agencies' orders and meets their deadlines.
        await db.extend(conn, db.HUB)
        chains = {audit.request_chain(row.request_id) for row in candidates}
        log = await writer.lock(conn, chains)
        await standing.check(conn, principal)
        taken = await conn.execute(
            sa.update(_DISPATCHES)
            .where(
                _DISPATCHES.c.id.in_([row.id for row in candidates]),
                _DISPATCHES.c.state == DispatchState.PENDING,
            )
            .values(state=DispatchState.DELIVERED, delivered_at=log.at, settled_at=log.at)
            .returning(_DISPATCHES.c.id)
        )
        ids = set(taken.scalars())
        for row in candidates:
            if row.id in ids:
                await _deliver(conn, log, principal, row)
        await outbox.received(conn, log.at, {row.first_id or row.id for row in candidates if row.id in ids})
        await log.flush()
        return len(candidates) == AT_ONCE

    while await standing.run(hub, principal, unit):
        continue


async def _deliver(conn: AsyncConnection, log: Log, principal: Principal, dispatch: sa.Row[Any]) -> None:
    order = (await conn.execute(sa.select(_ORDERS).where(_ORDERS.c.id == dispatch.order_id))).one()
    if dispatch.message_type == messages.order_type(order.action):
        mine = sa.update(_ORDERS).where(_ORDERS.c.id == order.id)
        if (order.state, Event.DELIVER) in states.MOVES:
            state = states.advance(order.state, Event.DELIVER)
            await conn.execute(mine.values(state=state, changed_at=log.at))
        await conn.execute(mine.values(delivered_at=sa.func.coalesce(_ORDERS.c.delivered_at, log.at)))
    log.record(
        audit.request_chain(dispatch.request_id),
        Fact.DISPATCH_PULLED,
        principal.actor(),
        dispatch.tenant,
        request_id=dispatch.request_id,
        order_id=str(order.id),
        participant_id=principal.tenant,
    )
    if messages.is_ordered_now(dispatch.message_type, order):
        await settling.meet(conn, log, principal.actor(), [order.id], (Stage.RECEIPT,))
    await owing.renew(conn, [order.id])
