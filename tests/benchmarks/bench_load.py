"""The load: requests signed ahead, sent over kept connections as fast as they are answered, or at a given rate."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import journey_network
from bench_ground import AGENCIES, PLATFORMS, Ground
from bench_line import Line
from joserfc.jwk import ECKey
from journey_processes import Process

from adapters.base import DeliveryFailed
from adapters.sandbox.hub import Hub as Tokens
from adapters.transport import HubClient
from service import clock
from service.security import proofs, signatures
from service.security.signatures import Kind

PATH = "/v1/requests"
ORDERS = 5
# A proof is good for a minute: no more are made ahead than are sent within it.
AHEAD = 2_000
TURNED_AWAY = (429, 503)
# Tokens last five minutes, and a call may wait for a line for a while.
SIGNED_IN = 150.0


class NotTaken(Exception):
    """The hub answered something else than 201; the message shows the first such answer."""


@dataclass(slots=True)
class Filed:
    """How many seconds each call took since it was due; how many were turned away, and how many never answered."""

    took: list[float]
    turned_away: int = 0
    unanswered: int = 0

    @property
    def refused(self) -> int:
        """How many were not taken."""
        return self.turned_away + self.unanswered


class Police:
    """All agencies' systems; what they file is made up, each time another case with accounts on five platforms."""

    def __init__(self, ground: Ground, orders: int = ORDERS) -> None:
        self._ground, self._orders = ground, orders
        self._tokens: dict[str, str] = {}
        self._numbers: Iterator[int] = iter(range(1, 1_000_000_000))
        self._signed_in_at = float("-inf")

    async def stay_signed_in(self) -> None:
        """Fetch new tokens where those that there are may end before they are used."""
        if time.monotonic() - self._signed_in_at > SIGNED_IN:
            await self.sign_in()

    async def sign_in(self) -> None:
        """Fetch a token for each agency; they last five minutes."""
        self._signed_in_at = time.monotonic()
        network, issuer = self._ground.network, self._ground.settings.address
        client = HubClient(issuer)
        try:
            for agency in AGENCIES:
                ways = Tokens(client, f"{agency}-system", network.keys[agency], issuer)
                self._tokens[agency] = await _granted(ways)
        finally:
            await client.aclose()

    def calls(self, count: int) -> list[bytes]:
        """Return so many calls, signed and proved now: to be sent within a minute."""
        return [self._call(next(self._numbers)) for _ in range(count)]

    def _call(self, number: int) -> bytes:
        agency = AGENCIES[number % len(AGENCIES)]
        network, settings, at = self._ground.network, self._ground.settings, clock.utc_now()
        places = [PLATFORMS[(number * self._orders + step) % len(PLATFORMS)] for step in range(self._orders)]
        targets = [
            {"kind": "social_account", "platform": place.short_name, "value": f"made.up.{number}.{step}"}
            for step, place in enumerate(places)
        ]
        named: dict[str, Any] = {"legal_basis": "decree_147", "measure": "block", "targets": targets}
        body = journey_network.demand("takedown", agency, case_number=f"{number}/2026/CA", **named)
        content = json.dumps(body, ensure_ascii=False).encode()
        officer: ECKey = network.signers[body["officer_id"]]
        key: Any = officer.private_key
        signed = signatures.canonical(content)
        signature = signatures.sign(key, officer.thumbprint(), Kind.REQUEST, signed, at=at, audience=settings.address)
        client: Any = ECKey.import_key(dict(network.keys[agency])).private_key
        token = self._tokens[agency]
        proof = proofs.make(client, "POST", settings.address + PATH, token, content, at)
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: {settings.host}:{settings.port}\r\nAuthorization: DPoP {token}\r\n"
            f"DPoP: {proof}\r\nHoatoc-Signature: {signature}\r\nIdempotency-Key: {uuid.uuid4()}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content


@asynccontextmanager
async def lines(ground: Ground, count: int, *doors: Process) -> AsyncIterator[list[Line]]:
    """Give so many connections to the hub's first node, or to these of its nodes in turn."""
    at = [door.settings for door in doors] or [ground.settings]
    made = [Line(at[number % len(at)].host, at[number % len(at)].port) for number in range(count)]
    try:
        yield made
    finally:
        for line in made:
            line.close()


async def file_all(on: Sequence[Line], police: Police, count: int) -> float:
    """File so many requests, each line one after the other; return the seconds without those of signing."""
    spent = 0.0
    for first in range(0, count, AHEAD):
        calls = iter(police.calls(min(AHEAD, count - first)))
        began = time.monotonic()
        await asyncio.gather(*(_file(line, calls) for line in on))
        spent += time.monotonic() - began
    return spent


async def _file(line: Line, calls: Iterator[bytes]) -> None:
    for call in calls:
        _must_be_taken(await line.ask(call))


async def file_at(rate: float, on: Sequence[Line], police: Police, count: int) -> Filed:
    """File so many at this rate, come what may: what a hub under more than it can bear turns away is counted.

    Raises ``NotTaken`` for any other answer: a load that is wrong measures nothing.
    """
    free: asyncio.Queue[Line] = asyncio.Queue()
    for line in on:
        free.put_nowait(line)
    filed = Filed([])

    async def one(due: float) -> None:
        # Whoever finds no free line waits, and the wait counts; it is signed when it goes, so that no proof grows old.
        line = await free.get()
        try:
            [call] = police.calls(1)
            answer = await line.ask(call)
        except (TimeoutError, OSError):
            filed.unanswered += 1
            return
        finally:
            free.put_nowait(line)
        if answer[0] in TURNED_AWAY:
            filed.turned_away += 1
            return
        _must_be_taken(answer)
        filed.took.append(time.monotonic() - due)

    began = time.monotonic()
    async with asyncio.TaskGroup() as waiting:
        for at in range(count):
            due = began + at / rate
            await police.stay_signed_in()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            waiting.create_task(one(due))
    return filed


async def _granted(ways: Tokens) -> str:
    # All systems stand behind one address here, and participants fetch their tokens in the same second.
    while True:
        try:
            return await ways.access_token()
        except DeliveryFailed as failed:
            if failed.status != 429:
                raise
            await asyncio.sleep(1.0)


def _must_be_taken(answer: tuple[int, bytes]) -> None:
    if answer[0] != 201:
        raise NotTaken(f"{answer[0]} {answer[1][:300]!r}")
