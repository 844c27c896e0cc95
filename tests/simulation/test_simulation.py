"""P27: two hundred seeds of the whole engine in virtual time break no promise, and each can be played again exactly."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trust_sizes

SIMULATE = Path(__file__).with_name("simulate.py")
CHUNKS = 4
SEEDS = {"gate": 50, "full": 500}
DRAWN = re.compile(r"simulation: seed \d+, N (\d+), violations (\d+)")


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Play seeds in a process of its own: it changes clocks and chance for itself alone."""
    command = [sys.executable, str(SIMULATE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_seed_breaks_a_promise(chunk: int, record_property: Any) -> None:
    count = trust_sizes.size(**SEEDS)
    first = trust_sizes.seed() + chunk * count
    done = simulate("--seed", str(first), "--n", str(count), "--stop")
    drawn = DRAWN.search(done.stdout)
    assert drawn is not None, done.stdout + done.stderr
    played, violations = map(int, drawn.groups())
    what = "T-SIMULATION: seeds of engine, rules and escalation in virtual time"
    record_property(*trust_sizes.figure("P27", what, n=played, violations=violations, first=first))
    assert done.returncode == 0, done.stdout + done.stderr
    assert played == count


def test_a_seed_is_played_again_exactly_whatever_was_played_before_it() -> None:
    """Of each twenty seeds the first one is played on PostgreSQL."""
    last = trust_sizes.seed() // 20 * 20 + 1
    after_others = simulate("--seed", str(last - 2), "--n", "3", "--digests")
    alone = [simulate("--seed", str(seed), "--n", "1", "--digests") for seed in (last - 1, last)]
    digests = [re.findall(r"^\d+ [0-9a-f]{16}$", each.stdout, re.MULTILINE) for each in (after_others, *alone)]
    assert digests[0][1:] == [*digests[1], *digests[2]]
    assert len(digests[0]) == 3
