"""``make bench``: runs A1 to A9 as real work, prints what they reached, and writes build/bench.json.

``--only A1,A4`` chooses, ``--runs 3`` repeats, ``--scale 0.1`` makes each run a tenth as large.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), *(str(ROOT / "tests" / name) for name in ("", "hub", "journeys", "wire")), str(ROOT)]

import bench_a1  # noqa: E402 - after the path is set
import bench_a2  # noqa: E402
import bench_a3  # noqa: E402
import bench_a4  # noqa: E402
import bench_a5  # noqa: E402
import bench_a6  # noqa: E402
import bench_a7  # noqa: E402
import bench_a8  # noqa: E402
import bench_a9  # noqa: E402
import bench_figures  # noqa: E402
import bench_table  # noqa: E402
import postgres  # noqa: E402
import uvloop  # noqa: E402
from bench_figures import Outcome  # noqa: E402
from bench_ground import Ground, Grounds  # noqa: E402
from bench_profile import Profiles  # noqa: E402

Benchmark = Callable[[Ground, float, Profiles], Awaitable[Outcome]]
BENCHMARKS: dict[str, Benchmark] = {
    "A1": bench_a1.run,
    "A2": bench_a2.run,
    "A3": bench_a3.run,
    "A4": bench_a4.run,
    "A5": bench_a5.run,
    "A6": bench_a6.run,
    "A7": bench_a7.run,
    "A9": bench_a9.run,
}
EMBEDDED = "A8"
ALL = (*BENCHMARKS, EMBEDDED)
# Laying ten million rows down takes most of its time, and each of its figures is already a median.
ONCE = frozenset({"A6"})
# A run that hangs ends: in seconds, far above the longest at full size.
LONGEST = 3_600.0
ENVIRONMENT = ROOT / "build" / "bench-env"


async def measure(
    server: str, only: list[str], runs: int, scale: float, profiles: Profiles, keep: Callable[[dict[str, Any]], None]
) -> None:
    """Run the chosen benchmarks one after the other, each on a hub of its own; ``keep`` is told after each."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="hoatoc-bench-") as folder:
        grounds = Grounds(Path(folder), server)
        for name in only:
            outcomes = []
            began = time.monotonic()
            for _ in range(1 if name in ONCE else runs):
                async with asyncio.timeout(LONGEST):
                    outcomes.append(await _once(grounds, name, scale, profiles))
            found[name] = bench_figures.joined(outcomes) | {"seconds": round(time.monotonic() - began, 1)}
            if name == EMBEDDED:
                bench_a8.put_beside(found)
            bench_table.show(name, found[name])
            # What took an hour is not lost when the next one fails.
            keep(found)


async def _once(grounds: Grounds, name: str, scale: float, profiles: Profiles) -> Outcome:
    if name == EMBEDDED:
        return await bench_a8.run(grounds, scale, profiles)
    ground = await grounds.fresh("postgresql")
    try:
        return await BENCHMARKS[name](ground, scale, profiles)
    finally:
        await grounds.drop(ground)


def main(arguments: list[str]) -> int:
    """Measure and write; return 0 unless something could not be run at all: a missed goal is a result."""
    parser = argparse.ArgumentParser(description="measure the hub against its goals")
    parser.add_argument("--only", default="", help="A1,A4: these alone")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="1 is the goals' own size")
    parser.add_argument("--profile", action="store_true", help="draw flame graphs too")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json")
    given = parser.parse_args(arguments)
    only = [name.strip().upper() for name in given.only.split(",") if name.strip()] or list(ALL)
    if unknown := [name for name in only if name not in ALL]:
        parser.error(f"--only: no such benchmark: {', '.join(unknown)} (there are {', '.join(ALL)})")
    if given.runs < 1 or not 0 < given.scale <= 10:
        parser.error("--runs must be at least 1, --scale above 0 and at most 10")
    # Asked to end, end like after Ctrl-C: neither the server nor a node outlives this script.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    profiles = Profiles(given.out.parent / "flame", ENVIRONMENT, given.profile)
    if given.profile and not profiles.on:
        print("no flame graphs: py-spy is not installed here", flush=True)
    # Of the minute before: whoever else is at work is heard in every figure.
    how = {"runs": given.runs, "scale": given.scale, "load_before": round(os.getloadavg()[0], 2)}
    with postgres.running() as server:
        os.environ[postgres.VARIABLE] = server
        # On the loop of nodes: what the hub is measured against has it as well.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            keep = partial(bench_table.write, given.out, how=how, flames=profiles.made)
            runner.run(measure(server, only, given.runs, given.scale, profiles, keep))
    print(f"\n{given.out}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
