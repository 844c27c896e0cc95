"""A figure of a promise is shown in one table, and a violation or a missing promise ends the run in red."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import trust_sizes

TESTS = Path(__file__).parents[1]
PROBE = """
import json
import pytest

@pytest.mark.parametrize("promise, violations", {cases})
def test_probe(promise, violations, record_property):
    figure = dict(promise=promise, what="probe", n=7, seed=5, violations=violations, database="sqlite")
    record_property("trust", json.dumps(figure))
"""


def _run(folder: Path, cases: list[tuple[str, int]], *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_probe.py").write_text(PROBE.format(cases=cases))
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = {TESTS}\naddopts = -p figures -p no:cacheprovider\n")
    command = [sys.executable, "-m", "pytest", "-q", "-c", "pytest.ini", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_promises_without_a_violation_are_one_table_in_their_order(tmp_path: Path) -> None:
    done = _run(tmp_path, [("P14", 0), ("P8", 0)], "--promises=P8,P14")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    rows = [line.split() for line in lines if line.startswith(("P8 ", "P14 "))]
    assert [row[0] for row in rows] == ["P8", "P14"]
    assert all({"probe", "7", "5", "0"} <= set(row) for row in rows)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "two workers"])
def test_a_recorded_violation_ends_in_red_although_its_test_passed(tmp_path: Path, workers: tuple[str, ...]) -> None:
    done = _run(tmp_path, [("P8", 0), ("P9", 3)], *workers)
    assert done.returncode == 1, done.stdout
    assert "2 passed" in done.stdout


def test_a_promise_that_nothing_measured_ends_in_red(tmp_path: Path) -> None:
    done = _run(tmp_path, [("P8", 0)], "--promises=P8,P9")
    assert done.returncode == 1
    assert "P9 " in done.stdout and "not measured" in done.stdout


def test_the_size_and_the_seed_are_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(trust_sizes.VARIABLE, raising=False)
    monkeypatch.delenv(trust_sizes.SEED, raising=False)
    assert (trust_sizes.size(10, 100), trust_sizes.seed()) == (10, trust_sizes.GATE_SEED)
    monkeypatch.setenv(trust_sizes.VARIABLE, "1")
    monkeypatch.setenv(trust_sizes.SEED, "77")
    assert (trust_sizes.size(10, 100), trust_sizes.seed()) == (100, 77)
    name, value = trust_sizes.figure("P8", "probe", n=4, violations=0, database="sqlite")
    assert name == "trust"
    assert json.loads(value) == {
        "promise": "P8",
        "what": "probe",
        "n": 4,
        "seed": 77,
        "violations": 0,
        "database": "sqlite",
    }
