"""What a participant's system says to a request of ours: carried out, or a coded failure of the delivery."""

import json
from collections.abc import Mapping
from typing import Any

from adapters.base import DeliveryFailed

_SAYS = {"CREATE": "CREATEResponse", "UPDATE": "UPDATEResponse"}


def check(request: Mapping[str, Any], body: bytes, status: int) -> None:
    """Return if every action of our request was carried out, by the system that it was sent to.

    A status in it that looks final is no answer: nobody signed it, and the transport of an answer keeps no header. The
    participant answers at the hub's own door. Raises ``DeliveryFailed``: ``hi1.response_malformed`` (no HI1 response),
    ``hi1.response_foreign`` (another transaction, sender or receiver), ``hi1.refused`` (none was carried out),
    ``hi1.action_refused`` (one was not) or ``hi1.action_unanswered``. Each may be tried again: the same transaction
    has the same bytes.
    """
    try:
        response = json.loads(body)
        header, payload = response["Header"], response["Payload"]["ResponsePayload"]
        asked = request["Header"]
        is_ours = (
            header["TransactionIdentifier"].lower(),
            header["SenderIdentifier"],
            header["ReceiverIdentifier"],
        ) == (
            asked["TransactionIdentifier"],
            asked["ReceiverIdentifier"],
            asked["SenderIdentifier"],
        )
        if not is_ours:
            raise _failed("hi1.response_foreign", status, body)
        if "ErrorInformation" in payload:
            raise _failed("hi1.refused", status, body)
        _actions(request, payload["ActionResponses"]["ActionResponse"], status, body)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise _failed("hi1.response_malformed", status, body) from None


def _actions(request: Mapping[str, Any], answers: Any, status: int, body: bytes) -> None:
    told = {answer["ActionIdentifier"]: answer for answer in answers}
    if len(told) != len(answers):
        raise ValueError("an action is answered twice")
    for action in request["Payload"]["RequestPayload"]["ActionRequests"]["ActionRequest"]:
        verb = next(name for name in action if name != "ActionIdentifier")
        answer = told.get(action["ActionIdentifier"], {})
        if "ErrorInformation" in answer:
            raise _failed("hi1.action_refused", status, body)
        wanted = action[verb]["HI1Object"]["ObjectIdentifier"]
        if answer.get(_SAYS[verb], {}).get("Identifier", "").lower() != wanted:
            raise _failed("hi1.action_unanswered", status, body)


def _failed(code: str, status: int, body: bytes) -> DeliveryFailed:
    return DeliveryFailed(code, status=status, body_head=body[:2048])
