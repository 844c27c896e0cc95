"""The door for participants that speak ETSI TS 103 120: answers to orders, and readings of them, as HI1 messages."""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body
from pydantic import ValidationError

from adapters.answers import Answer
from adapters.etsi import answering, instants, messages, parse, showing, terms
from adapters.etsi.refusal import Refused
from adapters.etsi.shapes import Config, Delivery, Get, List
from adapters.etsi.terms import Wrong
from service import clock, errors
from service.actions import acknowledge_order, note_reading, report_fault
from service.actions.idempotency import Once
from service.engine.hub import Hub
from service.queries import etsi_objects
from service.schemas.orders import AcknowledgementBody
from service.security import answer_texts
from service.security.principals import Principal
from service.security.scopes import Scope
from service.web import pointer
from service.web.admission import Admission
from service.web.doors import AdmissionDep, Caller, HubDep, RawBody, Signature
from workflows.terms import Door, View

router = APIRouter(prefix="/v1", tags=["orders"])

_TRANSACTION = "/Header/TransactionIdentifier"
_KINDS = {(owner, name): kind for kind, (owner, name) in terms.OBJECT_TYPES.items()}

Hi1Message = Annotated[dict[str, Any], Body(description="an HI1Message of ETSI TS 103 120 with a RequestPayload")]


@router.post("/etsi", operation_id="exchangeMessage")
async def exchange(
    hub: HubDep,
    principal: Caller,
    admission: AdmissionDep,
    body: Hi1Message,
    raw: RawBody,
    signature: Signature = None,
) -> dict[str, Any]:
    """Answer an order (UPDATE, DELIVER), or read your own (GET, LIST, GETCSPCONFIG), in an HI1Message."""
    principal.require(Scope.ORDERS_ANSWER)
    transaction, source = parse.transaction(body), hub.settings.address
    head = {
        "sender": source,
        "receiver": principal.tenant,
        "transaction": transaction,
        "at": instants.microseconds(clock.utc_now()),
    }
    try:
        request = parse.request(body, sender=principal.tenant, receiver=source)
    except Refused as refused:
        return messages.failure(refused.number, refused.description, **head)
    once = Once(f"hi1:{request.transaction}", hashlib.sha256(raw).hexdigest(), _TRANSACTION)
    told = []
    for action in request.actions:
        try:
            done = await _done(hub, principal, admission, action.asked, raw, signature, once)
        except (Refused, errors.NotFound, errors.Forbidden, errors.InvalidInput, errors.Conflict) as wrong:
            done = {"ErrorInformation": _why(wrong)}
        told.append({"ActionIdentifier": action.number, **done})
    return messages.response(told, **head)


async def _done(
    hub: Hub,
    principal: Principal,
    admission: Admission,
    asked: parse.Asked,
    raw: bytes,
    signature: str | None,
    once: Once,
) -> dict[str, Any]:
    match asked:
        case Config():
            return {"GETCSPCONFIGResponse": showing.config()}
        case List():
            return {"LISTResponse": {"ListResponseRecord": await _list(hub, principal, asked)}}
        case Get():
            return {"GETResponse": {"HI1Object": await _get(hub, principal, UUID(asked.identifier))}}
        case Delivery():
            await _answer(hub, principal, admission, asked, None, terms.DISCLOSURE, raw, signature, once)
            return {"DELIVERResponse": {"Identifier": asked.identifier}}
        case _:
            await _answer(hub, principal, admission, asked, UUID(asked.identifier), asked.kind, raw, signature, once)
            return {"UPDATEResponse": {"Identifier": asked.identifier}}


async def _get(hub: Hub, principal: Principal, identifier: UUID) -> dict[str, Any]:
    async with hub.database.read(principal.reach) as conn:
        found = await etsi_objects.one(conn, hub.vault, principal, identifier, hub.settings.address)
    if found is None:
        raise errors.NotFound
    about = {"order_id": str(found.order_id)}
    await note_reading.opened(hub, principal, Door.API, View.ORDER, [found.request_id], **about)
    return found.made


async def _list(hub: Hub, principal: Principal, asked: List) -> list[dict[str, Any]]:
    kinds: list[str] | None = None
    if asked.kind is not None:
        kind = _KINDS.get((asked.kind.owner, asked.kind.value))
        if asked.kind.name != "ObjectType" or kind is None:
            raise Refused(Wrong.NOT_SPOKEN, "object.type", "ObjectType")
        kinds = [kind]
    if asked.country not in (None, terms.COUNTRY):
        return []
    try:
        since = datetime.fromisoformat(asked.since).astimezone(UTC) if asked.since else None
    except (ValueError, OverflowError):
        raise Refused(Wrong.MALFORMED, "field.out_of_range", "LastChanged") from None
    most = min(asked.most or etsi_objects.MOST, etsi_objects.MOST)
    async with hub.database.read(principal.reach) as conn:
        return await etsi_objects.listed(conn, principal, hub.settings.address, kinds=kinds, since=since, most=most)


async def _answer(
    hub: Hub,
    principal: Principal,
    admission: Admission,
    said: answering.Said | Delivery,
    task: UUID | None,
    kind: str,
    raw: bytes,
    signature: str | None,
    once: Once,
) -> None:
    given = answering.of(said)
    order_id = UUID(given.order_id)
    async with admission.answering():
        async with hub.database.read(principal.reach) as conn:
            if not await etsi_objects.is_about(conn, principal, order_id, task, kind):
                raise errors.NotFound
        if given.outcome == "error":
            await report_fault.report(hub, principal, order_id, raw, signature, once)
            return
        body = _acknowledgement(given)
        await acknowledge_order.acknowledge(hub, principal, order_id, body, raw, signature, once)


def _acknowledgement(given: Answer) -> AcknowledgementBody:
    said: dict[str, Any] = {"outcome": given.outcome}
    said |= {"refusal_code": given.refusal_code} if given.refusal_code else {}
    said |= {"ported_to": given.ported_to} if given.ported_to else {}
    said |= {"disclosed": answer_texts.data(given.disclosed)} if given.disclosed else {}
    try:
        return AcknowledgementBody.model_validate(said)
    except ValidationError as wrong:
        place = pointer.build(wrong.errors(include_url=False, include_input=False)[0]["loc"])
        raise Refused(Wrong.MALFORMED, "field.wrong", place) from None


def _why(wrong: Refused | errors.HubError) -> dict[str, Any]:
    """Return the ErrorInformation: another's object and one that does not exist are told in the same words."""
    if isinstance(wrong, Refused):
        return terms.reason(wrong.number, wrong.description)
    if isinstance(wrong, errors.NotFound):
        return terms.reason(Wrong.UNKNOWN_OBJECT, "object.unknown")
    if isinstance(wrong, errors.Forbidden):
        return terms.reason(Wrong.SIGNATURE, wrong.code)
    fields = " ".join(f"{each.code} {each.field}" for each in wrong.fields)
    is_reused = any(each.field == _TRANSACTION for each in wrong.fields)
    return terms.reason(Wrong.TRANSACTION_REUSED if is_reused else Wrong.NOT_ALLOWED, fields or wrong.code)
