"""A whole drill with real processes: laid out by a command, served, played over HTTP, and told in a report."""

import asyncio
import json
import socket
from pathlib import Path

import pytest
from journey_processes import Process

from adapters.transport import HubClient
from service.settings import DRILL_ADDRESS, Settings

PLAYED_WITHIN = 240.0


def free_port() -> int:
    """Return a port that nobody listens on at the drill's own address."""
    with socket.socket() as probe:
        probe.bind((DRILL_ADDRESS, 0))
        return int(probe.getsockname()[1])


@pytest.mark.xdist_group("processes")
async def test_a_drill_is_prepared_served_played_and_told(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path, drill=True, host=DRILL_ADDRESS, port=free_port(), policy="demo-seconds", log_level="warning"
    )
    more = {"HOATOC_DRILL": "true"}

    async def command(*words: str) -> str:
        process = Process(settings, *words, name="-".join(words[:2]), more=more)
        async with process.running(wait=False):
            assert await process.ended(PLAYED_WITHIN) == 0, process.text
        return process.text

    told = await command("drill", "prepare", "--json")
    assert '"played"' in told, told
    async with asyncio.timeout(PLAYED_WITHIN), Process(settings, "serve", more=more).running():
        client = HubClient(settings.address, timeout=5.0)
        answer = await client.get("/healthz", headers={})
        await client.aclose()
        assert json.loads(answer.body)["drill"] is True
        # The clocks of this policy run in seconds: the silent one is escalated while the others have answered.
        played = await command("drill", "run", "four-banks", "--seconds", "40")
    received = [line for line in played.splitlines() if line.startswith("DRILL received")]
    assert len(received) == 4 and all("drill=true" in line for line in received), played
    whole = await command("drill", "report", "--json")
    rows = {row["participant_id"]: row for row in json.loads(whole)["participants"]}
    assert {name: (row["orders"], row["received"]) for name, row in rows.items()} == dict.fromkeys(
        ("bidv", "momo", "techcombank", "vietcombank"), (1, 1)
    )
    assert {name: row["executed"] for name, row in rows.items()} == {
        "bidv": 0,
        "momo": 1,
        "techcombank": 1,
        "vietcombank": 1,
    }
    assert rows["bidv"]["missed"].get("execute") == 1 and rows["bidv"]["rungs"] >= 1
    # How fast this machine is decides nothing about the others: each of them has answered.
    assert rows["vietcombank"]["answered"] == 1 and rows["vietcombank"]["refused"] == 0
    page = await command("drill", "report", "--lang", "en")
    assert "# DIỄN TẬP – EXERCISE: what came of it" in page and "LATE" in page
