"""A node for tests: its delivery sends through a speaker that answers as the test says, without any network."""

import asyncio
import weakref
from collections import defaultdict
from collections.abc import Awaitable, Callable
from uuid import UUID

from adapters.base import DeliveryFailed, Endpoint, Message, Receipt, Transport
from adapters.transport import Transport as RealTransport
from service.engine.delivery import Delivery
from service.engine.hub import Hub
from service.engine.node import BEAT_EVERY, Node
from workflows.terms import Channel

# ``await fast_forward(minutes=15)`` moves time for a test.
FastForward = Callable[..., Awaitable[None]]


class Speaker:
    """Takes every message; an endpoint can be told to fail, to break, or to hang until it is let go."""

    def __init__(self) -> None:
        self.sent: list[tuple[Message, Endpoint]] = []
        self.answer = b"ok"
        self._faults: dict[str, BaseException] = {}
        self._gates: dict[str, asyncio.Event] = {}
        self._arrivals: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def of(self, channel: Channel) -> "Speaker":
        """Speak on every channel."""
        return self

    def fail(self, endpoint: UUID, fault: BaseException) -> None:
        """Let every attempt at this endpoint end like this."""
        self._faults[str(endpoint)] = fault

    def heal(self, endpoint: UUID) -> None:
        """Let attempts at this endpoint succeed again."""
        self._faults.pop(str(endpoint), None)

    def hang(self, endpoint: UUID) -> asyncio.Event:
        """Let attempts at this endpoint wait for the returned event."""
        self._gates[str(endpoint)] = asyncio.Event()
        return self._gates[str(endpoint)]

    async def reached(self, endpoint: UUID) -> None:
        """Wait until something was sent to this endpoint; a test that waits in vain fails."""
        async with asyncio.timeout(30):
            await self._arrivals[str(endpoint)].wait()

    def to(self, endpoint: UUID) -> list[Message]:
        """Return what was sent to one endpoint."""
        return [message for message, reached in self.sent if reached.id == str(endpoint)]

    async def send(self, message: Message, endpoint: Endpoint, transport: Transport) -> Receipt:
        """Do what the endpoint was told to do."""
        self.sent.append((message, endpoint))
        self._arrivals[endpoint.id].set()
        if endpoint.id in self._gates:
            await self._gates[endpoint.id].wait()
        if endpoint.id in self._faults:
            raise self._faults[endpoint.id]
        return Receipt(202, 0.01, self.answer, "203.0.113.5:443")


_still: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = weakref.WeakKeyDictionary()


def still() -> asyncio.Lock:
    """Return what keeps hearts still while time is moved: between two clocks a node would find its own far off."""
    return _still.setdefault(asyncio.get_running_loop(), asyncio.Lock())


class Rig:
    """One node and its delivery, moved by hand; only its heart beats by itself."""

    def __init__(self, hub: Hub, speaker: Speaker | None = None) -> None:
        self.hub = hub
        self.speaker = speaker or Speaker()
        self.node = Node(hub)
        self.delivery = Delivery(hub, self.node, self.speaker, RealTransport(), refresh_every=0)
        self._heart: asyncio.Task[None] | None = None

    async def start(self) -> "Rig":
        """Be seen by the other nodes, however slow the machine is that runs the test."""
        await self.node.start()
        self._heart = asyncio.create_task(self._beat())
        return self

    async def _beat(self) -> None:
        while True:
            async with still():
                await self.node.beat(60)
            self.node.check()
            await asyncio.sleep(BEAT_EVERY)

    async def die(self) -> None:
        """Stop beating and sending, as a killed process does: nothing is handed back."""
        self.delivery.cancel()
        if self._heart is not None:
            self._heart.cancel()
            await asyncio.gather(self._heart, return_exceptions=True)

    async def stop(self) -> None:
        """Leave the other nodes."""
        await self.die()
        await self.node.stop()

    async def round(self) -> int:
        """Claim once, wait for everything that was started and settle it; return how many were claimed."""
        claimed = await self.delivery.claim_once()
        await self.delivery.settled()
        return claimed


def refused(code: str = "http.503", **details: object) -> DeliveryFailed:
    """Return a failure as a transport raises it."""
    return DeliveryFailed(code, **details)  # type: ignore[arg-type]
