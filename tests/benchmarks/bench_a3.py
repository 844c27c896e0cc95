"""A3: one of twenty endpoints hangs; the others must not notice, beside the same load with all of them well."""

from collections.abc import Mapping

import bench_rows
from bench_a2 import emptied
from bench_figures import Goal, Outcome, percentile
from bench_ground import PLATFORMS, Ground
from bench_profile import Profiles

RATE = 200.0
SECONDS = 30.0
HANGS = PLATFORMS[0].id


async def run(ground: Ground, scale: float, profiles: Profiles) -> Outcome:
    """Offer the same load twice, to the healthy network first; return what the nineteen others saw."""
    seconds = max(3.0, SECONDS * scale)
    count = await bench_rows.orders(ground, int(RATE * seconds))
    kept = await bench_rows.keep_queue(ground)
    well = await _offered(ground, {})
    await bench_rows.lay_down(ground, kept)
    ill = await _offered(ground, {HANGS: {"hangs": True}})
    expected = len(well)
    values = {
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
    return Outcome(values, goals, {"orders": count, "offered/s": RATE, "hangs": "1 of 20"})


async def _offered(ground: Ground, behaviour: Mapping[str, Mapping[str, bool]]) -> list[float]:
    """Return how many seconds after its instant each order of the nineteen others arrived for the first time."""
    node = ground.node("a", door=ground.kind == "sqlite")
    others = ",".join(f"'{row.id}'" for row in PLATFORMS if row.id != HANGS)
    async with ground.receivers(behaviour) as receivers, ground.running(node):
        due = await bench_rows.spread(ground, RATE)
        # Those to the endpoint that hangs are tried again for hours: nobody waits for them.
        await emptied(ground, f"dispatch_id IN (SELECT id FROM dispatches WHERE participant_id IN ({others}))")
    first: dict[str, float] = {}
    for at, name, webhook_id in receivers.heard():
        if name != HANGS and webhook_id in due:
            first.setdefault(webhook_id, at)
    return [at - due[webhook_id] for webhook_id, at in first.items()]
