"""What a participant's answer says, in whichever format it was signed, with the members of an acknowledgement."""

from collections.abc import Mapping
from typing import Any

from adapters.answers import Moved, Traced
from adapters.etsi import answering
from adapters.etsi import parse as hi1
from adapters.etsi.refusal import Refused
from adapters.iso20022 import parse as business
from adapters.iso20022 import schemas
from adapters.iso20022.parse import Received
from adapters.iso20022.sign import SignatureInvalid
from adapters.iso20022.xml import MessageRefused
from service.security import evidence_checks as checks


def read(text: str) -> Mapping[str, Any]:
    """Return the members of an answer as an acknowledgement has them; of what is none, no members at all.

    An HI1 message (ETSI TS 103 120) also says to which order it belongs (``order_id``): its signature stands over the
    whole message, which names the order once more.
    """
    if is_business_message(text):
        try:
            return of_business_message(business.read(text.encode()))
        except (MessageRefused, SignatureInvalid):
            return {}
    body = checks.object_of(text)
    return _of_hi1(body) if "Payload" in body else body


def is_business_message(text: str) -> bool:
    """Tell whether an answer is an ISO 20022 message, which is signed inside."""
    return text.startswith("<")


def of_business_message(received: Received) -> Mapping[str, Any]:
    """Return the members of the acknowledgement that a business message is; none for one that answers no order.

    The amount of a camt.029 is what was sent back, every other one what is held now.
    """
    answer = received.answer
    if answer is None:
        return {}
    said: dict[str, Any] = {"outcome": answer.outcome}
    if answer.amount is not None:
        value, currency = answer.amount
        name = "amount_returned" if received.definition == schemas.RESOLUTION else "amount_held"
        said[name] = {"value": str(value), "currency": currency}
    if answer.refusal_code is not None:
        said["refusal_code"] = answer.refusal_code
    if answer.ported_to is not None:
        said["ported_to"] = answer.ported_to
    if answer.disclosed is not None:
        said["disclosed"] = data(answer.disclosed)
    if answer.traced is not None:
        said["traced"] = traced(answer.traced)
    return said


def traced(answered: Traced) -> dict[str, Any]:
    """Return the answer to a trace as JSON has it."""
    return {"movements": [_movement(each) for each in answered.movements], "has_more": answered.has_more}


def data(disclosed: Mapping[str, str]) -> dict[str, Any]:
    """Return disclosed data as JSON has them: a paper is its kind, a blank and its number."""
    said: dict[str, Any] = dict(disclosed)
    if "holder_document" in disclosed:
        kind, _, number = disclosed["holder_document"].partition(" ")
        said["holder_document"] = {"kind": kind, "number": number}
    return said


def _movement(moved: Moved) -> dict[str, Any]:
    value, currency = moved.amount
    said: dict[str, Any] = {
        "direction": moved.direction,
        "amount": {"value": str(value), "currency": currency},
        "at": moved.at,
        "kind": moved.kind,
    }
    if moved.counterparty is not None:
        said["counterparty"] = dict(moved.counterparty)
    return said


def _of_hi1(body: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        header = body["Header"]
        parties = {
            name: header[f"{name.capitalize()}Identifier"]["UniqueIdentifier"] for name in ("sender", "receiver")
        }
        action = hi1.request(body, **parties).answer
        if action is None or not isinstance(action.asked, hi1.Answering):
            return {}
        given = answering.of(action.asked)
    except (Refused, KeyError, TypeError):
        return {}
    said = {"outcome": given.outcome, "order_id": given.order_id, "participant_id": parties["sender"]}
    return said | ({"disclosed": data(given.disclosed)} if given.disclosed else {})
