"""How a silence ends at a participant: one signed message about each disclosure that it has."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from service.audit import Log
from service.engine import lifting, outbox, reach
from service.engine.dossier import Dossier, Row
from service.engine.hub import Hub
from service.engine.reach import EndpointRow
from service.engine.remarks import remark
from workflows import silence
from workflows.silence import LeftOut, SilenceReason


async def end(
    conn: AsyncConnection, hub: Hub, log: Log, dossier: Dossier, orders: Sequence[Row], reason: SilenceReason
) -> tuple[list[Row], list[tuple[Row, LeftOut]]]:
    """Tell each participant that has one of these orders; return what was told, and what was not and why.

    The message has no clock, nobody answers it, and it stands in nothing's way.
    """
    endpoints = await reach.order_endpoints(conn, {order["participant_id"] for order in orders})
    told: list[tuple[Row, EndpointRow]] = []
    not_told: list[tuple[Row, LeftOut]] = []
    for order in orders:
        endpoint = endpoints.get(order["participant_id"])
        why = silence.left_out(has_it=lifting.was_delivered(order), channel=endpoint and endpoint.channel)
        if why is None:
            told.append((order, endpoint))
        else:
            not_told.append((order, why))
    sequences = await lifting.next_sequences(conn, [order["id"] for order, _ in told])
    outgoing = [
        _outgoing(hub, log, dossier, order, endpoint, sequences[order["id"]], reason) for order, endpoint in told
    ]
    await outbox.enqueue(conn, hub.vault, log.at, outgoing)
    return [order for order, _ in told], not_told


def _outgoing(
    hub: Hub, log: Log, dossier: Dossier, order: Row, endpoint: EndpointRow, sequence: int, reason: SilenceReason
) -> outbox.Outgoing:
    named = {"name": silence.NAME, "message_type": silence.MESSAGE_TYPE, "reason": str(reason)}
    return remark(hub, log.at, dossier, order, endpoint, sequence, **named, confidential=False)
