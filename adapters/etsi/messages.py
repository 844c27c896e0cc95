"""The HI1Message around everything: header, requests, responses, and the bytes of it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.etsi import terms

# A message says its namespaces in the same words each time; a reader of JSON needs none of them.
CONTENT_TYPE = "application/json"
NO_TRANSACTION = "00000000-0000-0000-0000-000000000000"


def request(
    actions: Sequence[Mapping[str, Any]], *, sender: str, receiver: str, transaction: str, at: str
) -> dict[str, Any]:
    """Return a message that asks; ``at`` is a QualifiedMicrosecondDateTime, an action its verb with its argument."""
    numbered = [{"ActionIdentifier": number, **action} for number, action in enumerate(actions)]
    payload = {"RequestPayload": {"ActionRequests": {"ActionRequest": numbered}}}
    return _message(payload, sender, receiver, transaction, at)


def response(
    actions: Sequence[Mapping[str, Any]], *, sender: str, receiver: str, transaction: str, at: str
) -> dict[str, Any]:
    """Return a message that answers each action of a request, under its ActionIdentifier."""
    payload = {"ResponsePayload": {"ActionResponses": {"ActionResponse": [dict(action) for action in actions]}}}
    return _message(payload, sender, receiver, transaction, at)


def failure(number: int, description: str, *, sender: str, receiver: str, transaction: str, at: str) -> dict[str, Any]:
    """Return a message that says why none of a request was carried out."""
    payload = {"ResponsePayload": {"ErrorInformation": terms.reason(number, description)}}
    return _message(payload, sender, receiver, transaction, at)


def encode(message: Mapping[str, Any]) -> bytes:
    """Return the bytes: the same message has the same ones, on every node and at every attempt.

    Raises ``TypeError`` or ``ValueError`` for what is not JSON.
    """
    text = json.dumps(message, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8")


def _message(payload: Mapping[str, Any], sender: str, receiver: str, transaction: str, at: str) -> dict[str, Any]:
    return {
        "Header": {
            "SenderIdentifier": terms.endpoint(sender),
            "ReceiverIdentifier": terms.endpoint(receiver),
            "TransactionIdentifier": transaction,
            "Timestamp": at,
            "Version": {
                "ETSIVersion": terms.VERSION,
                "NationalProfileOwner": terms.PROFILE_OWNER,
                "NationalProfileVersion": terms.PROFILE_VERSION,
            },
        },
        "Payload": dict(payload),
    }
