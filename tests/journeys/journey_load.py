"""Clients under fire: they file as fast as they are answered, and keep a history of what they were told."""

import asyncio
import json
import random
import uuid
from collections.abc import Callable, Sequence

import journey_history
import journey_network
from journey_history import Asked, Found, History, Nature
from journey_network import Network, Police
from journey_processes import Process, until

from adapters.base import DeliveryFailed

AGENCIES = ("pc02-79", "pc02-01", "pc02-04", "pc02-08", "pc02-11", "pc02-12", "pc02-14", "pc02-15")
TASKS_AN_AGENCY = 2
# Short limits for the silent bank alone: the others are busy, and late by no fault of theirs.
LADDER = """
name = "under-fire"
version = 1

[[limits]]
stage = "acknowledge"
within = "1 s"
participant_id = "bidv"

[[limits]]
stage = "execute"
within = "2 s"
participant_id = "bidv"

[[ladders]]
stage = "execute"
rungs = [
    { number = 1, after = "2 s", reach = ["participant"] },
    { number = 2, after = "3 s", reach = ["participant", "coordinator"] },
    { number = 3, after = "4 s", reach = ["coordinator", "supervisor"] },
]
"""


def mixture(number: int, agency: str) -> Asked:
    """Return a takedown at two telecoms or a freeze at one bank, now and then the silent one."""
    if number % 5 == 0:
        phones = (f"+8498{number:07d}", f"+8491{number:07d}")
        return Asked(agency, journey_network.takedown(*phones, agency=agency), ("viettel", "vinaphone"))
    bank = "bidv" if number % 29 == 0 else ("vietcombank", "techcombank")[number % 2]
    return Asked(agency, journey_network.freeze(f"999{number:010d}", bank, agency=agency), (bank,))


class Load:
    """Clients that file as fast as they are answered, and ask again under the same key until they know."""

    def __init__(
        self,
        network: Network,
        history: History,
        addresses: Sequence[str],
        draw: random.Random,
        choose: Callable[[int, str], Asked] | None = None,
        *,
        agencies: Sequence[str] = AGENCIES,
        lifts: float = 0.0,
        pause: float = 0.0,
    ) -> None:
        """Ask for what ``choose`` makes of a number and an agency, or for a mixture of everything.

        Of the freezes a share of ``lifts`` is lifted as soon as it was acknowledged; a client pauses so many seconds
        after each one.
        """
        self._network, self._history, self._addresses, self._draw = network, history, addresses, draw
        self._choose, self._agencies, self._lifts, self._pause = choose or mixture, agencies, lifts, pause
        self._numbers = iter(range(1, 10_000_000))
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        for agency in self._agencies:
            lines = [self._network.police(agency, address) for address in self._addresses]
            self._tasks += [asyncio.create_task(self._file(agency, lines)) for _ in range(TASKS_AN_AGENCY)]

    async def finish(self) -> None:
        """File nothing new, and wait until each client knows what became of its last one."""
        self._stopped = True
        async with asyncio.timeout(60):
            await asyncio.gather(*self._tasks)

    async def _file(self, agency: str, lines: Sequence[Police]) -> None:
        while not self._stopped:
            asked = self._choose(next(self._numbers), agency)
            request_id = await self._until_known(asked, lines)
            if asked.body["action"] == "freeze" and asked.may_be_lifted and self._draw.random() < self._lifts:
                asked.is_lifted = True
                lift = journey_network.lift(request_id, agency)
                await self._until_known(Asked(agency, lift, None, lifts=request_id), lines)
            await asyncio.sleep(self._pause)

    async def _until_known(self, asked: Asked, lines: Sequence[Police]) -> str:
        key = str(uuid.uuid4())
        self._history.invoke(key, asked)
        line = self._draw.choice(lines)
        while not await self._ask(key, asked, line):
            # Whoever does not know asks again, perhaps another node; slowly enough to let a dead hub start.
            await asyncio.sleep(0.1)
            line = self._draw.choice(lines)
        return asked.answers[-1]

    async def _ask(self, key: str, asked: Asked, line: Police) -> bool:
        try:
            answer = await line.submit(asked.body, key)
        except DeliveryFailed as failed:
            self._history.unknown(key, failed.code)
            return False
        if answer.status == 201:
            request_id = json.loads(answer.body)["id"]
            waits = json.loads(answer.body)["state"] == "awaiting_approval"
            if waits and not await self._approve(asked, request_id, line):
                self._history.unknown(key, "approval")
                return False
            self._history.ok(key, request_id)
            return True
        if answer.status == 429:
            self._history.fail(key, "429")
            await asyncio.sleep(0.2)
        elif answer.status >= 500 or answer.status == 401:
            # A call that came twice finds its proof spent, and a node whose clock is off believes nobody's.
            self._history.unknown(key, str(answer.status))
        else:
            raise AssertionError(f"{answer.status} {answer.body[:500]!r}")
        return False

    async def _approve(self, asked: Asked, request_id: str, line: Police) -> bool:
        try:
            answer = await line.approve(request_id, asked.body, f"{asked.client}-approver")
        except DeliveryFailed:
            return False
        # Whoever asks again may find that the first one was heard.
        done_before = answer.status == 409 and json.loads(answer.body)["code"] == "request.not_awaiting_approval"
        if answer.status < 500 and answer.status not in (201, 401, 409, 429):
            raise AssertionError(f"{answer.status} {answer.body[:500]!r}")
        return answer.status == 201 or done_before


async def acknowledged(history: History, more: int, within: float = 120.0) -> None:
    """Wait until clients were told yes so many times more."""
    wanted = history.kinds["ok"] + more

    async def there_are() -> bool:
        return history.kinds["ok"] >= wanted

    await until(there_are, within, lambda: f"{more} more acknowledgements: {dict(history.kinds)}", every=0.01)


async def settled(network: Network, history: History, nature: Nature, nodes: Sequence[Process], within: float) -> Found:
    """Wait until everything has come to its end, let the nodes leave, and return what the database holds."""
    left: list[str] = []
    async with journey_network.reading(network.settings) as database:

        async def is_settled() -> bool:
            nonlocal left
            left = journey_history.unsettled(history, await journey_history.read(database), nature)
            return not left

        try:
            await until(is_settled, within, lambda: "\n".join(left[:40]), every=0.5)
        finally:
            for node in nodes:
                code = await node.stop()
                assert code == 0, f"a node that was told to stop ended with {code}:\n{node.text[-2000:]}"
        return await journey_history.read(database, verify=True)
