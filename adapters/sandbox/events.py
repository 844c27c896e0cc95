"""The participant's half of the webhook: signed CloudEvents come in, signed acknowledgements go out."""

import time
from collections.abc import Mapping
from typing import Any

from adapters import signing, webhook
from adapters.base import DeliveryFailed, Message
from adapters.sandbox.behaviour import Mistake
from adapters.sandbox.hub import Hub
from adapters.sandbox.ledger import Order, read_order
from adapters.sandbox.signatures import HEADER, HubKeys, SignatureRefused
from adapters.sandbox.speech import Heard, NotTaken
from adapters.transport import HubAnswer
from workflows.terms import DispatchKind

Mistakes = frozenset[Mistake]
_EVER = 10**9
# The members of an order's body, as a receiver that was written today knows them.
KNOWN = frozenset(
    {
        *("order_id", "request_id", "reference", "case_number", "action", "sequence", "participant_id", "urgency"),
        *("legal_basis", "agency", "officer", "second_officer", "document", "target", "amount", "whole_account"),
        *("measure", "payment", "asked", "window", "confidential", "starts_at", "ends_at", "contact", "lifts_order_id"),
        *("lifts_action", "extends_order_id", "reason", "deadlines", "answer_url"),
    }
)


class Events:
    """Verifies with the endpoint's ``secret`` who called, and with the hub's keys what was ordered.

    With ``batches`` it takes CloudEvents in batches too, as an endpoint does that declares them.
    """

    def __init__(
        self, hub: Hub, keys: HubKeys, secret: str, mistakes: Mistakes = frozenset(), *, batches: bool = False
    ) -> None:
        self._hub, self._keys, self._secret, self._batches = hub, keys, secret, batches
        self._mistakes = mistakes

    async def hear(self, headers: Mapping[str, str], content: bytes) -> list[Heard]:
        """Read one event, or all of a batch or none of it; raises ``NotTaken``."""
        is_batch = headers.get("content-type") == webhook.BATCH_TYPE
        if is_batch and not self._batches:
            raise NotTaken(415, "malformed", "a batch that nobody declared")
        called_by_the_hub(self._secret, headers, content, self._mistakes)
        try:
            events = webhook.parse_batch(content) if is_batch else [(webhook.parse(content), headers.get(HEADER))]
        except webhook.EventInvalid as invalid:
            raise NotTaken(400, "malformed", str(invalid)) from None
        return [await self.heard(message, signature) for message, signature in events]

    async def heard(self, message: Message, signature: str | None) -> Heard:
        """Return what a message says, once the hub's own signature under an order holds; raises ``NotTaken``."""
        if message.kind is not DispatchKind.ORDER:
            if Mistake.REFUSES_TYPES in self._mistakes:
                raise NotTaken(400, "malformed", "no order")
            return Heard(message.id, message.type, None)
        return Heard(message.id, message.type, await proved(self._keys, message, signature, self._mistakes))

    async def answer(self, order: Order, acknowledgement: Mapping[str, Any]) -> HubAnswer:
        """POST it to the address that the order names; raises ``DeliveryFailed``."""
        return await self._hub.answer(order.id, order.answer_url, acknowledgement)


def called_by_the_hub(
    secret: str, headers: Mapping[str, str], content: bytes, mistakes: Mistakes = frozenset()
) -> None:
    """Return if the holder of the endpoint's secret sent this just now; raises ``NotTaken`` with 401."""
    if Mistake.TRUSTS_CALLERS in mistakes:
        return
    given, tolerance = dict(headers), _EVER if Mistake.TRUSTS_OLD_CALLS in mistakes else signing.TOLERANCE
    if Mistake.READS_FIRST_SIGNATURE in mistakes:
        given["webhook-signature"] = given.get("webhook-signature", "").partition(" ")[0]
    try:
        signing.verify([secret], given, content, time.time(), tolerance)
    except signing.SignatureInvalid as invalid:
        raise NotTaken(401, "signature_refused", invalid.reason) from None


async def proved(keys: HubKeys, message: Message, signature: str | None, mistakes: Mistakes = frozenset()) -> Order:
    """Return the order of a message that the hub's own hand stands under; raises ``NotTaken``."""
    try:
        order = read_order(message)
    except webhook.EventInvalid as invalid:
        raise NotTaken(400, "malformed", str(invalid)) from None
    if Mistake.REFUSES_MEMBERS in mistakes and message.body.keys() - KNOWN:
        raise NotTaken(400, "malformed", "a member is unknown", order)
    if Mistake.TRUSTS_ORDERS in mistakes:
        return order
    try:
        await keys.verify(signature, order.id, message.body)
    except SignatureRefused as refused:
        raise NotTaken(401, "signature_refused", f"order.{refused.reason}", order) from None
    except DeliveryFailed:
        # Nobody can tell yet whether it is the hub's order: it comes again.
        raise NotTaken(503) from None
    return order
