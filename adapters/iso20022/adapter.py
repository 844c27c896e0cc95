"""Sends an order to a bank as an ISO 20022 message over HTTPS, signed by the hub; the same bytes at every attempt."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from cryptography.hazmat.primitives.asymmetric import ec

from adapters.base import DeliveryFailed, Endpoint, Message, Receipt, Transport
from adapters.iso20022 import envelope, inquiries, reservations, schemas
from adapters.iso20022.envelope import Header, Party
from adapters.iso20022.xml import Element

CONTENT_TYPE = "application/xml"
# The id of the key and the key itself that sign what was placed at an instant. Raises ValueError where none was good.
KeyAt = Callable[[datetime], tuple[str, ec.EllipticCurvePrivateKey]]

_Build = Callable[[Message], Element]
_ORDER = "vn.hoatoc.order."


@dataclass(frozen=True, slots=True)
class Iso20022:
    """Builds, signs and sends; ``hub`` is the hub's public address, ``key_at`` what signs."""

    hub: str
    key_at: KeyAt

    async def send(self, message: Message, endpoint: Endpoint, transport: Transport) -> Receipt:
        """POST the business message; a 2xx is the receipt, whatever stands in its body: an answer comes by the door.

        Adds to the codes of the transport ``message.not_spoken`` (this standard has no message for the order),
        ``message.malformed`` and ``message.unsigned``, which no retry can cure.
        """
        try:
            content = self.written(message, endpoint)
        except LookupError:
            raise DeliveryFailed("message.not_spoken", retryable=False) from None
        headers = {"Content-Type": CONTENT_TYPE}
        return await transport.post(endpoint.url, content=content, headers=headers, endpoint=endpoint)

    def written(self, message: Message, endpoint: Endpoint) -> bytes:
        """Return the signed message. Raises LookupError for an order without a message, and DeliveryFailed."""
        definition, build = self._messages()[message.type.removeprefix(_ORDER)]
        try:
            kid, private = self.key_at(message.occurred_at)
        except ValueError:
            raise DeliveryFailed("message.unsigned") from None
        try:
            header = Header(
                id=message.id.removeprefix("msg_"),
                definition=definition,
                sender=Party(self.hub),
                receiver=Party(message.body["participant_id"], endpoint.bin, endpoint.bic),
                made_at=message.occurred_at,
                drill=message.body.get("drill") is True,
            )
            return envelope.seal(header, build(message), kid, private)
        except (AttributeError, KeyError, TypeError, ValueError):
            # Whatever a body lacks or has instead: no retry cures it, and nothing but a failure leaves an adapter.
            raise DeliveryFailed("message.malformed", retryable=False) from None

    def _messages(self) -> Mapping[str, tuple[str, _Build]]:
        """Return which message each kind of order is, by the last part of its type."""
        return {
            "freeze": (schemas.FREEZE, reservations.freeze),
            "extend": (schemas.EXTEND, reservations.extend),
            "lift": (schemas.LIFT, reservations.lift),
            "read_back": (schemas.READ_BACK, reservations.read_back),
            "recall": (schemas.RECALL, partial(inquiries.recall, hub=self.hub)),
            "disclose": (schemas.DISCLOSE, inquiries.disclose),
            "trace": (schemas.TRACE, inquiries.trace),
            "silence_ended": (schemas.CONFIDENTIALITY, inquiries.confidentiality),
        }
