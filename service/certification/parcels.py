"""What is really sent in the place of a message: the message itself, or one that a careful receiver must not obey."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.base import Message
from service import clock
from service.security import signatures
from service.security.keyring import SigningKey
from service.security.signatures import Kind
from workflows.terms import Channel, DispatchKind

# Further back than any receiver may accept: Standard Webhooks allows five minutes.
OLD = -3600.0
_KEY_LASTS = timedelta(days=365)
_LATE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Hand:
    """Whose signature stands under an order: the id that it names, and the key that really signs."""

    kid: str
    private: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message and how it is sent.

    ``hand`` signs it where it is not the hub's own signature that travels. ``secrets`` stand in the place of the
    endpoint's, ``shift`` is in seconds and moves the instant of sending. ``instead`` is a text of what was
    signed, and what takes its place after the signing. ``foreign`` breaks the form itself, where a form has a schema.
    """

    message: Message
    hand: Hand | None = None
    secrets: tuple[str, ...] | None = None
    shift: float = 0.0
    instead: tuple[str, str] | None = None
    foreign: bool = False

    def travelling(self, channel: Channel) -> Message:
        """Return the message as a channel's adapter gets it: with the signature that travels, over what was signed."""
        message = self.message
        if self.hand is not None:
            payload, about = rfc8785.dumps(dict(message.body)), str(message.body["order_id"])
            signature = signatures.sign(
                self.hand.private, self.hand.kid, Kind.ORDER, payload, at=message.occurred_at, about=about
            )
            message = replace(message, signature=signature)
        if self.instead is not None and channel is not Channel.ISO20022:
            body = json.loads(json.dumps(dict(message.body)).replace(*self.instead))
            message = replace(message, body=body)
        return message


def hand(key: SigningKey) -> Hand:
    """Return the hand of a key."""
    return Hand(key.kid, key.private)


def forged(message: Message, key: SigningKey) -> Parcel:
    """Return an order that names the hub's key and is signed by somebody else's."""
    return Parcel(message, hand=Hand(key.kid, ec.generate_private_key(ec.SECP256R1())))


def altered(message: Message) -> Parcel:
    """Return an order that was changed after the hub had signed it: another target."""
    value = str(message.body["target"]["value"])
    other = value[:-1] + ("2" if value[-1] != "2" else "3")
    return Parcel(message, instead=(value, other))


def fresh_key(now: datetime) -> SigningKey:
    """Return a key that the hub has never shown before and that signs from now on."""
    return SigningKey.generate(not_before=now - timedelta(minutes=1), not_after=now + _KEY_LASTS)


def with_member(message: Message, key: SigningKey) -> Parcel:
    """Return an order with a member that nobody knows yet, signed by the hub: contracts grow."""
    return Parcel(replace(message, body={**message.body, "certification": "unknown"}), hand=hand(key))


def late(message: Message, key: SigningKey) -> Parcel:
    """Return an order whose deadlines have all passed, signed by the hub."""
    past = clock.written(message.occurred_at - _LATE)
    deadlines = [{**each, "due_at": past} for each in message.body["deadlines"]]
    return Parcel(replace(message, body={**message.body, "deadlines": deadlines}), hand=hand(key))


def of_unknown_type(message: Message) -> Parcel:
    """Return an event of a type that does not exist yet, about nothing."""
    body: Mapping[str, Any] = {"certification": "unknown"}
    made = clock.new_id()
    event = replace(
        message,
        id=f"msg_{made.hex}",
        type="vn.hoatoc.notice.certification",
        kind=DispatchKind.NOTICE,
        subject=str(made),
        body=body,
        signature=None,
    )
    return Parcel(event)
