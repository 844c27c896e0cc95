"""Plays seeds of the simulation: ``make simulate SEED=7 N=2000``; one seed alone is played again exactly as it was.

A seed decides everything: what people do, what breaks, and in which order tasks run. Of a seed that breaks a promise
the violations, the last events and the command that plays it again are printed; the program then ends with 1.
"""

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / name) for name in ("tests/simulation", "tests/hub", "tests", ".")]

# Sets of texts are walked in an order that this decides: the same one in every run.
HASHES = ("PYTHONHASHSEED", "0")
CHUNK = 25
# One seed in so many is played on PostgreSQL.
SHARE = 20


def play(first: int, count: int, shown: int, stop: bool) -> tuple[int, Counter[str], list[str], list[str]]:
    """Play so many seeds; return how many were played, what happened, what was wrong and the digests of histories."""
    import sim_template  # noqa: PLC0415 - a worker process begins here
    import sim_world  # noqa: PLC0415

    totals: Counter[str] = Counter()
    wrong: list[str] = []
    digests: list[str] = []
    played = 0
    with tempfile.TemporaryDirectory(prefix="hoatoc-template-") as folder:
        on_file, on_server = sim_template.make(Path(folder)), None
        gc.collect()
        gc.freeze()
        gc.disable()
        for seed in range(first, first + count):
            template: Any = on_file
            if seed % SHARE == 0:
                on_server = on_server or sim_template.make_on_server(Path(folder), f"sim_{first}_{os.getpid()}")
                template = on_server
            verdict = sim_world.Simulation(seed, template, keep=shown).run()
            played += 1
            if not played % 5:
                gc.collect()
            totals.update(verdict.counts)
            digests.append(f"{seed} {verdict.digest}")
            if verdict.violations:
                told = [f"seed {seed}: {len(verdict.violations)} violations"]
                told += [f"  {each}" for each in verdict.violations[:20]]
                told += [f"  {each}" for each in verdict.history]
                wrong.append("\n".join([*told, f"  again: make simulate SEED={seed} N=1"]))
                if stop:
                    break
    return played, totals, wrong, digests


def main(arguments: Sequence[str]) -> int:
    """Play the seeds and say what they came to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, required=True, help="the first seed")
    parser.add_argument("--n", type=int, default=1, help="how many, one after the other")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--shown", type=int, help="how many of the last events of a bad seed are shown")
    parser.add_argument("--digests", action="store_true", help="print the digest of each history")
    parser.add_argument("--stop", action="store_true", help="stop at the first bad seed")
    given = parser.parse_args(arguments)
    shown = given.shown if given.shown is not None else (2_000 if given.n == 1 else 60)
    began = time.monotonic()
    chunks = range(given.seed, given.seed + given.n, CHUNK if given.workers > 1 else given.n)
    sizes = [min(chunks.step, given.seed + given.n - first) for first in chunks]
    if given.workers > 1:
        with ProcessPoolExecutor(given.workers) as pool:
            several = [shown] * len(sizes), [given.stop] * len(sizes)
            results = list(pool.map(play, chunks, sizes, *several))
    else:
        results = [play(given.seed, given.n, shown, given.stop)]
    totals: Counter[str] = Counter()
    for _, more, wrong, digests in results:
        totals += more
        for each in (*(digests if given.digests else ()), *wrong):
            print(each, flush=True)
    played, bad = sum(result[0] for result in results), sum(len(result[2]) for result in results)
    seconds = time.monotonic() - began
    happened = ", ".join(f"{count} {name}" for name, count in totals.items())
    print(
        f"simulation: seed {given.seed}, N {played}, violations {bad}; {seconds:.0f} s, {played / seconds:.2f} seeds/s"
    )
    print(f"  {happened}; {_commit()}")
    return 1 if bad else 0


def _commit() -> str:
    said = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return f"commit {said.stdout.strip() or 'unknown'}"


if __name__ == "__main__":
    if os.environ.get(HASHES[0]) != HASHES[1]:
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, HASHES[0]: HASHES[1]})
    sys.exit(main(sys.argv[1:]))
