"""A8: A1 to A4 and the pages of A9 in small on SQLite, one process."""

from typing import Any

import bench_a1
import bench_a2
import bench_a3
import bench_a4
import bench_a9
from bench_figures import Outcome
from bench_ground import Grounds
from bench_profile import Profiles

PARTS = {"A1": bench_a1.run, "A2": bench_a2.run, "A3": bench_a3.run, "A4": bench_a4.run, "A9": bench_a9.run}
# In small: a twentieth of what PostgreSQL gets.
SHARE = 0.05


async def run(grounds: Grounds, scale: float, profiles: Profiles) -> Outcome:
    """Run each part on an embedded database of its own; return all figures under the part's name, without goals."""
    values: dict[str, float] = {}
    settings = {}
    for name, part in PARTS.items():
        ground = await grounds.fresh("sqlite")
        try:
            outcome = await part(ground, scale * SHARE, Profiles.none())
        finally:
            await grounds.drop(ground)
        values |= {f"{name} {figure}": value for figure, value in outcome.values.items()}
        settings[name] = dict(outcome.settings)
    return Outcome(values, (), settings)


def put_beside(found: dict[str, Any]) -> None:
    """Add to each figure what PostgreSQL reached in the same run, where that was measured."""
    for name, told in found["A8"]["figures"].items():
        part, _, figure = name.partition(" ")
        beside = found.get(part, {}).get("figures", {}).get(figure)
        if beside is not None:
            told["postgresql"] = beside["median"]
