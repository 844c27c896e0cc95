"""The door for banks that speak ISO 20022: their signed messages answer orders, as the acknowledgements in JSON do."""

import hashlib
from uuid import UUID

from fastapi import APIRouter
from pydantic import ValidationError

from adapters.iso20022 import parse
from adapters.iso20022.parse import Received
from adapters.iso20022.sign import SignatureInvalid
from adapters.iso20022.xml import MessageRefused
from service import errors
from service.actions import acknowledge_order, receiving, report_rejection
from service.actions.idempotency import Once
from service.errors import FieldError
from service.schemas.business_messages import BusinessMessageAccepted
from service.schemas.orders import AcknowledgementBody
from service.security import answer_texts
from service.security.scopes import Scope
from service.web import validation
from service.web.doors import Answering, Caller, HubDep, RawBody

router = APIRouter(prefix="/v1", tags=["orders"])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/xml": {
                "schema": {
                    "type": "string",
                    "maxLength": 65_536,
                    "description": "`BizMsg` with `AppHdr` (head.001.001.04) and `Document`, signed (XML Signature)",
                }
            }
        },
    }
}
# What is malformed rather than wrong: it is no XML text, or not one that the hub reads.
_MALFORMED = frozenset({"xml.too_large", "xml.encoding", "xml.doctype", "xml.syntax", "xml.not_plain", "xml.envelope"})


@router.post(
    "/iso20022", operation_id="receiveBusinessMessage", status_code=201, dependencies=[Answering], openapi_extra=_BODY
)
async def receive(hub: HubDep, principal: Caller, raw: RawBody) -> BusinessMessageAccepted:
    """Answer an order by a signed ISO 20022 message, or report that a message of the hub could not be processed."""
    principal.require(Scope.ORDERS_ANSWER)
    try:
        received = parse.read(raw)
        if received.drill is not hub.settings.drill:
            raise MessageRefused("xml.value", "AppHdr/BizSvc")
    except MessageRefused as refused:
        raise _refusal(refused) from None
    except SignatureInvalid as invalid:
        raise await receiving.refuse(hub, principal, invalid.reason) from None
    once = Once(f"iso20022:{received.id}", hashlib.sha256(raw).hexdigest(), "/AppHdr/BizMsgIdr", "xml.reused")
    if received.answer is None:
        return await report_rejection.report(hub, principal, received, once)
    order_id = UUID(received.answer.order_id)
    taken = await acknowledge_order.acknowledge(hub, principal, order_id, _body(received), raw, received, once)
    return BusinessMessageAccepted(message_id=received.id, **taken.model_dump(exclude={"id"}))


def _refusal(refused: MessageRefused) -> errors.HubError:
    fields = (FieldError(f"/{refused.place}", refused.code),) if refused.place else ()
    kind = errors.MalformedInput if refused.code in _MALFORMED else errors.InvalidInput
    return kind(refused.code, fields=fields)


def _body(received: Received) -> AcknowledgementBody:
    """Return what an acknowledgement in JSON would have said. Raises ``InvalidInput`` for what no answer can say."""
    members = answer_texts.of_business_message(received)
    try:
        return AcknowledgementBody.model_validate(members)
    except ValidationError as wrong:
        found = [{**error, "loc": ("body", *error["loc"])} for error in wrong.errors()]
        raise validation.translate(found, members) from None
