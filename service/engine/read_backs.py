"""What is held now: the question to a participant about a hold that stands, and when it was asked last."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.audit import Log
from service.engine import lifting, messages, outbox
from service.engine.dossier import Dossier, Row
from service.engine.hub import Hub
from service.engine.reach import EndpointRow
from service.engine.remarks import remark
from service.models import Dispatch, Order, table_of
from workflows import read_back
from workflows.terms import Action, DispatchKind, DispatchState

_DISPATCHES = table_of(Dispatch)
_ORDERS = table_of(Order)


async def asked_at(conn: AsyncConnection, order_id: UUID) -> datetime | None:
    """Return when the participant was asked last what it holds of an order, None where nobody ever asked."""
    query = sa.select(sa.func.max(_DISPATCHES.c.created_at)).where(
        _DISPATCHES.c.order_id == order_id,
        _DISPATCHES.c.message_type == read_back.MESSAGE_TYPE,
        # A copy for another endpoint is the same question.
        _DISPATCHES.c.first_id.is_(None),
    )
    found: datetime | None = (await conn.execute(query)).scalar_one()
    return found


async def is_on_its_way(conn: AsyncConnection, order_id: UUID) -> bool:
    """Tell whether a lift, an extension or a question about an executed hold still goes to its participant.

    The order itself does not count: whoever executed it has it.
    """
    about = sa.select(_ORDERS.c.id).where(sa.or_(_ORDERS.c.id == order_id, _ORDERS.c.original_id == order_id))
    query = sa.select(_DISPATCHES.c.id).where(
        _DISPATCHES.c.order_id.in_(about),
        _DISPATCHES.c.kind == DispatchKind.ORDER,
        _DISPATCHES.c.message_type != messages.order_type(Action.FREEZE),
        _DISPATCHES.c.state == DispatchState.PENDING,
    )
    return (await conn.execute(query.limit(1))).first() is not None


async def ask(conn: AsyncConnection, hub: Hub, log: Log, dossier: Dossier, order: Row, endpoint: EndpointRow) -> None:
    """Send the question, as a signed message about the order itself.

    It has no clock of its own, and it never stands in the way of what is said later about the hold.
    """
    sequence = (await lifting.next_sequences(conn, [order["id"]]))[order["id"]]
    name, message_type = read_back.NAME, read_back.MESSAGE_TYPE
    question = remark(hub, log.at, dossier, order, endpoint, sequence, name=name, message_type=message_type)
    await outbox.enqueue(conn, hub.vault, log.at, [question])
