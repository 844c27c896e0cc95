"""Redocly and Spectral read the contract, without a network, and find nothing; each is seen to find what is wrong."""

import copy
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import locked_tools
import pytest

HERE = Path(__file__).parent / "linters"
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


@pytest.fixture(scope="module")
def commands() -> Path:
    return locked_tools.node(HERE) / "node_modules" / ".bin"


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
