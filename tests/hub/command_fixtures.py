"""The fixtures of the tests that run commands; each of them names this module in ``pytest_plugins``."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Run
from typer.testing import CliRunner, Result

from service import cli


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder of one's own, and logging as it was before."""
    monkeypatch.setenv("HOATOC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("HOATOC_DATABASE_URL", raising=False)
    monkeypatch.setenv("HOATOC_CERTIFICATION", "optional")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield tmp_path / "data"
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def run(own_folder: Path) -> Run:
    """Run one command; an exception that is no exit is a bug and passes."""
    runner = CliRunner()

    def invoke(*arguments: str, **more: Any) -> Result:
        return runner.invoke(cli.app, list(arguments), catch_exceptions=False, **more)

    return invoke


@pytest.fixture
def ready(run: Run) -> Run:
    """The same, on a database with the shipped directory."""
    assert run("db", "upgrade").exit_code == 0
    assert run("db", "load").exit_code == 0
    return run
