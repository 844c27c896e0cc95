"""A1: accepting signed requests through the real doors, beside pgbench writing the same rows in one statement."""

import asyncio
import re
import tempfile
from pathlib import Path
from typing import Any

import bench_load
import bench_sampling
import postgres
from bench_figures import Goal, Outcome, percentile
from bench_ground import Ground
from bench_line import Line
from bench_profile import Profiles

CONNECTIONS = 16
SECONDS = 10.0
WARM_UP = 100
# An open load needs a line for each call that may be under way.
OPEN_LINES = 64


async def run(ground: Ground, scale: float, profiles: Profiles) -> Outcome:
    """Measure the rate at 16 connections, the times at half of it, and pgbench's rate on the same server."""
    # A node is one process, and there are two cores: an embedded hub has one all the same.
    doors = [ground.node(name, delivers=False) for name in ("a" if ground.kind == "sqlite" else "ab")]
    police = bench_load.Police(ground)
    seconds = max(0.2, SECONDS * scale)
    async with ground.running(*doors), bench_load.lines(ground, OPEN_LINES, *doors) as lines:
        await police.sign_in()
        few = lines[:CONNECTIONS]
        warm = WARM_UP / await bench_load.file_all(few, police, WARM_UP)
        pattern = await _pattern(ground, few, police) if ground.kind == "postgresql" else None
        count = max(CONNECTIONS, int(warm * seconds))
        rate = count / await bench_load.file_all(few, police, count)
        half = rate / 2
        filed = await bench_load.file_at(half, lines, police, max(CONNECTIONS, int(half * seconds)))
        async with profiles.of(doors[0], "A1"):
            if profiles.on:
                await bench_load.file_all(few, police, max(CONNECTIONS, int(rate * min(seconds, 15.0))))
    values: dict[str, Any] = {
        "requests/s": rate,
        "p50 ms at half": percentile(filed.took, 0.5) * 1000,
        "p99 ms at half": percentile(filed.took, 0.99) * 1000,
        "refused at half": float(filed.refused),
    }
    goals = [Goal("refused at half", 0, most=True), Goal("p99 ms at half", 50, most=True)]
    settings: dict[str, Any] = {"connections": CONNECTIONS, "requests": count, "orders a request": bench_load.ORDERS}
    settings["doors"] = len(doors)
    if pattern is not None:
        yardstick = await _pgbench(ground, pattern, seconds)
        values |= {"pgbench/s": yardstick, "share of pgbench %": 100 * rate / yardstick}
        goals.insert(0, Goal("share of pgbench %", 50))
        settings["rows a request"] = dict(pattern.rows)
    return Outcome(values, goals, settings)


async def _pattern(ground: Ground, lines: list[Line], police: bench_load.Police) -> bench_sampling.Pattern:
    async with ground.admin() as conn:
        point = await bench_sampling.mark(conn)
        await bench_load.file_all(lines[:1], police, 1)
        return await bench_sampling.since(conn, point)


async def _pgbench(ground: Ground, pattern: bench_sampling.Pattern, seconds: float) -> float:
    """Return how many times a second pgbench writes the pattern's rows, each time by one statement and commit."""
    assert ground.admin_url is not None
    async with ground.admin() as conn:
        await conn.execute(pattern.function("bench_accept"))
    _, _, place = ground.admin_url.partition("@")
    address, _, database = place.partition("/")
    host, _, port = address.partition(":")
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write("\\set salt random(1, 9000000000000000000)\nSELECT bench_accept(:salt);\n")
        script.flush()
        child = await asyncio.create_subprocess_exec(
            *(str(Path(postgres.binaries()) / "pgbench"), "-n", "-M", "prepared", "-c", str(CONNECTIONS), "-j", "2"),
            *(
                "-T",
                str(max(1, round(seconds))),
                "-f",
                script.name,
                "-h",
                host,
                "-p",
                port,
                "-U",
                postgres.USER,
                database,
            ),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, wrong = await child.communicate()
    found = re.search(rb"tps = ([0-9.]+)", said)
    if child.returncode or found is None:
        raise RuntimeError(f"pgbench failed: {wrong.decode(errors='replace')[-2000:]}")
    return float(found[1])
