"""The house rules: imports go one way, modules stay small, time and commits have one owner."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("service", "adapters", "workflows")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))

# Contract → a file and a line that must break it.
SABOTAGE = {
    "rooms": ("workflows/retry.py", "import adapters.base"),
    "floors": ("service/models/case.py", "import service.actions.submit_request"),
    "pure-rules": ("workflows/retry.py", "import pydantic"),
    "adapters-know-no-hub": ("adapters/signing.py", "import sqlalchemy"),
    "adapters-apart": ("adapters/webhook.py", "import adapters.notice"),
    "sandbox-is-another-house": ("service/worker.py", "import adapters.sandbox.ledger"),
    "jose-owner": ("service/audit.py", "import jose"),
    "httpx-owner": ("adapters/signing.py", "import httpx"),
    "pkcs11-owner": ("service/audit.py", "import pkcs11"),
    "lxml-owner": ("adapters/webhook.py", "import lxml"),
    "authlib-owner": ("adapters/webhook.py", "import authlib"),
    "apscheduler-owner": ("service/app.py", "import apscheduler"),
    "no-circles": ("workflows/terms.py", "import workflows.states"),
}


def _contracts() -> list[str]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return [contract["id"] for contract in settings["tool"]["importlinter"]["contracts"]]


def _lint(folder: Path, contract: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    return subprocess.run(
        [*command, "--contract", contract, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the three rooms, to break."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for path in MODULES:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


def test_each_contract_has_its_sabotage() -> None:
    assert sorted(SABOTAGE) == sorted(_contracts())


@pytest.mark.parametrize("contract", sorted(SABOTAGE))
def test_a_contract_is_kept_and_is_broken_by_its_sabotage(copy: Path, contract: str) -> None:
    kept = _lint(copy, contract)
    assert kept.returncode == 0, kept.stdout
    name, line = SABOTAGE[contract]
    path = copy / name
    honest = path.read_text()
    try:
        path.write_text(f"{honest}\n{line}\n")
        broken = _lint(copy, contract)
    finally:
        path.write_text(honest)
    assert broken.returncode != 0 and "BROKEN" in broken.stdout, broken.stdout + broken.stderr


def test_a_new_file_in_the_hub_must_be_given_a_floor(copy: Path) -> None:
    stray = copy / "service" / "helpers.py"
    try:
        stray.write_text('"""A stray file."""\n')
        assert _lint(copy, "floors").returncode != 0
    finally:
        stray.unlink()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_small_and_says_in_one_sentence_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, "no docstring"
    assert docstring.split("\n\n")[0].rstrip().endswith("."), "the first paragraph is not a sentence"


def _places(pattern: str, *, but: set[str]) -> list[str]:
    found = []
    for path in MODULES:
        name = str(path.relative_to(ROOT))
        if name not in but and re.search(pattern, path.read_text(encoding="utf-8")):
            found.append(name)
    return found


def test_only_the_database_commits() -> None:
    assert _places(r"\.commit\(", but={"service/db.py"}) == []


def test_only_the_clock_reads_the_time() -> None:
    assert _places(r"datetime\.now\(|datetime\.utcnow\(|date\.today\(", but={"service/clock.py"}) == []


def test_nothing_is_left_undone() -> None:
    assert _places(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError", but=set()) == []


def test_the_tests_neither_skip_nor_sleep() -> None:
    pattern = re.compile(r"pytest\.mark\.(skip|xfail)|pytest\.skip\(|time\.sleep\(")
    here = Path(__file__).resolve()
    found = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if path != here and pattern.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_no_two_files_of_the_tests_have_one_name() -> None:
    """They are imported by their bare names, across folders."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))


def test_chance_in_a_trust_test_has_a_seed() -> None:
    unseeded = re.compile(r"random\.Random\(\)|\brandom\.(random|randint|choice|shuffle|sample|randrange)\(")
    trust = (ROOT / "tests" / "trust").rglob("*.py")
    assert [path.name for path in trust if unseeded.search(path.read_text(encoding="utf-8"))] == []


def test_alembic_is_no_package() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()


def test_what_runs_is_what_the_project_declares() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    listed = [
        line
        for line in (ROOT / "requirements" / "run.in").read_text().splitlines()
        if line and not line.startswith("#") and not line.startswith("setuptools")
    ]
    assert sorted(listed) == sorted(declared)


def test_the_locked_requirements_are_hashed_and_name_no_host() -> None:
    for name in ("run", "test", "bench"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        pins = re.findall(r"^[a-z0-9][\w.-]*==\S+", text, re.MULTILINE)
        assert len(pins) > 20
        assert text.count("--hash=sha256:") >= len(pins)
        assert not re.search(r"https?://|--index-url|--extra-index-url|--find-links", text)
