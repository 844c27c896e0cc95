"""A7: the busiest hour of a national day, five times as fast: real doors, two nodes, slow and dead participants."""

import asyncio
import time
from typing import Any

import bench_load
import bench_rows
from bench_figures import Goal, Outcome, percentile
from bench_ground import PLATFORMS, Ground
from bench_profile import Profiles

# CLOCKS: 100,000 requests a day, four orders each, ten times the mean in the busiest hour; five times as fast.
RATE = 100_000 / 86_400 * 10 * 5
ORDERS = 4
# An hour so fast; ``SLICE`` of it is what one run at scale 1 plays.
HOUR, SLICE = 3_600 / 5, 0.25
# More than a node files at a time: what it turns away is its own decision.
LINES = 384
# How long the end of the last orders is waited for.
WITHIN = 180.0
SLOW, DEAD = PLATFORMS[:2], PLATFORMS[2]
# As slow as one may be that bears its share of the hour: eight calls are under way to it at a time.
SLOW_BY = 0.5


async def run(ground: Ground, scale: float, profiles: Profiles) -> Outcome:
    """File at the hour's rate; return how soon each order was tried first, and whose receipts were missed."""
    seconds = max(5.0, HOUR * SLICE * scale)
    count = int(RATE * seconds)
    nodes = [ground.node("a"), ground.node("b")]
    police = bench_load.Police(ground, ORDERS)
    behaviour: dict[str, dict[str, Any]] = {row.id: {"delay": SLOW_BY} for row in SLOW}
    behaviour[DEAD.id] = {"hangs": True}
    async with (
        ground.receivers(behaviour, answers=nodes),
        ground.running(*nodes),
        bench_load.lines(ground, LINES, *nodes) as lines,
    ):
        await police.sign_in()
        began = time.monotonic()
        async with profiles.of(nodes[0], "A7"):
            filed = await bench_load.file_at(RATE, lines, police, count)
        reached = len(filed.took) / (time.monotonic() - began)
        answered = await _done(ground)
    # What goes to a dead one waits for its breaker, as it should.
    of_others = f"participant_id <> '{DEAD.id}'"
    first: Any = await bench_rows.asked(
        ground,
        f"SELECT {bench_rows.epoch(ground, 'a.started_at')} - {bench_rows.epoch(ground, 'd.created_at')}"
        f" FROM attempts a JOIN dispatches d ON d.id = a.dispatch_id WHERE a.attempt = 1 AND {of_others}",
    )
    missed: Any = await bench_rows.asked(
        ground,
        f"SELECT count(*) FROM deadlines WHERE rung = 0 AND stage = 'receipt' AND state = 'missed' AND {of_others}",
    )
    waits = [float(row[0]) for row in first]
    values = {
        "offered requests/s": RATE,
        "accepted requests/s": reached,
        "accept p99 ms": percentile(filed.took, 0.99) * 1000,
        "turned away": float(filed.turned_away),
        "unanswered": float(filed.unanswered),
        "first attempts": float(len(waits)),
        "first attempt p50 s": percentile(waits, 0.5),
        "first attempt p99 s": percentile(waits, 0.99),
        "executed by the others %": answered,
        "receipts missed by our fault": float(missed[0][0]),
    }
    goals = [Goal("first attempt p99 s", 2, most=True), Goal("receipts missed by our fault", 0, most=True)]
    settings = {
        "requests": count,
        "orders a request": ORDERS,
        "slow": len(SLOW),
        "slow by s": SLOW_BY,
        "dead": 1,
        "of the hour": seconds / HOUR,
    }
    remarks = [f"played {100 * seconds / HOUR:.0f} % of the hour"]
    return Outcome(values, goals, settings, remarks)


async def _done(ground: Ground) -> float:
    """Wait until all that can be was delivered and answered; return the share that was, in per cent."""
    asked = f"FROM orders o WHERE participant_id <> '{DEAD.id}'"
    executed = f"SELECT count(*) FILTER (WHERE state = 'executed'), count(*) {asked}"
    until = time.monotonic() + WITHIN
    while True:
        done, of = (await bench_rows.asked(ground, executed))[0]
        if done == of or time.monotonic() > until:
            return 100 * float(done) / float(of)  # type: ignore[arg-type]
        await asyncio.sleep(0.5)
