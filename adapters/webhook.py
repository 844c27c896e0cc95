"""The default format: CloudEvents 1.0 in JSON, one or a batch of them, signed by Standard Webhooks, over HTTPS."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters import signing
from adapters.base import DeliveryFailed, Endpoint, Message, Receipt, Transport
from workflows.terms import DispatchKind

CONTENT_TYPE = "application/cloudevents+json"
# The hub's own signature of an order: it stays good when the shared secret is long forgotten.
SIGNATURE = "Hoatoc-Signature"
# Standard Webhooks: a payload stays under 20 kB, so that no receiver's limit swallows it.
BODY_BELOW = 20_000
# CloudEvents' JSON format, section 4; the hub's own signature of each order is an extension attribute of its event.
BATCH_TYPE = "application/cloudevents-batch+json"
BATCH_AT_MOST = 100
SIGNATURE_ATTRIBUTE = "hoatocsignature"
# Of an exercise, beside the word in the signed body: whoever routes by the envelope alone sees it.
DRILL_ATTRIBUTE = "hoatocdrill"


class EventInvalid(Exception):
    """The bytes are no CloudEvent of the hub; the message says which part is wrong."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Signs and sends; ``source`` names the hub in each event, ``clock`` gives seconds since 1970."""

    source: str
    clock: Callable[[], float] = time.time

    async def send(self, message: Message, endpoint: Endpoint, transport: Transport) -> Receipt:
        """POST the event with a fresh timestamp, one signature a secret and, of an order, the hub's own.

        Adds to the codes of the transport ``message.malformed`` and ``message.too_large``, which no retry can cure,
        and ``endpoint.no_secret``: an unsigned order is never sent.
        """
        try:
            content = cloud_event(message, self.source)
        except (TypeError, ValueError):
            raise DeliveryFailed("message.malformed", retryable=False) from None
        if len(content) >= BODY_BELOW:
            raise DeliveryFailed("message.too_large", retryable=False)
        headers = self._signed(message.id, content, endpoint, CONTENT_TYPE)
        if message.signature:
            headers[SIGNATURE] = message.signature
        return await transport.post(endpoint.url, content=content, headers=headers, endpoint=endpoint)

    def batches(self, messages: Sequence[Message]) -> list[list[Message]]:
        """Divide messages, in their order, into batches of at most 100 and below 20 kB.

        What fits into none, or is no event at all, stands alone: ``send`` says what is wrong with it.
        """
        found: list[list[Message]] = []
        size = 0
        for message in messages:
            try:
                # Itself, and a comma or a bracket.
                more = len(_in_batch(message, self.source)) + 1
            except (TypeError, ValueError):
                more = BODY_BELOW
            if not found or size + more >= BODY_BELOW or len(found[-1]) == BATCH_AT_MOST:
                found.append([])
                size = 1
            found[-1].append(message)
            size += more
        return found

    async def send_batch(self, messages: Sequence[Message], endpoint: Endpoint, transport: Transport) -> Receipt:
        """POST events as one batch under one HMAC; each order has the hub's own signature inside its event.

        ``webhook-id`` is made from the ids of the events, in their order. Adds to the codes of the transport
        ``endpoint.no_secret``.
        """
        content = b"[" + b",".join(_in_batch(message, self.source) for message in messages) + b"]"
        named = hashlib.sha256(" ".join(message.id for message in messages).encode()).hexdigest()
        headers = self._signed(f"batch_{named[:32]}", content, endpoint, BATCH_TYPE)
        return await transport.post(endpoint.url, content=content, headers=headers, endpoint=endpoint)

    def _signed(self, message_id: str, content: bytes, endpoint: Endpoint, media_type: str) -> dict[str, str]:
        sent_at = int(self.clock())
        try:
            signature = signing.sign(endpoint.secrets, message_id, sent_at, content)
        except ValueError:
            raise DeliveryFailed("endpoint.no_secret") from None
        return {
            "Content-Type": media_type,
            "webhook-id": message_id,
            "webhook-timestamp": str(sent_at),
            "webhook-signature": signature,
        }


def cloud_event(message: Message, source: str) -> bytes:
    """Return the event as JSON; the same message gives the same bytes, on every node and at every attempt.

    ``sequence`` is text of ten digits: the CloudEvents sequence extension wants an order that text comparison keeps.
    The members are sorted and ``data`` is its RFC 8785 form, so that whoever has no JSON at hand cuts it out.
    Raises ``TypeError`` or ``ValueError`` for a body that is not JSON and for an instant without a zone.
    """
    return _json(_event(message, source))


def _in_batch(message: Message, source: str) -> bytes:
    signed = {SIGNATURE_ATTRIBUTE: message.signature} if message.signature else {}
    return _json(_event(message, source) | signed)


def _event(message: Message, source: str) -> dict[str, Any]:
    if message.occurred_at.tzinfo is None:
        raise ValueError("an event's instant needs a zone")
    return {
        "specversion": "1.0",
        "id": message.id,
        "source": source,
        "type": message.type,
        "subject": message.subject,
        "time": message.occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "sequence": f"{message.sequence:010d}",
        "datacontenttype": "application/json",
        "data": dict(message.body),
        **({DRILL_ATTRIBUTE: True} if message.body.get("drill") is True else {}),
    }


def _json(event: dict[str, Any]) -> bytes:
    text = json.dumps(event, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8")


def parse(content: bytes) -> Message:
    """Return the message that a signed body carries, as a receiver reads it; raises ``EventInvalid``."""
    try:
        event = json.loads(content)
    except (ValueError, RecursionError):
        raise EventInvalid("not JSON") from None
    return _message(event)


def _message(event: Any) -> Message:
    if not isinstance(event, dict) or event.get("specversion") != "1.0" or not isinstance(event.get("data"), dict):
        raise EventInvalid("not a CloudEvent 1.0 with an object as data")
    try:
        occurred_at = datetime.fromisoformat(_text(event, "time"))
        sequence = int(_text(event, "sequence"))
        kind = DispatchKind(_text(event, "type").removeprefix("vn.hoatoc.").partition(".")[0])
    except ValueError:
        raise EventInvalid("time, sequence or type is malformed") from None
    if occurred_at.tzinfo is None:
        raise EventInvalid("time has no zone")
    return Message(
        id=_text(event, "id"),
        type=_text(event, "type"),
        kind=kind,
        subject=_text(event, "subject"),
        occurred_at=occurred_at.astimezone(UTC),
        sequence=sequence,
        body=event["data"],
    )


def parse_batch(content: bytes) -> list[tuple[Message, str | None]]:
    """Return the messages of a batch, each with the hub's own signature where its event has one.

    Raises ``EventInvalid`` for what is no batch, and for one with an event in it that is none.
    """
    try:
        events = json.loads(content)
    except (ValueError, RecursionError):
        raise EventInvalid("not JSON") from None
    if not isinstance(events, list) or not events:
        raise EventInvalid("not a batch of events")
    return [(_message(event), _signature(event)) for event in events]


def _signature(event: dict[str, Any]) -> str | None:
    return _text(event, SIGNATURE_ATTRIBUTE) if SIGNATURE_ATTRIBUTE in event else None


def _text(event: dict[str, Any], name: str) -> str:
    value = event.get(name)
    if not isinstance(value, str) or not value:
        raise EventInvalid(f"{name} is missing")
    return value
