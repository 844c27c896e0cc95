"""A5: ``kill -9`` of one of two nodes that deliver 500 orders a second and fire deadlines beside."""

import time
from typing import Any

import bench_rows
from bench_a2 import emptied
from bench_a4 import lateness
from bench_figures import Goal, Outcome
from bench_ground import PLATFORMS, Ground
from bench_profile import Profiles

RATE = 500.0
SECONDS = 30.0
# So that at each instant some are under way: what a real bank takes to answer.
DELAY = 0.05


async def run(ground: Ground, scale: float, profiles: Profiles) -> Outcome:
    """Kill one node in the middle; return what was lost, when its work was back, and what arrived twice."""
    seconds = max(8.0, SECONDS * scale)
    count = await bench_rows.orders(ground, int(RATE * seconds))
    survivor, victim = ground.node("a", door=False), ground.node("b", door=False)
    slow = {row.id: {"delay": DELAY} for row in PLATFORMS}
    async with ground.receivers(slow) as receivers, ground.running(survivor, victim):
        due = await bench_rows.spread(ground, RATE)
        begin = min(due.values())
        await bench_rows.deadlines_beside(ground, seconds, begin)
        await bench_rows.at(begin + seconds / 2)
        await victim.kill()
        killed = time.time()
        held: Any = await bench_rows.asked(ground, "SELECT dispatch_id FROM dispatch_queue WHERE leased AND node = 'b'")
        await emptied(ground)
    delivered: Any = await bench_rows.asked(
        ground, f"SELECT id, {bench_rows.epoch(ground, 'delivered_at')} FROM dispatches WHERE state = 'delivered'"
    )
    at = {row[0]: float(row[1]) for row in delivered}
    back = [at[row[0]] - killed for row in held if row[0] in at]
    heard = [webhook_id for _, _, webhook_id in receivers.heard() if webhook_id in due]
    values = {
        "lost": float(count - len(at)),
        "held by the killed node": float(len(held)),
        "its work back s": max(back, default=0.0),
        "max s late (deadlines)": max(await lateness(ground), default=0.0),
        "duplicates %": 100 * (len(heard) - len(set(heard))) / count,
    }
    goals = [
        Goal("lost", 0, most=True),
        Goal("its work back s", 6, most=True),
        Goal("max s late (deadlines)", 0.25, most=True),
        Goal("duplicates %", 1, most=True),
    ]
    return Outcome(values, goals, {"orders": count, "offered/s": RATE, "nodes": 2})
