"""A node whose clock is wrong says so within seconds, works no more, and comes back by itself (PROMISES P6)."""

import asyncio
import json
import os
from pathlib import Path

import journey_network
import pytest
from journey_nemesis import Wrist
from journey_processes import Process, until

from adapters.transport import HubClient

# P6: it fences itself within ten seconds; half as long again for a machine that has other things to do.
FENCED_WITHIN = 15.0
IS_LONG = os.environ.get("HOATOC_FAULTS") == "1"
OFFSETS = (60, -3_600, 86_400) if IS_LONG else (-3_600,)
# The clocks of whole nodes are shifted by the bench as well.
COMMANDS = [("serve", "--no-worker"), *([("serve",)] if IS_LONG else [])]
pytestmark = pytest.mark.xdist_group("processes")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_a_node_whose_clock_jumps_is_not_ready_until_it_is_right_again(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    async with asyncio.timeout(180), journey_network.database_of("postgresql") as url:
        settings = journey_network.settings_of(tmp_path, url, node="a")
        await journey_network.enroll(settings, {})
        wrist = Wrist(tmp_path / "a.clock")
        node = Process(settings, *command, more=wrist.environment)
        client = HubClient(f"http://{settings.host}:{settings.port}", timeout=5.0)
        said: list[list[str]] = []

        async def faults() -> list[str]:
            said.append(json.loads((await client.get("/readyz", headers={})).body)["faults"])
            return said[-1]

        async def is_fenced() -> bool:
            return await faults() == ["clock.offset"]

        async def is_well() -> bool:
            return await faults() == []

        async with node.running():
            for offset in OFFSETS:
                wrist.set(offset)
                await until(is_fenced, FENCED_WITHIN, lambda: f"clock.offset: {said[-3:]}", every=0.2)
                wrist.set(0)
                await until(is_well, FENCED_WITHIN, lambda: f"a node that is well: {said[-3:]}", every=0.2)
        await client.aclose()
