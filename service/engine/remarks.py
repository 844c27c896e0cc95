"""What is said about an order that orders nothing: a question, or that a silence is over; signed as orders are."""

from datetime import datetime

from service.engine import messages, order_keys, outbox
from service.engine.dossier import Dossier, Row
from service.engine.hub import Hub
from service.engine.reach import EndpointRow
from workflows.terms import DispatchKind


def remark(
    hub: Hub,
    at: datetime,
    dossier: Dossier,
    order: Row,
    endpoint: EndpointRow,
    sequence: int,
    *,
    name: str,
    message_type: str,
    reason: str | None = None,
    **more: object,
) -> outbox.Outgoing:
    """Return the message: the body of the order, under ``name`` instead of its action, with the members ``more``.

    It has no clock, and no order key: it stands in nothing's way, and what is said later waits for nothing.
    """
    body = messages.order_body(
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
        action=order["action"],
        sequence=sequence,
        amount=order["amount"],
        whole_account=dossier.request["whole_account"],
        ends_at=order["ends_at"],
        deadlines=(),
        drill=hub.settings.drill,
        reason=reason,
    )
    body |= {"action": name, **more}
    return outbox.Outgoing(
        tenant=dossier.tenant,
        participant_id=order["participant_id"],
        kind=DispatchKind.ORDER,
        endpoint_id=endpoint.id,
        channel=endpoint.channel,
        message_type=message_type,
        subject=str(order["id"]),
        sequence=sequence,
        body=body,
        signature=order_keys.sign(hub, str(order["id"]), body, at),
        request_id=dossier.id,
        key=dossier.keys.get(dossier.id),
        order_id=order["id"],
    )
