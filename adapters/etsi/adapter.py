"""Sends an order to a telecom or platform as one HI1 request over HTTPS, and reads whether it was taken."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from adapters import signing
from adapters.base import DeliveryFailed, Endpoint, Message, Receipt, Transport
from adapters.etsi import build, messages, replies
from adapters.etsi.targets import NotSpoken
from workflows.terms import DispatchKind

SIGNATURE = "Hoatoc-Signature"
# The longest address of a page fills a fifth of it.
BODY_BELOW = 32_000


@dataclass(frozen=True, slots=True)
class Etsi:
    """Speaks TS 103 120; ``source`` is the hub's address, its name in each message; ``clock`` gives seconds."""

    source: str
    clock: Callable[[], float] = time.time

    async def send(self, message: Message, endpoint: Endpoint, transport: Transport) -> Receipt:
        """POST the order's HI1 request and return the receipt of a response that took every action.

        Beside the transport's codes and those of ``replies.check``: ``message.not_spoken`` (no order, or one about
        money), ``message.malformed`` and ``message.too_large``, which no retry can cure, and ``endpoint.no_secret``:
        an unsigned order is never sent. The request is signed like a webhook, so that the receiver knows the hub.
        """
        if message.kind is not DispatchKind.ORDER:
            raise DeliveryFailed("message.not_spoken", retryable=False)
        try:
            request = build.request(message, self.source)
            content = messages.encode(request)
        except NotSpoken:
            raise DeliveryFailed("message.not_spoken", retryable=False) from None
        except (KeyError, TypeError, ValueError):
            raise DeliveryFailed("message.malformed", retryable=False) from None
        if len(content) >= BODY_BELOW:
            raise DeliveryFailed("message.too_large", retryable=False)
        sent_at = int(self.clock())
        try:
            signature = signing.sign(endpoint.secrets, message.id, sent_at, content)
        except ValueError:
            raise DeliveryFailed("endpoint.no_secret") from None
        headers = {
            "Content-Type": messages.CONTENT_TYPE,
            "webhook-id": message.id,
            "webhook-timestamp": str(sent_at),
            "webhook-signature": signature,
            **({SIGNATURE: message.signature} if message.signature else {}),
        }
        receipt = await transport.post(endpoint.url, content=content, headers=headers, endpoint=endpoint)
        replies.check(request, receipt.body, receipt.status)
        return receipt
