"""Redocly and Spectral read the contract, without a network, and find nothing; each is seen to find what is wrong."""

import copy
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import locked_tools
import pytest

HERE = Path(__file__).parent / "linters"
# What Redocly needs (its package.json); Spectral needs less.
NODE = (20, 19)
FOLDER = Path(__file__).parents[2] / "openapi"
# Neither counts its users nor looks for a newer one; what tries to all the same finds nobody.
QUIET = {
    "REDOCLY_TELEMETRY": "off",
    "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
    "SCARF_ANALYTICS": "false",
    "DO_NOT_TRACK": "1",
    "NO_UPDATE_NOTIFIER": "1",
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"),
}
NODE_HERE = shutil.which("node")


@pytest.fixture(scope="module")
def commands() -> Path:
    return locked_tools.node(HERE) / "node_modules" / ".bin"


@pytest.fixture(scope="module", autouse=True)
def new_enough() -> Iterator[None]:
    """Put a newer node in front where the system's own is too old for the linters."""
    with pytest.MonkeyPatch.context() as patch:
        folder = locked_tools.newer_node(HERE / "node", NODE)
        if folder is not None:
            patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        yield


def pretended(folder: Path, says: str) -> str:
    """A PATH on which node is a program that only tells a version, and npm runs by the system's own node."""
    folder.mkdir()
    (folder / "node").write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec echo \'{says}\'\nexec {NODE_HERE} "$@"\n')
    (folder / "node").chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize("says", ["v18.20.4", "v20.18.3", "v9.11.2", "none of your business"])
def test_where_the_system_s_node_is_too_old_npm_brings_a_pinned_one_and_the_linters_run_by_it(
    says: str, commands: Path, documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", pretended(tmp_path / "old", says))
    folder = locked_tools.newer_node(HERE / "node", NODE)
    assert folder is not None
    pinned = json.loads((HERE / "node" / "package.json").read_text("utf-8"))["optionalDependencies"]
    ours = subprocess.run([folder / "node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    assert {f"v{each}" for each in pinned.values()} == {ours}
    if says == "v18.20.4":
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        assert redocly(commands, documents) == [] and spectral(commands, documents) == []


@pytest.mark.parametrize("says", ["v20.19.0", "v22.0.0", "v100.1.0"])
def test_a_node_that_is_new_enough_is_used_as_it_is(says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", pretended(tmp_path / "new", says))
    monkeypatch.setattr(locked_tools, "node", lambda _: pytest.fail("npm was asked"))
    assert locked_tools.newer_node(HERE / "node", NODE) is None


def test_where_npm_brings_none_the_test_says_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", pretended(tmp_path / "old", "v18.20.4"))
    monkeypatch.setattr(locked_tools, "node", lambda _: tmp_path)
    with pytest.raises(RuntimeError, match=r"Node 20\.19 or later"):
        locked_tools.newer_node(HERE / "node", NODE)


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    for path in [*FOLDER.glob("*.v1.json"), *FOLDER.glob("*.yaml")]:
        shutil.copy(path, tmp_path)
    return tmp_path


def run(folder: Path, *command: str | Path) -> str:
    environment = {**os.environ, **QUIET, "HOME": str(folder)}
    told = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode in (0, 1), told.stderr
    return told.stdout


def redocly(commands: Path, folder: Path) -> list[tuple[str, str]]:
    told = run(folder, commands / "redocly", "lint", "hub", "participant", "--format=json")
    # One report a document, one behind the other.
    decoder, found, rest = json.JSONDecoder(), [], told.lstrip()
    while rest:
        report, end = decoder.raw_decode(rest)
        assert report["totals"]["ignored"] == 0
        found += [(each["ruleId"], each["message"]) for each in report["problems"]]
        rest = rest[end:].lstrip()
    return found


def spectral(commands: Path, folder: Path) -> list[tuple[str, str]]:
    files = ["hub.v1.json", "participant.v1.json"]
    told = run(folder, commands / "spectral", "lint", *files, "-r", "spectral.yaml", "-f", "json", "-q")
    return [(each["code"], each["message"]) for each in json.loads(told)]


def test_both_linters_find_nothing(commands: Path, documents: Path) -> None:
    assert redocly(commands, documents) == []
    assert spectral(commands, documents) == []


def spoil(folder: Path, name: str) -> None:
    path = folder / name
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    (item, *_) = [*document.get("paths", {}).values(), *document.get("webhooks", {}).values()]
    (operation, *_) = item.values()
    again = copy.deepcopy(operation)
    item["patch"] = again  # two operations of one name
    again["requestBody"] = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Nothing"}}}}
    path.write_text(json.dumps(document), "utf-8")


@pytest.mark.parametrize("name", ["hub.v1.json", "participant.v1.json"])
def test_each_linter_names_what_is_wrong(name: str, commands: Path, documents: Path) -> None:
    spoil(documents, name)
    # Spectral does not count the names of webhooks' operations.
    unique = {"operation-operationId-unique"} if name.startswith("hub") else set()
    assert {rule for rule, _ in redocly(commands, documents)} >= {"no-unresolved-refs", "operation-operationId-unique"}
    assert {rule for rule, _ in spectral(commands, documents)} >= {"invalid-ref"} | unique
