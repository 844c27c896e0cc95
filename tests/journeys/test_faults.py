"""Nodes, a database, twenty bad receivers and a nemesis: nothing lost, nothing doubled, all in order, none early.

``make faults`` runs this long; ``make test`` for some seconds. The schedule follows from the seed: HOATOC_SEED=… plays
it again. PROMISES P1 to P7, 3.3.
"""

import asyncio
import contextlib
import functools
import json
import os
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import journey_history
import journey_network
import postgres
import pytest
from journey_faults import FaultProxy
from journey_history import Asked, History, Nature
from journey_load import AGENCIES, LADDER, Load, acknowledged, settled
from journey_nemesis import Nemesis, Step, What, Wrist, plan, revive
from journey_network import Network
from journey_processes import Process
from journey_receivers import Mood, Moody, moods

from adapters.sandbox import hub as sandbox_hub
from adapters.sandbox.behaviour import Behaviour, Prompt, Refusing, Silent
from service.settings import Settings
from workflows.terms import RefusalCode, Sector

IS_LONG = os.environ.get("HOATOC_FAULTS") == "1"
SEED = int(os.environ.get("HOATOC_SEED", "0")) or uuid.uuid4().int % 1_000_000
# At least one of each kind, whatever the number.
FAULTS = 120 if IS_LONG else 0
NODES = 3 if IS_LONG else 2
SETTLED_WITHIN = 400.0 if IS_LONG else 150.0
# A client a node and agency is load enough: what is tested is not how fast it is.
CLIENTS = AGENCIES[: 8 if IS_LONG else 4]
PAUSE = 0.1

SILENT = "bidv"
BINS = {
    "abbank": "970425",
    "acb": "970416",
    "agribank": "970405",
    "bacabank": "970409",
    "baoviet": "970438",
    "banviet": "970454",
    "coopbank": "970446",
    "eximbank": "970431",
    "gpbank": "970408",
    "hdbank": "970437",
    "kienlongbank": "970452",
    "lpbank": "970449",
    "mbbank": "970422",
    "msb": "970426",
    "namabank": "970428",
    "ncb": "970419",
    "ocb": "970448",
    "pgbank": "970430",
    "pvcombank": "970412",
    "sacombank": "970403",
}
ALWAYS = (What.KILL, What.STOP, What.CALLER, What.RECEIVER)
WHATS = {"sqlite": ALWAYS, "postgresql": (*ALWAYS, What.CLOCK, What.CUT_OFF, What.CRASH)}
pytestmark = pytest.mark.xdist_group("processes")


class Bench:
    """All that one run needs, and how it is wired: callers, nodes, database, receivers, each behind a fault proxy."""

    def __init__(self, kind: str, folder: Path, draw: random.Random) -> None:
        self.kind, self.folder, self.draw = kind, folder, draw
        self.healed = asyncio.Event()
        self.moods = moods(sorted(BINS), draw, self.healed)
        self.history = History(folder / "history.jsonl")
        refusing = frozenset(name for name, (mood, _) in self.moods.items() if mood is Mood.REFUSE)
        # A liar's answers are refused, and after a jump of its clock a node signs one second long with a wrong instant.
        expected = frozenset({"answer_failed", "refused", "signature_refused"})
        self.nature = Nature(frozenset({SILENT}), refusing, expected)

    def choose(self, number: int, agency: str) -> Asked:
        """A freeze at one of the receivers, each in turn, now and then at the silent one."""
        bank = SILENT if number % 6 == 0 else sorted(BINS)[number % len(BINS)]
        return Asked(
            agency,
            journey_network.freeze(f"999{number:010d}", bank, agency=agency),
            (bank,),
            may_be_lifted=bank != SILENT and bank not in self.nature.refusing,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Network, Nemesis]]:
        """Start everything but the load."""
        async with contextlib.AsyncExitStack() as stack:
            server = None
            if self.kind == "postgresql":
                server = postgres.Server()
                stack.callback(server.stop)
                await asyncio.to_thread(server.make)
            url = await stack.enter_async_context(
                journey_network.database_of(self.kind, server.url if server else None)
            )
            settings = journey_network.settings_of(self.folder, url, policy="under-fire", node="a")
            settings = settings.model_copy(update={"issuer": settings.address})
            names = [chr(ord("a") + number) for number in range(NODES if server else 1)]
            lines = [await stack.enter_async_context(FaultProxy(target=server.port).running()) for _ in names if server]
            wrists = [Wrist(self.folder / f"{name}.clock") for name in names]
            nodes = [self._node(settings, server, lines, wrists, number) for number in range(len(names))]
            doors = [await stack.enter_async_context(FaultProxy(target=node.settings.port).running()) for node in nodes]
            network = await self._enroll(settings, doors)
            await stack.enter_async_context(network.playing())
            for node in nodes:
                stack.push_async_callback(_end, node)
            await asyncio.gather(*map(revive, nodes))
            fronts = [each.front for each in network.sandboxes.values() if isinstance(each, Moody)]
            yield network, Nemesis(nodes, wrists, server, lines, doors, fronts)

    def _node(
        self,
        settings: Settings,
        server: postgres.Server | None,
        lines: Sequence[FaultProxy],
        wrists: Sequence[Wrist],
        number: int,
    ) -> Process:
        changed = {"node": wrists[number]._file.stem}
        if number:
            changed["port"] = journey_network.free_port()
        if server is None:
            return Process(settings.model_copy(update=changed))
        assert settings.database_url is not None
        changed["database_url"] = settings.database_url.replace(f":{server.port}/", f":{lines[number].port}/")
        return Process(settings.model_copy(update=changed), more=wrists[number].environment)

    async def _enroll(self, settings: Settings, doors: Sequence[FaultProxy]) -> Network:
        participants: dict[str, tuple[Sector, Behaviour]] = {SILENT: (Sector.BANK, Silent())}
        for name, (mood, _) in self.moods.items():
            is_refusing = mood is Mood.REFUSE
            participants[name] = Sector.BANK, Refusing(RefusalCode.NO_BALANCE) if is_refusing else Prompt()
        journey_network.BINS.update(BINS)
        return await journey_network.enroll(
            settings,
            participants,
            agencies=CLIENTS,
            desks=(SILENT, "hoatoc-hub", "sbv"),
            policy=LADDER,
            answer_to={name: f"http://127.0.0.1:{doors[at % len(doors)].port}" for at, name in enumerate(participants)},
            play={name: make for name, (_, make) in self.moods.items()},
        )


async def _end(node: Process) -> None:
    if node.child is not None and node.child.returncode is None:
        await node.kill()


@pytest.mark.parametrize("kind", journey_network.DATABASES)
async def test_nothing_is_lost_doubled_disordered_or_early_whatever_the_nemesis_does(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    # A participant that never gives up answering: the hub's promise is what is under test, not a receiver's patience.
    monkeypatch.setattr(sandbox_hub, "WAITS", (0.3,) * 5_000)
    draw = random.Random(f"{SEED}-{kind}")
    steps = plan(draw, FAULTS, WHATS[kind])
    print(f"seed {SEED}, {kind}, {len(steps)} faults:", *steps, sep="\n")
    async with asyncio.timeout(3_600 if IS_LONG else 500):
        bench = Bench(kind, tmp_path, draw)
        async with bench.running() as (network, nemesis):
            addresses = [f"http://127.0.0.1:{door.port}" for door in nemesis.doors]
            load = Load(
                *(network, bench.history, addresses, random.Random(draw.random()), bench.choose),
                agencies=CLIENTS,
                lifts=0.4,
                pause=PAUSE,
            )
            load.start()
            await nemesis.run(steps, functools.partial(acknowledged, bench.history))
            await acknowledged(bench.history, max(0, 2 * len(BINS) - len(bench.history.acknowledged)))
            await load.finish()
            bench.healed.set()
            found = await settled(network, bench.history, bench.nature, nemesis.nodes, SETTLED_WITHIN)
        wrong = [
            *journey_history.violations(bench.history, found, network, bench.nature),
            *(failure for node in nemesis.nodes for failure in journey_history.failures(node.text)),
        ]
        record_property("T-FAULTS", json.dumps(_figures(kind, steps, bench, network, nemesis, found, wrong)))
        assert not wrong, f"HOATOC_SEED={SEED}, history {tmp_path / 'history.jsonl'}:\n" + "\n".join(wrong[:60])
        assert set(nemesis.done) == set(WHATS[kind]) and sum(nemesis.done.values()) == len(steps)


def _figures(
    kind: str,
    steps: Sequence[Step],
    bench: Bench,
    network: Network,
    nemesis: Nemesis,
    found: journey_history.Found,
    wrong: Sequence[str],
) -> dict[str, object]:
    misbehaved: Counter[str] = Counter()
    for sandbox in network.sandboxes.values():
        if isinstance(sandbox, Moody):
            misbehaved[sandbox.mood] += sandbox.misbehaved
    return {
        "database": kind,
        "seed": SEED,
        "nodes": len(nemesis.nodes),
        "faults": dict(nemesis.done),
        "misbehaved": dict(+misbehaved),
        "acknowledged": len(bench.history.acknowledged),
        "lifted": sum(asked.is_lifted for asked in bench.history.asked.values()),
        "orders": sum(map(len, found.orders.values())),
        "timers fired": sum(row["settled_at"] is not None and row["state"] == "missed" for row in found.deadlines),
        "duplicates at receivers": len(network.told("duplicate")),
        "latest firing s": round(journey_history.lateness(found), 1),
        **dict(bench.history.kinds),
        "violations": len(wrong),
    }
