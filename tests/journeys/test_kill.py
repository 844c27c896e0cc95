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
from journey_history import History, Nature
from journey_load import AGENCIES, LADDER, Load, acknowledged, settled
from journey_network import BANKS, TELECOMS, Network
from journey_processes import Process

from adapters.sandbox import hub as sandbox_hub

KILLS = int(os.environ.get("HOATOC_KILLS", "20"))
SEED = int(os.environ.get("HOATOC_SEED", "0")) or uuid.uuid4().int % 1_000_000
NATURE = Nature(silent=frozenset({"bidv"}))
SETTLED_WITHIN = 120.0
# A node is killed so many acknowledgements and so many seconds, at most, after it came back: under full load on
# however slow a machine, and now and then as soon as it is ready.
MOST_ACKNOWLEDGED, MOST_SECONDS = 30, 0.5


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
            found = await settled(network, history, NATURE, nodes, SETTLED_WITHIN)
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
        wrong = journey_history.violations(history, found, network, NATURE)
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
    await acknowledged(history, draw.randint(1, MOST_ACKNOWLEDGED))
    for shot in range(KILLS):
        node = nodes[shot % len(nodes)]
        await asyncio.sleep(draw.uniform(0, MOST_SECONDS))
        await node.kill()
        await node.start()
        # The other node, where there is one, goes on meanwhile.
        took, _ = await asyncio.gather(node.ready(), acknowledged(history, draw.randint(0, MOST_ACKNOWLEDGED)))
        starts.append(took)
    await load.finish()
    return starts
