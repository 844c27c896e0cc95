"""The participant's half of ETSI TS 103 120: HI1 requests are taken, and the participant's own answer them."""

import base64
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from adapters.base import DeliveryFailed, Message
from adapters.etsi import answering, identifiers, instants, messages, shapes, terms
from adapters.etsi.terms import Wrong
from adapters.sandbox import business
from adapters.sandbox.behaviour import Mistake
from adapters.sandbox.events import Mistakes, called_by_the_hub, proved
from adapters.sandbox.hub import Hub
from adapters.sandbox.ledger import Order
from adapters.sandbox.signatures import HubKeys
from adapters.sandbox.speech import Heard, NotTaken
from adapters.transport import HubAnswer
from workflows.terms import Action, DispatchKind, Outcome, RefusalCode

DOOR = "/v1/etsi"


class Hi1:
    """Verifies who called and what was ordered like a webhook, and signs its own messages; ``issuer`` is the hub."""

    def __init__(
        self, hub: Hub, keys: HubKeys, name: str, issuer: str, secret: str, mistakes: Mistakes = frozenset()
    ) -> None:
        self._hub, self._keys, self._name, self._issuer, self._secret = hub, keys, name, issuer, secret
        self._mistakes = mistakes
        # The type and the identifier of the task that each order made or changes.
        self._tasks: dict[str, tuple[str, str]] = {}

    async def hear(self, headers: Mapping[str, str], content: bytes) -> list[Heard]:
        """Read one HI1 request, whose order is the document that the hub signed; raises ``NotTaken``."""
        called_by_the_hub(self._secret, headers, content, self._mistakes)
        try:
            request = json.loads(content)
            header = request["Header"]
            parties = (header["SenderIdentifier"], header["ReceiverIdentifier"])
            acted = list(_actions(request))
            message, signature = _signed_order(header, acted)
            task = acted[-1][2]
            made = (str(task["@xsi:type"]), str(task["ObjectIdentifier"]))
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError, IndexError, StopIteration):
            raise NotTaken(400, "malformed", "no HI1 request about an order") from None
        if parties != (terms.endpoint(self._issuer), terms.endpoint(self._name)):
            raise NotTaken(400, "malformed", "it is from or for somebody else")
        if Mistake.READS_ANY_FORM not in self._mistakes:
            self._check_head(header)
        order = await proved(self._keys, message, signature, self._mistakes)
        self._tasks[order.id] = made
        return [Heard(message.id, message.type, order, messages.encode(self._taken(header, acted)))]

    def _check_head(self, header: Mapping[str, Any]) -> None:
        """Return if the head has the members of the standard and no other; raises ``NotTaken``."""
        try:
            shapes.Header.model_validate(header)
        except ValidationError:
            told = messages.failure(
                Wrong.MALFORMED,
                "field.unknown /Header",
                sender=self._name,
                receiver=self._issuer,
                transaction=str(header["TransactionIdentifier"]),
                at=instants.microseconds(_now()),
            )
            raise NotTaken(200, "malformed", "a field of the head is unknown", reply=messages.encode(told)) from None

    async def answer(self, order: Order, acknowledgement: Mapping[str, Any]) -> HubAnswer:
        """POST the HI1 request that says it; raises ``DeliveryFailed``, with ``hi1.refused`` where the hub refuses."""
        request = messages.request(
            [self._said(order, acknowledgement)],
            sender=self._name,
            receiver=self._issuer,
            transaction=str(uuid.uuid4()),
            at=instants.microseconds(_now()),
        )
        answer = await self._hub.send(DOOR, messages.encode(request), about=order.id)
        if answer.status < 300 and b'"ErrorInformation"' in answer.body:
            raise DeliveryFailed("hi1.refused", status=answer.status, body_head=answer.body[:2048])
        return answer

    def _said(self, order: Order, said: Mapping[str, Any]) -> dict[str, Any]:
        outcome = Outcome(said["outcome"])
        if order.action is Action.DISCLOSE and outcome is Outcome.EXECUTED:
            if said["disclosed"]:
                return _delivered(order, business.plain(said["disclosed"]))
            said, outcome = {"refusal_code": RefusalCode.TARGET_NOT_FOUND}, Outcome.REFUSED
        kind, task = self._tasks.get(order.id) or (terms.TASKS.get(order.action, terms.TAKEDOWN), order.id)
        made: dict[str, Any] = {"@xsi:type": kind, "ObjectIdentifier": task, "ExternalIdentifier": order.id}
        if outcome is Outcome.EXECUTED and order.action is Action.LIFT:
            outcome = Outcome.LIFTED
        if outcome is Outcome.LIFTED:
            made["task:DesiredStatus"] = terms.entry(terms.DESIRED[kind], terms.CANCELLED)
        if outcome is Outcome.NOT_MINE:
            to = said.get("ported_to")
            about = f"{terms.PORTED_TO}{to}" if to else outcome
            made["task:StatusReason"] = terms.reason(terms.NUMBERS[RefusalCode.NOT_MINE], about)
        elif outcome is Outcome.REFUSED:
            number = terms.NUMBERS.get(said["refusal_code"], terms.NUMBERS[RefusalCode.OTHER])
            made["task:StatusReason"] = terms.reason(number, said["refusal_code"])
        made["task:Status"] = terms.entry(terms.STATUS[kind], _status(kind, outcome))
        return {"UPDATE": {"HI1Object": made}}

    def _taken(self, header: Mapping[str, Any], acted: list[tuple[int, str, dict[str, Any]]]) -> dict[str, Any]:
        return messages.response(
            [
                {"ActionIdentifier": number, f"{verb}Response": {"Identifier": made["ObjectIdentifier"]}}
                for number, verb, made in acted
            ],
            sender=self._name,
            receiver=self._issuer,
            transaction=header["TransactionIdentifier"],
            at=instants.microseconds(_now()),
        )


def _actions(request: Mapping[str, Any]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield number, verb and object of each action."""
    for action in request["Payload"]["RequestPayload"]["ActionRequests"]["ActionRequest"]:
        verb = next(name for name in action if name != "ActionIdentifier")
        yield action["ActionIdentifier"], verb, action[verb]["HI1Object"]


def _signed_order(
    header: Mapping[str, Any], acted: list[tuple[int, str, dict[str, Any]]]
) -> tuple[Message, str | None]:
    """Return the order as the hub signed it; what its task says over again is for systems that read only tasks."""
    kind = terms.own("DocumentType", "SignedOrder")
    paper = next(made for _, _, made in acted if made.get("doc:DocumentType") == kind)
    body = json.loads(base64.b64decode(paper["doc:DocumentBody"]["doc:Contents"]))
    said = paper["doc:DocumentProperties"]["doc:DocumentProperty"]
    signature = next((each["doc:PropertyValue"] for each in said), None)
    message = Message(
        id=str(header["TransactionIdentifier"]),
        type=f"vn.hoatoc.order.{body['action']}",
        kind=DispatchKind.ORDER,
        subject=str(body["order_id"]),
        occurred_at=datetime.fromisoformat(header["Timestamp"]),
        sequence=int(body["sequence"]),
        body=body,
        signature=signature,
    )
    return message, signature


def _delivered(order: Order, data: Mapping[str, str]) -> dict[str, Any]:
    identifier = str(uuid.uuid4())
    made = {
        "@xsi:type": terms.DELIVERY,
        "ObjectIdentifier": identifier,
        "delivery:Reference": {"delivery:LDID": identifiers.disclosure(order.id)},
        "delivery:Manifest": {"delivery:ExternalSchema": {"delivery:ManifestID": terms.MANIFEST}},
        "delivery:Delivery": {"delivery:JSONData": dict(data)},
    }
    return {"DELIVER": {"Identifier": identifier, "HI1Object": made}}


def _status(kind: str, outcome: Outcome) -> str:
    """Return the status of a task that says an outcome."""
    if outcome is Outcome.LIFTED and kind != terms.PRESERVATION:
        outcome = Outcome.EXECUTED
    if outcome in (Outcome.REFUSED, Outcome.NOT_MINE):
        return "Rejected"
    return next(status for status, meant in answering.OUTCOMES[kind].items() if meant == outcome)


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)
