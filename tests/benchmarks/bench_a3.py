"""A3: one of twenty endpoints hangs; the others must not notice, beside the same load with all of them well."""

from collections.abc import Mapping

import bench_rows
from bench_a2 import emptied, took
from bench_figures import Goal, Outcome, percentile
from bench_ground import PLATFORMS, Ground
from bench_profile import Profiles

# Offered is half of what this machine delivers when it may, and no more than that: a full one is late by itself.
RATE = 400.0
SECONDS = 30.0
HANGS = PLATFORMS[0].id


async def run(ground: Ground, scale: float, profiles: Profiles) -> Outcome:
    """Offer the same load twice, to the healthy network first; return what the nineteen others saw."""
    seconds = max(3.0, SECONDS * scale)
    count = await bench_rows.orders(ground, int(RATE * seconds))
    kept = await bench_rows.keep_queue(ground)
    rate = min(RATE, await _capacity(ground, count) / 2)
    kept = kept[: max(len(PLATFORMS) * 5, int(rate * seconds))]
    await bench_rows.lay_down(ground, kept)
    well = await _offered(ground, rate, {})
    await bench_rows.lay_down(ground, kept)
    ill = await _offered(ground, rate, {HANGS: {"hangs": True}})
    expected = len(well)
    values = {
        "offered orders/s": rate,
        "others delivered %": 100 * len(ill) / expected,
        "median ms without": percentile(well, 0.5) * 1000,
        "median ms": percentile(ill, 0.5) * 1000,
        "median slower by %": 100 * (percentile(ill, 0.5) / percentile(well, 0.5) - 1),
        "p99 ms without": percentile(well, 0.99) * 1000,
        "p99 ms": percentile(ill, 0.99) * 1000,
        "p99 later by s": percentile(ill, 0.99) - percentile(well, 0.99),
    }
    goals = [
        Goal("others delivered %", 100),
        Goal("median slower by %", 10, most=True),
        Goal("p99 later by s", 0.5, most=True),
    ]
    return Outcome(values, goals, {"orders": len(kept), "hangs": "1 of 20"})


async def _capacity(ground: Ground, count: int) -> float:
    """Return how many orders a second this machine delivers when all are due."""
    node = ground.node("a", door=ground.kind == "sqlite")
    async with ground.receivers(), ground.running(node):
        await bench_rows.let_go(ground)
        await emptied(ground)
    return count / await took(ground)


async def _offered(ground: Ground, rate: float, behaviour: Mapping[str, Mapping[str, bool]]) -> list[float]:
    """Return how many seconds after its instant each order of the nineteen others arrived for the first time."""
    node = ground.node("a", door=ground.kind == "sqlite")
    others = ",".join(f"'{row.id}'" for row in PLATFORMS if row.id != HANGS)
    async with ground.receivers(behaviour) as receivers, ground.running(node):
        due = await bench_rows.spread(ground, rate)
        # Those to the endpoint that hangs are tried again for hours: nobody waits for them.
        await emptied(ground, f"dispatch_id IN (SELECT id FROM dispatches WHERE participant_id IN ({others}))")
    first: dict[str, float] = {}
    for at, name, webhook_id in receivers.heard():
        if name != HANGS and webhook_id in due:
            first.setdefault(webhook_id, at)
    return [at - due[webhook_id] for webhook_id, at in first.items()]
