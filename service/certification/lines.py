"""How a parcel reaches the member under examination: by the real adapter over the real transport, or on its shelf."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from adapters.base import Adapter, DeliveryFailed, Endpoint, Receipt
from adapters.etsi.adapter import Etsi
from adapters.iso20022.adapter import Iso20022
from adapters.webhook import Webhook
from service.certification import foreign, parcels
from service.certification.bench import Bench
from service.certification.parcels import Parcel
from workflows.terms import Channel

_CONFIRMED = 200


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a ``parcel``: ``code`` is why it was not taken, ``status`` what was answered, if anything.

    ``content`` and ``headers`` are what went out, to be sent again; of what lies on a shelf there are none.
    """

    parcel: Parcel
    at: datetime
    sha256: str
    status: int | None = None
    code: str | None = None
    content: bytes = b""
    headers: Mapping[str, str] | None = None

    @property
    def is_taken(self) -> bool:
        """Tell whether the receiver said that it has it."""
        return self.code is None

    @property
    def is_refused(self) -> bool:
        """Tell whether the receiver said that it does not take it."""
        refused = self.code is not None and self.code in ("hi1.refused", "hi1.action_refused")
        return refused or (self.status is not None and 400 <= self.status < 500)


class Line(Protocol):
    """The way to one member."""

    async def send(self, parcel: Parcel) -> Sent:
        """Send a parcel once."""
        ...

    async def repeat(self, sent: Sent) -> Sent:
        """Send the very same bytes and headers again."""
        ...


class Called:
    """A member that the hub calls."""

    def __init__(self, bench: Bench, endpoint: Endpoint) -> None:
        self._bench, self._endpoint = bench, endpoint

    async def send(self, parcel: Parcel) -> Sent:
        """Send a parcel as the channel's own adapter sends, with what is wrong about it."""
        secrets = self._endpoint.secrets if parcel.secrets is None else parcel.secrets
        endpoint, wire = replace(self._endpoint, secrets=secrets), _Tampering(self._bench, parcel)
        return await self._sent(self._adapter(parcel), parcel, endpoint, wire)

    async def repeat(self, sent: Sent) -> Sent:
        """Send the very same bytes and headers again."""
        try:
            receipt = await self._bench.wire.post(
                self._endpoint.url, content=sent.content, headers=sent.headers or {}, endpoint=self._endpoint
            )
        except DeliveryFailed as failed:
            return replace(sent, at=_now(), status=failed.status, code=failed.code)
        return replace(sent, at=_now(), status=receipt.status, code=None)

    async def _sent(self, adapter: Adapter, parcel: Parcel, endpoint: Endpoint, wire: "_Tampering") -> Sent:
        at = _now()
        status, code = None, None
        try:
            status = (await adapter.send(parcel.travelling(endpoint.channel), endpoint, wire)).status
        except DeliveryFailed as failed:
            status, code = failed.status, failed.code
        sha256 = hashlib.sha256(wire.content).hexdigest()
        return Sent(parcel, at, sha256, status, code, wire.content, wire.headers)

    def _adapter(self, parcel: Parcel) -> Adapter:
        address = self._bench.hub.settings.address

        def clock() -> float:
            return time.time() + parcel.shift

        match self._endpoint.channel:
            case Channel.ISO20022:
                hand = parcel.hand or parcels.hand(self._bench.key)
                return Iso20022(address, lambda _: (hand.kid, hand.private))
            case Channel.ETSI:
                return Etsi(address, clock)
        return Webhook(address, clock)


class _Tampering:
    """A transport that keeps what goes through it, and changes what the parcel says is changed under way."""

    def __init__(self, bench: Bench, parcel: Parcel) -> None:
        self._wire, self._parcel, self._hub = bench.wire, parcel, parcels.hand(bench.key)
        self.content, self.headers = b"", dict[str, str]()

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
        """Pass a call on."""
        self.content, self.headers = foreign.changed(
            content, headers, self._parcel, endpoint.channel, endpoint.secrets, self._hub
        )
        return await self._wire.post(url, content=self.content, headers=self.headers, endpoint=endpoint)


class Pulled:
    """A member that reads its inbox: what is put on its shelf is taken once it comes back with the cursor."""

    def __init__(self, bench: Bench, participant: str, first: float, within: float) -> None:
        """Take how many seconds are waited for the first confirmation, and for each one after it."""
        self._bench, self._participant, self._within = bench, participant, within
        self._patience = max(first, within)

    async def send(self, parcel: Parcel) -> Sent:
        """Put a parcel on the shelf and wait until it is confirmed."""
        message = parcel.travelling(Channel.PULL)
        at = _now()
        position = await self._bench.shelves.put(self._participant, message)
        is_read = await self._bench.shelves.read(self._participant, position, self._patience)
        self._patience = self._within
        shown: dict[str, Any] = {"id": message.id, "body": dict(message.body), "signature": message.signature}
        sha256 = hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()
        return Sent(
            parcel,
            at,
            sha256,
            _CONFIRMED if is_read else None,
            None if is_read else "inbox.not_confirmed",
        )

    async def repeat(self, sent: Sent) -> Sent:
        """Put the same message on the shelf once more: there it has no bytes of its own."""
        return await self.send(sent.parcel)


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)
