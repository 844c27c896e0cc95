"""``participant.v1.json``: the webhooks that a participant, an agency or a duty contact implements."""

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from service.contract import examples
from service.contract.examples import Example
from service.contract.hub import LICENCE, VERSION, untitled
from service.schemas.participant import (
    NoticeEvent,
    OrderEvent,
    OrderStatusEvent,
    ReadBackEvent,
    RequestStatusEvent,
    SilenceEndedEvent,
)

CONTENT_TYPE = "application/cloudevents+json"

_ABOUT = """\
What the hub sends to you. Each message is a CloudEvent 1.0 (structured JSON, under 20 kB) in a signed POST to the
address that the operator registered for you, over TLS.

**Verify before you read.** The signature is that of Standard Webhooks: take the header `webhook-signature`, which holds
one or more signatures with a space between them, each `v1,` and a base64 text. Compute HMAC-SHA256 over the bytes
`{webhook-id}.{webhook-timestamp}.{body}`, with the body exactly as it came, under the bytes that your secret holds
behind `whsec_` in base64. One of the signatures must be equal (compare in constant time). Refuse a `webhook-timestamp`
more than five minutes from your clock. While a secret is rotated, messages carry a signature for the old and one for
the new. Any library for Standard Webhooks does all this.

**An order is also signed by the hub itself**, in the header `Hoatoc-Signature`: a detached ES256 JWS (RFC 7515,
appendix F) over the RFC 8785 form of `data`, whose header names `typ` hoatoc-order+jws, the order's id as `sub` and a
key of `GET /v1/signing-keys` as `kid`. Keep it: it proves to a third party what you were ordered, long after the secret
is gone.

**Answer at once, act afterwards.** A 2xx says that you have it, durably; nothing else does. Redirects are not followed,
an answer is awaited for ten seconds. Without a 2xx the same message comes again, with the same `webhook-id` and the
same body: store the id and answer a repetition 2xx without acting twice.

**Obey the highest `sequence`** of a hold: what concerns one case and target is sent in order, yet retries may overtake.

**Batches, where your endpoint declares them** (`batch`, approved like its address): up to 100 messages or 20 kB,
whichever comes first, come as a JSON array of such events in one POST, `application/cloudevents-batch+json`. One
signature covers it, under a `webhook-id` of its own (`batch_` and 32 hexadecimal digits); each order carries the hub's
signature in its event, as the extension attribute `hoatocsignature`. Store each event under its own `id`, which is the
`webhook-id` that it has alone. A 2xx takes all of it, anything else none: whatever is tried again comes alone, as
described above, and so does what is due alone.

**Then acknowledge** an order with `POST` to its `answer_url` (`hub.v1.json`, `acknowledgeOrder`). The 2xx to a webhook
is the receipt, never the answer. New members and new event types may come: answer 2xx to what you do not know.
"""

_HEADERS = (
    ("webhook-id", "the message; the same over all attempts", {"type": "string", "pattern": "^msg_[0-9a-f]{32}$"}),
    ("webhook-timestamp", "this attempt, in seconds since 1970", {"type": "string", "pattern": "^[0-9]{1,12}$"}),
    (
        "webhook-signature",
        "one or more signatures, with a space between",
        {"type": "string", "pattern": "^v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)*$"},
    ),
)

# Of orders alone: what is told to an agency or a duty desk binds nobody.
_ORDER_HEADERS = (
    (
        "Hoatoc-Signature",
        "the hub's own signature of this order, the same over all attempts",
        {"type": "string", "pattern": r"^[A-Za-z0-9_-]+\.\.[A-Za-z0-9_-]{86}$"},
    ),
)

_SIGNED_BY_THE_HUB = frozenset({"order", "read_back", "silence_ended"})

_SIGNED = {
    "Hoatoc-Signature": (
        "eyJhbGciOiJFUzI1NiIsInR5cCI6ImhvYXRvYy1vcmRlcitqd3MiLCJraWQiOiJWQVNkXy1vNk1SWFpyOGxmNWJ4QXViM1NE"
        "eXBLaDU5NGF1Ny1lSkVxdXl3IiwiaWF0IjoxNzk1NDAxMDAxLCJqdGkiOiJEWmcyUUdVWWVXY0phMm1sZmlSMGhRIiwic3Vi"
        "IjoiMDE5MzVhMTAtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAyIn0..Sv6hq3KhfGRUUMx4aQsPYtdYyQbUJ4zz3ubZVy1"
        "6kSIao2svEPval5suQ_Zjudlp02xb_AeQad7_mGpbdUETnA"
    ),
    "webhook-id": "msg_0193580c4d7e7a31a0c2f7b6a1d20001",
    "webhook-timestamp": "1795401000",
    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
}

# webhook → (what it is, the events that it carries)
_WEBHOOKS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "order": (
        "receiveOrder",
        "An order to you about one target: freeze, lift, extend, takedown, preserve, recall, disclose or trace. Sent to"
        " the endpoint with the purpose `orders`. A participant without a webhook pulls the same events (`hub.v1.json`,"
        " `listOrders`).",
        ("OrderEvent",),
    ),
    "read_back": (
        "receiveReadBack",
        "A question about a hold that you executed: what do you hold of it now? Sent to the endpoint with the purpose"
        " `orders`, and into the inbox. Answer `executed` with `amount_held`; answer `lifted` where nothing is held any"
        " more. Where you hold less than you said, say so: a coordinator of the hub calls you.",
        ("ReadBackEvent",),
    ),
    "silence_ended": (
        "receiveSilenceEnded",
        "The silence that a disclosure or a trace asked of you is over: two officers of the agency ended it. Sent to"
        " the endpoint with the purpose `orders`, and into the inbox. Nobody awaits an answer to it, and it overtakes"
        " nothing: what you have not answered is still to be answered. Until it comes, or a paper of the agency says"
        " it, keep silent.",
        ("SilenceEndedEvent",),
    ),
    "status": (
        "receiveStatus",
        "What became of your request or of one of its orders. Sent to an agency's endpoints with the purpose `status`.",
        ("RequestStatusEvent", "OrderStatusEvent"),
    ),
    "notice": (
        "receiveNotice",
        "A deadline was missed and you are called: as the participant's duty contact, the coordinator, the supervisor"
        " or the agency. Sent to the endpoints of the duty contacts. It holds no personal data.",
        ("NoticeEvent",),
    ),
}


def document(shown: Mapping[str, Example]) -> dict[str, Any]:
    """Return the document, with the examples given."""
    models = (OrderEvent, ReadBackEvent, SilenceEndedEvent, RequestStatusEvent, OrderStatusEvent, NoticeEvent)
    _, made = models_json_schema(
        [(model, "serialization") for model in models], ref_template="#/components/schemas/{model}"
    )
    schemas = made["$defs"]
    untitled(schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hỏa Tốc: webhooks", "version": VERSION, "description": _ABOUT, "license": LICENCE},
        "webhooks": {name: {"post": _webhook(name, shown)} for name in _WEBHOOKS},
        "components": {"schemas": dict(sorted(schemas.items())), "responses": _responses()},
    }


def _webhook(name: str, shown: Mapping[str, Example]) -> dict[str, Any]:
    operation, said, events = _WEBHOOKS[name]
    references = [{"$ref": f"#/components/schemas/{event}"} for event in events]
    schema = references[0] if len(references) == 1 else {"oneOf": references}
    return {
        "operationId": operation,
        "summary": said.partition(".")[0].partition(":")[0],
        "description": said,
        "parameters": [
            {
                "name": header,
                "in": "header",
                "required": True,
                "description": meaning,
                "schema": form,
                "example": _SIGNED[header],
            }
            for header, meaning, form in (*_HEADERS, *(_ORDER_HEADERS if name in _SIGNED_BY_THE_HUB else ()))
        ],
        "requestBody": {
            "required": True,
            "content": {CONTENT_TYPE: examples.media(schema, shown.get(operation, Example()).requests)},
        },
        "responses": {
            "2XX": {"$ref": "#/components/responses/Received"},
            "410": {"$ref": "#/components/responses/Gone"},
            "429": {"$ref": "#/components/responses/Later"},
            "503": {"$ref": "#/components/responses/Later"},
            "default": {"$ref": "#/components/responses/NotReceived"},
        },
    }


def _responses() -> dict[str, Any]:
    return {
        "Received": {"description": "You have it, durably. The body is ignored; keep it short."},
        "Gone": {
            "description": "You do not receive here any more: the hub tells its coordinators, and keeps trying, for an"
            " order is not dropped because an address is."
        },
        "Later": {
            "description": "Not now: sent again after `Retry-After`, or at the hub's own pace without it.",
            "headers": {"Retry-After": {"description": "seconds, or a date", "schema": {"type": "string"}}},
        },
        "NotReceived": {
            "description": "Anything else, a redirect too, is a failure: sent again, for up to 72 hours, while the"
            " clocks run."
        },
    }
