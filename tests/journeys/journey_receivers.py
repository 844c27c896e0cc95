"""Receivers that misbehave in ten ways until they are healed; each is a sandbox bank behind a fault proxy."""

import asyncio
import gzip
import os
import random
from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from typing import Any

from journey_faults import FaultProxy
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from adapters.sandbox.behaviour import Trick
from adapters.sandbox.ledger import Order
from adapters.sandbox.participant import Sandbox
from adapters.sandbox.speech import NotTaken

# How likely a call misbehaves that is not the first with its message.
AGAIN = 0.3 if os.environ.get("HOATOC_FAULTS") == "1" else 0.1
_BOMB = gzip.compress(bytes(16 * 1024 * 1024))


class Mood(StrEnum):
    """What a receiver does with a call while it is ill."""

    ANSWER = "answer"
    REFUSE = "refuse"
    BROKEN = "500"
    BUSY = "429"
    RESET = "reset"
    HANG = "hang"
    DRIP = "drip"
    REDIRECT = "redirect"
    BOMB = "bomb"
    LIE = "lie"


class Moody(Sandbox):
    """A sandbox participant whose calls come through ``front``, and that is ill until ``heal``."""

    def __init__(self, mood: Mood, draw: random.Random, healed: asyncio.Event, *given: Any, **named: Any) -> None:
        """Take what a sandbox takes; its port becomes the front's."""
        name, sector, behaviour, port, *rest = given
        super().__init__(name, sector, behaviour, 0, *rest, **named)
        self.mood, self.front = mood, FaultProxy(port)
        self._draw, self._healed = draw, healed
        self._called: set[str] = set()
        self.misbehaved = 0

    @property
    def url(self) -> str:
        """Where the hub calls it."""
        return f"https://localhost:{self.front.port}/hook"

    async def start(self) -> None:
        """Start the server, then what stands before it."""
        await super().start()
        assert self._server is not None
        self.front.target = self._server.port
        await self.front.start()

    async def stop(self) -> None:
        """Stop both."""
        await self.front.stop()
        await super().stop()

    async def _receive(self, request: Request) -> Response:
        message_id = request.headers.get("webhook-id", "")
        is_first = message_id not in self._called
        self._called.add(message_id)
        if self._healed.is_set() or not (is_first or self._draw.random() < AGAIN):
            return await super()._receive(request)
        return await self._misbehave(request)

    async def _misbehave(self, request: Request) -> Response:
        self.misbehaved += self.mood not in (Mood.ANSWER, Mood.REFUSE)
        match self.mood:
            case Mood.BROKEN:
                return Response(status_code=500)
            case Mood.BUSY:
                return Response(status_code=429, headers={"Retry-After": "1"})
            case Mood.REDIRECT:
                return Response(status_code=307, headers={"Location": "https://localhost:1/elsewhere"})
            case Mood.BOMB:
                return Response(_BOMB, headers={"Content-Encoding": "gzip"}, media_type="application/json")
            case Mood.DRIP:
                # Nothing is taken: a success that dripped to its end would say that it was.
                return StreamingResponse(self._drops(), status_code=503, media_type="application/json")
            case Mood.HANG:
                await self._healed.wait()
                return Response(status_code=503)
            case Mood.RESET:
                # What it was told is taken; that it was, nobody learns.
                answer = await super()._receive(request)
                self.front.reset()
                return answer
            case Mood.LIE:
                return await self._lie(request)
        return await super()._receive(request)

    async def _drops(self) -> AsyncIterator[bytes]:
        while not self._healed.is_set():
            yield b" "
            await asyncio.sleep(1)

    async def _lie(self, request: Request) -> Response:
        """Take the order, answer with a forged hand or for a stranger, and honestly only when it is well again."""
        try:
            heard = await self._clerk.speech.hear(request.headers, await request.body())
        except NotTaken as refused:
            return Response(status_code=refused.status)
        for each in heard:
            trick = self._draw.choice((Trick.FORGED, Trick.STRANGER))
            if self._clerk.take(each, trick) and each.order is not None:
                self._clerk._later(self._confess(each.order))
        return Response(status_code=202)

    async def _confess(self, order: Order) -> None:
        await self._healed.wait()
        await self._clerk._handle(order)


def moods(
    names: list[str], draw: random.Random, healed: asyncio.Event
) -> dict[str, tuple[Mood, Callable[..., Sandbox]]]:
    """Give each receiver one of the moods, each mood to as many, and what makes such a receiver."""
    given: dict[str, tuple[Mood, Callable[..., Sandbox]]] = {}
    for position, name in enumerate(names):
        mood = list(Mood)[position % len(Mood)]
        own = random.Random(draw.random())

        def make(*values: Any, mood: Mood = mood, own: random.Random = own, **named: Any) -> Sandbox:
            return Moody(mood, own, healed, *values, **named)

        given[name] = mood, make
    return given
