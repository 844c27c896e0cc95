"""The primary dies under load and its synchronous standby takes over: nothing acknowledged is lost (P1, P20)."""

import asyncio
import json
import os
import random
import uuid
from collections.abc import Callable
from pathlib import Path

import journey_history
import journey_network
import pytest
from journey_cluster import Pair, ask
from journey_history import History, Nature
from journey_load import AGENCIES, LADDER, Load, acknowledged, settled
from journey_network import BANKS, TELECOMS
from journey_processes import Process, until

from adapters.sandbox import hub as sandbox_hub
from service import clock

FAILOVERS = 5 if os.environ.get("HOATOC_FAULTS") == "1" else 1
SEED = int(os.environ.get("HOATOC_SEED", "0")) or uuid.uuid4().int % 1_000_000
NATURE = Nature(silent=frozenset({"bidv"}))
SETTLED_WITHIN = 120.0
pytestmark = pytest.mark.xdist_group("processes")


async def test_what_was_acknowledged_is_on_the_standby_that_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """Each time the standby stands still first, and an impatient administrator ends the waits for it.

    What was committed then is on the primary alone, and dies with it; PostgreSQL has called it a success.
    """
    monkeypatch.setattr(sandbox_hub, "WAITS", (0.3,) * 5_000)
    draw, pair = random.Random(SEED), Pair()
    async with asyncio.timeout(600):
        try:
            await pair.make()
            await pair.create("hub")
            settings = journey_network.settings_of(tmp_path, pair.url("hub"), policy="under-fire", node="a")
            settings = settings.model_copy(update={"issuer": settings.address})
            nodes = [
                Process(settings),
                Process(settings.model_copy(update={"node": "b", "port": journey_network.free_port()})),
            ]
            addresses = [f"http://{node.settings.host}:{node.settings.port}" for node in nodes]
            participants = {**BANKS, **TELECOMS}
            network = await journey_network.enroll(
                settings,
                participants,
                agencies=AGENCIES[:4],
                desks=("bidv", "hoatoc-hub", "sbv"),
                policy=LADDER,
                answer_to={name: addresses[at % len(nodes)] for at, name in enumerate(participants)},
            )
            history = History(tmp_path / "history.jsonl")
            async with network.playing(), nodes[0].running(), nodes[1].running():
                load = Load(network, history, addresses, draw, agencies=AGENCIES[:4], pause=0.05)
                load.start()
                cancelled, pauses = 0, []
                for _ in range(FAILOVERS):
                    await acknowledged(history, draw.randint(10, 40))
                    receiver = await pair.fall_behind()
                    cancelled += await _end_the_waits(pair, history)
                    began = clock.monotonic()
                    await pair.fail_over(receiver)
                    await acknowledged(history, 5)
                    pauses.append(round(clock.monotonic() - began, 1))
                await load.finish()
                found = await settled(network, history, NATURE, nodes, SETTLED_WITHIN)
        finally:
            pair.stop()
    wrong = journey_history.violations(history, found, network, NATURE)
    figures = {
        "seed": SEED,
        "failovers": FAILOVERS,
        "waits cancelled": cancelled,
        "acknowledged": len(history.acknowledged),
        "writes back after s": pauses,
        "duplicates at receivers": len(network.told("duplicate")),
        **dict(history.kinds),
        "violations": len(wrong),
    }
    record_property("T-FAILOVER", json.dumps(figures))
    assert not wrong, f"HOATOC_SEED={SEED}:\n" + "\n".join(wrong[:40])
    assert cancelled >= FAILOVERS


async def _end_the_waits(pair: Pair, history: History) -> int:
    """Cancel the waits for the standby until clients have heard that nobody knows; return how many were cancelled."""
    cancelled, before = 0, history.kinds["unknown 503"]

    async def clients_do_not_know() -> bool:
        nonlocal cancelled
        for pid in await pair.waiting():
            cancelled += bool(await ask(pair.primary, f"SELECT pg_cancel_backend({pid})"))
        return history.kinds["unknown 503"] >= before + 3

    await until(clients_do_not_know, 60, lambda: f"an answer to a cancelled wait: {dict(history.kinds)}")
    return cancelled
