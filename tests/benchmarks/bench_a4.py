"""A4: a hundred thousand deadlines on two nodes, spread over a minute and then all at one instant."""

import asyncio
import time
from typing import Any

import bench_rows
from bench_figures import Goal, Outcome, percentile
from bench_ground import Ground
from bench_profile import Profiles

DEADLINES = 100_000
SECONDS = 60.0
# Of each order: receipt, acknowledge, execute.
EACH = 3
WITHIN = 600.0


async def run(ground: Ground, scale: float, profiles: Profiles) -> Outcome:
    """Let them fire spread out, then as many again at once; return how late they were and whether each fired once."""
    orders = max(100, int(DEADLINES * scale) // EACH)
    nodes = [ground.node("a", door=ground.kind == "sqlite")]
    if ground.kind == "postgresql":
        nodes.append(ground.node("b", door=False))
        pattern = await bench_rows.file(ground)
        assert pattern is not None
        copies = -(-orders // (bench_rows.FILED * 5))
        await bench_rows.copy(ground, pattern, copies)
        await bench_rows.wait_a_day(ground)
    else:
        await bench_rows.file(ground, -(-orders // 5))
        bench_rows.later(ground)
    seconds = max(2.0, SECONDS * scale)
    async with ground.running(*nodes):
        count, _ = await bench_rows.deadlines_over(ground, seconds)
        await _fired(ground)
    late = await lateness(ground)
    once = await _fired_once(ground, count)
    if ground.kind == "postgresql":
        await bench_rows.copy(ground, pattern, copies, first=1_000_000)
        await bench_rows.wait_a_day(ground)
    else:
        await bench_rows.rewind(ground)
    before = await _missed(ground)
    async with ground.running(*nodes):
        burst, begin = await bench_rows.deadlines_over(ground, 0)
        await _fired(ground)
    (latest,) = (
        await bench_rows.asked(ground, f"SELECT {bench_rows.epoch(ground, 'max(settled_at)')} FROM deadlines")
    )[0]
    drained = float(latest) - begin  # type: ignore[arg-type]
    if await _missed(ground) != before + burst:
        raise RuntimeError("a deadline of the burst ended otherwise than by firing")
    if profiles.on and "A4" not in profiles.made and ground.kind == "postgresql":
        # Watched in a burst of its own, and a smaller one.
        await bench_rows.copy(ground, pattern, max(1, copies // 4), first=2_000_000)
        await bench_rows.wait_a_day(ground)
        async with ground.running(*nodes), profiles.of(nodes[0], "A4"):
            await bench_rows.deadlines_over(ground, 0)
            await _fired(ground)
    values = {
        "fired once %": once,
        "p50 ms late": percentile(late, 0.5) * 1000,
        "p99 ms late": percentile(late, 0.99) * 1000,
        "max s late": max(late),
        "at one instant: drained s": drained,
        "at one instant: deadlines/s": burst / drained,
    }
    goals = [
        Goal("fired once %", 100),
        Goal("p99 ms late", 100, most=True),
        Goal("max s late", 1, most=True),
        Goal("at one instant: drained s", 10 * max(scale, burst / DEADLINES), most=True),
    ]
    return Outcome(values, goals, {"deadlines": count, "over s": seconds, "at one instant": burst, "nodes": len(nodes)})


async def lateness(ground: Ground) -> list[float]:
    """Return how many seconds after its instant each deadline that fired did."""
    late = f"{bench_rows.epoch(ground, 'settled_at')} - {bench_rows.epoch(ground, 'due_at')}"
    rows: Any = await bench_rows.asked(ground, f"SELECT {late} FROM deadlines WHERE state = 'missed' AND rung = 0")
    return [float(row[0]) for row in rows]


async def _fired_once(ground: Ground, count: int) -> float:
    asked = "SELECT count(*), count(DISTINCT deadline_id) FROM audit_entries WHERE code = 'deadline.missed'"
    facts, different = (await bench_rows.asked(ground, asked))[0]
    once: Any = 2 * different - facts  # type: ignore[operator]
    return float(100 * once / count)


async def _missed(ground: Ground) -> int:
    asked = "SELECT count(*) FROM deadlines WHERE state = 'missed' AND rung = 0"
    found: Any = (await bench_rows.asked(ground, asked))[0][0]
    return int(found)


async def _fired(ground: Ground) -> None:
    """Wait until no deadline is left, by a question that costs the database next to nothing while the clock runs."""
    until = time.monotonic() + WITHIN
    left = "SELECT 1 FROM deadlines WHERE state = 'pending' AND rung = 0 ORDER BY due_at LIMIT 1"
    while await bench_rows.asked(ground, left):
        if time.monotonic() > until:
            raise TimeoutError(f"deadlines are left after {WITHIN:.0f} s")
        await asyncio.sleep(0.5)
