"""What a participant has by its own answer: whoever answers a message has it, whatever became of the call with it."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import among
from service.engine import messages
from service.engine.store import Call, Claimed
from service.engine.store.rows import REPLAY
from service.models import Acknowledgement, Dispatch, Order, QueueItem, table_of
from workflows import lift
from workflows.terms import Action, Channel, DispatchKind, DispatchState, Outcome

_ACKNOWLEDGEMENTS = table_of(Acknowledgement)
_DISPATCHES = table_of(Dispatch)
_ORDERS = table_of(Order)
_QUEUE = table_of(QueueItem)
_OTHER = _DISPATCHES.alias("other")
_IS_CARRIED_OVER = sa.exists().where(
    sa.func.coalesce(_OTHER.c.first_id, _OTHER.c.id) == sa.func.coalesce(_DISPATCHES.c.first_id, _DISPATCHES.c.id),
    _OTHER.c.order_id == _DISPATCHES.c.order_id,
    _OTHER.c.id != _DISPATCHES.c.id,
)


def was_answered() -> sa.ColumnElement[bool]:
    """Return the condition that a dispatch of an order was answered since it was placed, or sent once more.

    It says of what is written what ``lift.answered_by`` says of an answer. What contradicts an earlier answer, or comes
    too early, proves nothing.
    """
    demand = _DISPATCHES.c.message_type
    own = sa.literal(f"{messages.PREFIX}.order.").concat(sa.cast(_ORDERS.c.action, sa.String))
    lifted = sa.and_(demand == messages.order_type(Action.LIFT), _ACKNOWLEDGEMENTS.c.outcome == Outcome.LIFTED)
    return sa.exists().where(
        _ACKNOWLEDGEMENTS.c.order_id == _DISPATCHES.c.order_id,
        _ACKNOWLEDGEMENTS.c.received_at >= sa.func.coalesce(_DISPATCHES.c.replayed_at, _DISPATCHES.c.created_at),
        ~_ACKNOWLEDGEMENTS.c.contradicts,
        _ORDERS.c.id == _DISPATCHES.c.order_id,
        sa.or_(demand == own, lifted),
    )


async def end(conn: AsyncConnection, at: datetime, order: Mapping[str, Any], outcome: Outcome) -> None:
    """Take what was just answered as delivered, where it waits in an inbox, or to be tried again after a failed call.

    A lift would wait behind it for as long as its receiver says that it has it already. A call that is under way
    settles itself (``held_by``). What nobody ever called with goes out, unless the message went to another endpoint as
    well: then it is cancelled, or it would come there after the lift.
    """
    types = [messages.order_type(demand) for demand in lift.answered_by(outcome, order["action"])]
    # What a person had sent once more, and nobody did yet, goes: the answer may be of before that.
    waits = (~_QUEUE.c.leased, _QUEUE.c.priority != REPLAY, sa.or_(_QUEUE.c.attempt > 0, _IS_CARRIED_OVER))
    query = (
        sa.select(_DISPATCHES.c.id, _QUEUE.c.id.label("queue_id"))
        .outerjoin(_QUEUE, _QUEUE.c.dispatch_id == _DISPATCHES.c.id)
        .where(
            _DISPATCHES.c.order_id == order["id"],
            _DISPATCHES.c.message_type.in_(types),
            _DISPATCHES.c.state == DispatchState.PENDING,
            sa.or_(_DISPATCHES.c.channel == Channel.PULL, sa.and_(*waits)),
        )
    )
    found = (await conn.execute(query)).all()
    if not found:
        return
    pulled = [row.id for row in found if row.queue_id is None]
    queued = [row.queue_id for row in found if row.queue_id is not None]
    # A node may have claimed one meanwhile: that call settles itself.
    gone = sa.delete(_QUEUE).where(_QUEUE.c.id.in_(queued), ~_QUEUE.c.leased)
    rows = (await conn.execute(gone.returning(_QUEUE.c.dispatch_id, _QUEUE.c.attempt))).all()
    tried, fresh = ([row.dispatch_id for row in rows if bool(row.attempt) is was_tried] for was_tried in (True, False))
    ended = sa.update(_DISPATCHES).where(_DISPATCHES.c.state == DispatchState.PENDING)
    delivered = {"state": DispatchState.DELIVERED, "delivered_at": at, "settled_at": at}
    await conn.execute(ended.where(_DISPATCHES.c.id.in_([*pulled, *tried])).values(**delivered))
    if fresh:
        over = {"state": DispatchState.CANCELLED, "settled_at": at}
        await conn.execute(ended.where(_DISPATCHES.c.id.in_(fresh)).values(**over))


async def held_by(conn: AsyncConnection, failed: Collection[Claimed]) -> frozenset[Call]:
    """Return which of these calls, which failed, brought a message that was answered meanwhile.

    What a person has sent once more is answered by what comes after that: the participant may have lost it.
    """
    ids = [claimed.dispatch_id for claimed in failed if claimed.kind is DispatchKind.ORDER]
    if not ids:
        return frozenset()
    query = sa.select(_DISPATCHES.c.id).where(among.of(conn, _DISPATCHES.c.id, ids), was_answered())
    held = set((await conn.execute(query)).scalars())
    return frozenset(claimed.call for claimed in failed if claimed.dispatch_id in held)
