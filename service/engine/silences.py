"""How a silence ends at a participant: one signed message about each disclosure that it has."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from service.audit import Log
from service.engine import lifting, messages, order_keys, outbox, reach
from service.engine.dossier import Dossier, Row
from service.engine.hub import Hub
from service.engine.reach import EndpointRow
from workflows import silence
from workflows.silence import LeftOut, SilenceReason
from workflows.terms import Action, DispatchKind


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
    body: dict[str, Any] = messages.order_body(
        hub.vault,
        dossier.keys,
        request=dossier.request,
        case_number=dossier.case_number,
        agency=dossier.agency,
        officer=dossier.officer,
        second_officer=dossier.second_officer,
        target=dossier.targets[order["target_id"]],
        order_id=order["id"],
        participant_id=order["participant_id"],
        action=Action.DISCLOSE,
        sequence=sequence,
        amount=order["amount"],
        whole_account=dossier.request["whole_account"],
        ends_at=order["ends_at"],
        deadlines=(),
        reason=str(reason),
    )
    body |= {"action": silence.NAME, "confidential": False}
    return outbox.Outgoing(
        tenant=dossier.tenant,
        participant_id=order["participant_id"],
        kind=DispatchKind.ORDER,
        endpoint_id=endpoint.id,
        channel=endpoint.channel,
        message_type=silence.MESSAGE_TYPE,
        subject=str(order["id"]),
        sequence=sequence,
        body=body,
        signature=order_keys.sign(hub, str(order["id"]), body, log.at),
        request_id=dossier.id,
        key=dossier.keys.get(dossier.id),
        order_id=order["id"],
    )
