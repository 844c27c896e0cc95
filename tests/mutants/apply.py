"""Applies each security mutant to a copy of the tree and runs the tests that must turn red; a survivor ends it with 1.

``make mutants`` runs them all; ``python tests/mutants/apply.py WORD …`` those whose name has one of the words in it.
The table is mutants.toml: what is taken away, in which file, and which tests must notice.
"""

import argparse
import itertools
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("mutants.toml")
COPIED = ("service", "adapters", "workflows", "alembic", "openapi", "tests")
PYTEST = (sys.executable, "-m", "pytest", "-q", "-x", "--tb=line", "--no-header", "-p", "no:cacheprovider")
# In seconds, far beyond what the tests need: those of one mutant, and all of them at once. One that hangs is not red.
LONGEST = 180.0
LONGEST_OF_ALL = 2700.0

_FAILED = re.compile(r"^FAILED (.+?)(?: - .*)?$", re.MULTILINE)
# Compiled files are told apart by the second of their source's last change: each text gets a second of its own.
_seconds = itertools.count(int(time.time()))


class WrongTable(Exception):
    """The table does not fit the tree; the message says where."""


@dataclass(frozen=True)
class Mutant:
    """One sabotage: ``old``, found exactly once in ``file``, becomes ``new``; one of ``tests`` must turn red."""

    name: str
    promise: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, root: Path) -> str:
        """Return the file with the sabotage in it; raises WrongTable where it does not fit."""
        text = (root / self.file).read_text("utf-8")
        found = text.count(self.old)
        if found != 1:
            raise WrongTable(f"{self.name}: the old text is found {found} times in {self.file}")
        sabotaged = text.replace(self.old, self.new)
        if self.file.endswith(".py"):
            try:
                compile(sabotaged, self.file, "exec")
            except SyntaxError as error:
                raise WrongTable(f"{self.name}: {self.file} is no Python any more: {error}") from None
        return sabotaged


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: the test that turned red, or why it counts as a survivor."""

    mutant: Mutant
    caught_by: str | None
    remark: str
    seconds: float


def table() -> list[Mutant]:
    """Read the table."""
    rows = tomllib.loads(TABLE.read_text("utf-8"))["mutant"]
    return [Mutant(**{**row, "tests": tuple(row["tests"])}) for row in rows]


def copied(folder: Path) -> Path:
    """Copy what the tests need into ``folder``."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    for extra in ("requirements", ".ci"):
        shutil.copytree(ROOT / extra, folder / extra)
    return folder


def run(tests: Iterable[str], tree: Path, longest: float = LONGEST) -> tuple[int | None, str]:
    """Run tests in a copy; return pytest's exit code (None if it hung) and what it said."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    process = subprocess.Popen(
        [*PYTEST, *tests],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=longest)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        return None, ""
    return process.returncode, said


def judge(mutant: Mutant, tree: Path) -> Verdict:
    """Apply a mutant to a copy, run its tests and put the copy right again."""
    path = tree / mutant.file
    honest, began = path.read_text("utf-8"), time.monotonic()
    try:
        _write(path, mutant.applied(tree))
        code, said = run(mutant.tests, tree)
    finally:
        _write(path, honest)
    red = _FAILED.search(said)
    remark = {0: "survived", 1: "broke the set-up only", None: "hung"}.get(code, f"pytest ended with {code}")
    return Verdict(mutant, red[1] if code == 1 and red else None, remark, time.monotonic() - began)


def green(mutants: Sequence[Mutant], trees: Sequence[Path]) -> str | None:
    """Run all the named tests without a mutant; return what failed, because then no red test means anything."""
    names = sorted({test for mutant in mutants for test in mutant.tests})
    # A whole file and one of its tests: the file is enough.
    names = [name for name in names if name.partition("::")[0] not in names or "::" not in name]
    shares = [share for at in range(len(trees)) if (share := names[at :: len(trees)])]
    with ThreadPoolExecutor(len(trees)) as pool:
        results = pool.map(run, shares, trees[: len(shares)], itertools.repeat(LONGEST_OF_ALL))
    return next((said or "hung" for code, said in results if code != 0), None)


def main(arguments: Sequence[str]) -> int:
    """Apply the mutants; return 0 when each turned a test red."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="*", help="only mutants whose name has one of these words in it")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(arguments)
    mutants = [each for each in table() if not given.words or any(word in each.name for word in given.words)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hoatoc-mutants-") as temporary:
        trees = [copied(Path(temporary) / str(number)) for number in range(given.workers)]
        for mutant in mutants:
            mutant.applied(trees[0])
        if failed := green(mutants, trees):
            print(f"the tests are not green without a mutant:\n{failed[-6000:]}")
            return 2
        print(
            f"{len(mutants)} mutants; their tests are green without them ({time.monotonic() - began:.0f} s)", flush=True
        )
        survivors = _judged(mutants, trees)
    print(f"{len(mutants)} mutants, {len(survivors)} survived, {time.monotonic() - began:.0f} s")
    return 1 if survivors else 0


def _judged(mutants: Sequence[Mutant], trees: Sequence[Path]) -> list[Verdict]:
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for tree in trees:
        free.put(tree)
    said = threading.Lock()

    def one(mutant: Mutant) -> Verdict:
        tree = free.get()
        try:
            verdict = judge(mutant, tree)
        finally:
            free.put(tree)
        word = "caught" if verdict.caught_by else "SURVIVED"
        with said:
            told = verdict.caught_by or verdict.remark
            print(f"{word:8} {mutant.promise:4} {mutant.name}\n{'':14}{told} ({verdict.seconds:.0f} s)", flush=True)
        return verdict

    with ThreadPoolExecutor(len(trees)) as pool:
        return [verdict for verdict in pool.map(one, mutants) if verdict.caught_by is None]


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    second = next(_seconds)
    os.utime(path, (second, second))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except WrongTable as wrong:
        sys.exit(f"tests/mutants/apply.py: {wrong}")
