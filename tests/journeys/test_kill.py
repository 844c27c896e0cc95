"""``kill -9`` under load: what was acknowledged is there, is delivered, and happens once (PROMISES P1, P2, P3, P5)."""

import asyncio
import json
import os
import random
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import journey_history
import journey_network
import pytest
from journey_history import Asked, History
from journey_network import BANKS, TELECOMS, Network, Police
from journey_processes import Process, until

from adapters.base import DeliveryFailed
from adapters.sandbox import hub as sandbox_hub

KILLS = int(os.environ.get("HOATOC_KILLS", "20"))
SEED = int(os.environ.get("HOATOC_SEED", "0")) or uuid.uuid4().int % 1_000_000
AGENCIES = ("pc02-79", "pc02-01", "pc02-04", "pc02-08", "pc02-11", "pc02-12", "pc02-14", "pc02-15")
TASKS_AN_AGENCY = 2
SILENT = frozenset({"bidv"})
SETTLED_WITHIN = 120.0
# A node is killed so many acknowledgements and so many seconds, at most, after it came back: under full load on
# however slow a machine, and now and then as soon as it is ready.
MOST_ACKNOWLEDGED, MOST_SECONDS = 30, 0.5
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


class Load:
    """Clients that file as fast as they are answered, and ask again under the same key until they know."""

    def __init__(self, network: Network, history: History, addresses: Sequence[str], draw: random.Random) -> None:
        self._network, self._history, self._addresses, self._draw = network, history, addresses, draw
        self._numbers = iter(range(1, 10_000_000))
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        for agency in AGENCIES:
            lines = [self._network.police(agency, address) for address in self._addresses]
            self._tasks += [asyncio.create_task(self._file(agency, lines)) for _ in range(TASKS_AN_AGENCY)]

    async def finish(self) -> None:
        """File nothing new, and wait until each client knows what became of its last one."""
        self._stopped = True
        async with asyncio.timeout(60):
            await asyncio.gather(*self._tasks)

    async def _file(self, agency: str, lines: Sequence[Police]) -> None:
        while not self._stopped:
            key, asked = str(uuid.uuid4()), self._next(agency)
            self._history.invoke(key, asked)
            line = self._draw.choice(lines)
            while not await self._ask(key, asked, line):
                # Whoever does not know asks again, perhaps another node; slowly enough to let a dead hub start.
                await asyncio.sleep(0.1)
                line = self._draw.choice(lines)

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
        elif answer.status >= 500:
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
        if answer.status < 500 and answer.status not in (201, 409, 429):
            raise AssertionError(f"{answer.status} {answer.body[:500]!r}")
        return answer.status == 201 or done_before

    def _next(self, agency: str) -> Asked:
        number = next(self._numbers)
        if number % 5 == 0:
            phones = (f"+8498{number:07d}", f"+8491{number:07d}")
            return Asked(agency, journey_network.takedown(*phones, agency=agency), ("viettel", "vinaphone"))
        bank = "bidv" if number % 29 == 0 else ("vietcombank", "techcombank")[number % 2]
        return Asked(agency, journey_network.freeze(f"999{number:010d}", bank, agency=agency), (bank,))


@pytest.mark.xdist_group("processes")
@pytest.mark.parametrize("kind", journey_network.DATABASES)
async def test_what_was_acknowledged_survives_kill_9_and_happens_once(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    # A participant that never gives up answering: the hub's promise is what is under test, not a receiver's patience.
    monkeypatch.setattr(sandbox_hub, "WAITS", (0.3,) * 2_000)
    draw = random.Random(f"{SEED}-{kind}")
    async with asyncio.timeout(600), journey_network.database_of(kind) as url:
        settings = journey_network.settings_of(tmp_path, url, policy="under-fire", node="a")
        settings = settings.model_copy(update={"issuer": settings.address})
        nodes = [Process(settings)]
        if kind == "postgresql":
            nodes.append(Process(settings.model_copy(update={"node": "b", "port": journey_network.free_port()})))
        addresses = [f"http://{node.settings.host}:{node.settings.port}" for node in nodes]
        participants = {**BANKS, **TELECOMS}
        network = await journey_network.enroll(
            settings,
            participants,
            agencies=AGENCIES,
            desks=("bidv", "hoatoc-hub", "sbv"),
            policy=LADDER,
            answer_to={name: addresses[at % len(nodes)] for at, name in enumerate(participants)},
        )
        history = History(tmp_path / "history.jsonl")
        began = time.monotonic()
        async with network.playing():
            starts = await _under_fire(network, history, nodes, addresses, draw)
            shooting = time.monotonic() - began
            found = await _settled(network, history, nodes)
        figures = {
            "database": kind,
            "seed": SEED,
            "kills": KILLS,
            "acknowledged": len(history.acknowledged),
            "orders": sum(map(len, found.orders.values())),
            "escalations": len(found.escalations),
            "duplicates at receivers": len(network.told("duplicate")),
            "start-up s (median)": round(sorted(starts)[len(starts) // 2], 2),
            "under fire s": round(shooting, 1),
            "wall s": round(time.monotonic() - began, 1),
            "latest firing s": round(journey_history.lateness(found), 1),
            **dict(history.kinds),
        }
        wrong = journey_history.violations(history, found, network, SILENT)
        record_property("T-KILL", json.dumps({**figures, "violations": len(wrong)}))
        assert not wrong, f"seed {SEED}, history {tmp_path / 'history.jsonl'}:\n" + "\n".join(wrong[:40])
        assert len(history.acknowledged) >= KILLS, "that was no load"


async def _under_fire(
    network: Network, history: History, nodes: Sequence[Process], addresses: Sequence[str], draw: random.Random
) -> list[float]:
    """Kill one node after the other under load, and return how long each needed to be ready again."""
    load = Load(network, history, addresses, draw)
    starts = []
    for node in nodes:
        await node.start()
    for node in nodes:
        await node.ready()
    load.start()
    await _acknowledged(history, draw.randint(1, MOST_ACKNOWLEDGED))
    for shot in range(KILLS):
        node = nodes[shot % len(nodes)]
        await asyncio.sleep(draw.uniform(0, MOST_SECONDS))
        await node.kill()
        await node.start()
        # The other node, where there is one, goes on meanwhile.
        took, _ = await asyncio.gather(node.ready(), _acknowledged(history, draw.randint(0, MOST_ACKNOWLEDGED)))
        starts.append(took)
    await load.finish()
    return starts


async def _acknowledged(history: History, more: int) -> None:
    wanted = history.kinds["ok"] + more

    async def there_are() -> bool:
        return history.kinds["ok"] >= wanted

    await until(there_are, 60, f"{more} more acknowledgements", every=0.01)


async def _settled(network: Network, history: History, nodes: Sequence[Process]) -> journey_history.Found:
    """Wait until everything has come to its end, let the nodes leave, and return what the database holds."""
    left: list[str] = []
    async with journey_network.reading(network.settings) as database:

        async def is_settled() -> bool:
            nonlocal left
            left = journey_history.unsettled(history, await journey_history.read(database), SILENT)
            return not left

        try:
            await until(is_settled, SETTLED_WITHIN, lambda: "\n".join(left[:20]), every=0.5)
        finally:
            for node in nodes:
                code = await node.stop()
                assert code == 0, f"a node that was told to stop ended with {code}:\n{node.text[-2000:]}"
        return await journey_history.read(database, verify=True)
