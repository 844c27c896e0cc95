"""The commands that sign and prove: what they print is taken by the hub, and a bundle is judged without one."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import steps
import world as worlds
from joserfc.jwk import ECKey
from typer.testing import CliRunner, Result
from world import World

from service import cli
from service.actions import approve_request, submit_request
from service.cli import context
from service.engine import evidence as bundles
from service.engine.hub import Hub
from service.security import keyfile, signatures
from service.security.keyring import SigningKey
from service.security.signatures import Kind

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No database, no settings, and logging as it was before."""
    monkeypatch.setenv("HOATOC_DATA_DIR", str(tmp_path / "nowhere"))
    monkeypatch.delenv("HOATOC_DATABASE_URL", raising=False)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def run() -> Run:
    runner = CliRunner()

    def invoke(*arguments: str) -> Result:
        return runner.invoke(cli.app, list(arguments), catch_exceptions=False)

    return invoke


@pytest.fixture
async def world(hub: Hub) -> World:
    made = World(hub)
    await made.settle_in()
    return made


def key_file(folder: Path, key: ECKey, name: str) -> str:
    """Write the key of an officer or participant the way ``hoatoc keygen`` does."""
    path = folder / f"{name}.jwk"
    private: Any = key.private_key
    began = datetime.now(UTC)
    keyfile.save(SigningKey.of(private, not_before=began, not_after=began + timedelta(days=1)), path)
    return str(path)


async def test_what_the_command_signs_is_taken(world: World, run: Run, tmp_path: Path) -> None:
    body = json.dumps(worlds.freeze(), indent=4)
    file = tmp_path / "freeze.json"
    file.write_text(body)
    maker, approver = (key_file(tmp_path, world.keys[name], name) for name in ("maker", "approver"))
    signature = run("sign", str(file), "--key", maker).stdout.strip()
    shape: Any = worlds.SUBMIT.validate_python(json.loads(body))
    filed = await submit_request.submit(world.hub, world.police, "key-00001", shape, body.encode(), signature)
    request_id = filed.answer.id
    yes = run("sign", str(file), "--key", approver, "--approve", str(request_id)).stdout.strip()
    await approve_request.approve(world.hub, world.police, request_id, "approver", yes)
    [order] = await world.orders(request_id)
    assert order["state"] == "placed"


def test_each_option_signs_one_thing_and_one_alone(run: Run, tmp_path: Path) -> None:
    file, key = tmp_path / "body.json", ECKey.generate_key("P-256")
    file.write_text('{"outcome": "lifted"}')
    private = key_file(tmp_path, key, "key")
    wanted = {"--approve": Kind.APPROVAL, "--review": Kind.REVIEW, "--answer": Kind.ANSWER}
    wanted |= {"--end-silence": Kind.SILENCE}
    wanted |= {"--withdraw": Kind.WITHDRAWAL, "--reply": Kind.REPLY, "--decide": Kind.DECISION}
    drill = "https://drill.hoatoc.example.vn"
    for option, kind in wanted.items():
        made = run("sign", str(file), "--key", private, option, "id-1", "--hub", drill).stdout.strip()
        unverified = signatures.read(made, kind)
        assert (unverified.about, unverified.audience, unverified.kid) == ("id-1", drill, key.thumbprint())
        public: Any = key.public_key
        signatures.verify(unverified, b'{"outcome":"lifted"}', public)
    twice = run("sign", str(file), "--key", private, "--approve", "a", "--answer", "b")
    assert twice.exit_code == 1 and "one option" in twice.stderr
    file.write_text("not JSON")
    assert run("sign", str(file), "--key", private).exit_code == 1


async def test_a_file_is_judged_where_there_is_no_hub(world: World, run: Run, tmp_path: Path) -> None:
    order = await steps.held(world)
    text = await bundles.export(world.hub, str(order["request_id"]))
    file, keys = tmp_path / "evidence.json", tmp_path / "keys.json"
    file.write_text(text)
    good = run("evidence", "verify", str(file))
    assert good.exit_code == 0 and good.stdout.splitlines()[-1].endswith(" checks, 0 wrong")
    assert "WRONG" not in good.stdout
    own = "keys came from the file itself"
    assert own in good.stdout and "only with --keys" in good.stdout
    assert json.loads(run("evidence", "verify", str(file), "--json").stdout)["keys_from"] == "the file itself"
    public = [{**key["jwk"], "kid": key["kid"], "owner_id": key["owner_id"]} for key in json.loads(text)["keys"]]
    for shown in (public, {"keys": public}):
        keys.write_text(json.dumps(shown))
        agreed = run("evidence", "verify", str(file), "--keys", str(keys))
        assert agreed.exit_code == 0 and own not in agreed.stdout
    keys.write_text(json.dumps(public[:-1]))
    short = run("evidence", "verify", str(file), "--keys", str(keys), "--json")
    told = json.loads(short.stdout)
    assert (short.exit_code, told["wrong"], told["keys_from"]) == (1, 1, "elsewhere")
    assert [check["name"] for check in told["checks"] if check["wrong"]] == ["keys.elsewhere"]
    for nonsense in ("{", "3", "[1]"):
        keys.write_text(nonsense)
        assert run("evidence", "verify", str(file), "--keys", str(keys)).exit_code == 1
    file.write_text(text.replace("9990001112223", "9990001112224"))
    bad = run("evidence", "verify", str(file))
    assert bad.exit_code == 1
    assert "request.signature" in [line.split()[1] for line in bad.stdout.splitlines() if line.startswith("WRONG")]
    assert "it is whole" not in bad.stdout and "it proves nothing as it is" in bad.stdout
    assert "the signature is not over this text, or not by this key (invalid)" in bad.stdout
    assert "the chain of facts was made for a text other than the one in this file (body_named" in bad.stdout
    assert "the keys in the file are not exactly those whose signatures hold" in bad.stdout and "(kids)" in bad.stdout
    assert not (tmp_path / "nowhere").exists(), "neither a database nor a folder was made"


async def test_the_operator_exports_a_file_that_only_he_reads(
    world: World, run: Run, tmp_path: Path, database_url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await steps.held(world)
    monkeypatch.setenv("HOATOC_DATA_DIR", str(tmp_path))
    if database_url:
        monkeypatch.setenv("HOATOC_DATABASE_URL", database_url)
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    (keys / "vault.key").write_bytes(b"k" * 32)
    (keys / "vault.key").chmod(0o400)
    file = tmp_path / "evidence.json"
    export = ("evidence", "export", str(order["request_id"]))
    written = await asyncio.to_thread(run, *export, "--to", str(file))
    assert written.exit_code == 0
    said = dict(line.split(": ", 1) for line in written.stdout.splitlines())
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert said == {
        "file": str(file),
        "sha256": digest,
        "request": str(order["request_id"]),
        "requests": "1",
        "orders": "1",
        "answers": "1",
        "facts": str(len(json.loads(file.read_text())["requests"][0]["facts"])),
        "keys": str(len(json.loads(file.read_text())["keys"])),
    }
    assert file.stat().st_mode & 0o777 == 0o600
    assert run("evidence", "verify", str(file)).exit_code == 0
    again = await asyncio.to_thread(run, *export, "--to", str(file))
    assert again.exit_code == 1 and "exists" in again.stderr, "nothing is overwritten"
    printed = (await asyncio.to_thread(run, *export)).stdout
    first, second = (json.loads(text)["requests"][0]["facts"] for text in (file.read_text(), printed))
    assert second[:-1] == first and second[-1]["code"] == "evidence.exported"
    assert json.loads(second[-1]["data"]) == {"sha256": digest}
    assert second[-1]["actor"]["id"] == context.account()
    later = tmp_path / "later.json"
    later.write_text(printed)
    assert run("evidence", "verify", str(later)).exit_code == 0
    at_once = await asyncio.to_thread(run, "evidence", "verify", str(order["request_id"]))
    assert at_once.exit_code == 0, at_once.stdout
    assert (await world.facts(order["request_id"])).count("evidence.exported") == 2, "to verify is not to export"
    unknown = await asyncio.to_thread(run, "evidence", "export", "HT-261124-XXXXXX")
    assert unknown.exit_code == 1 and unknown.stdout == ""
    nothing = tmp_path / "unknown.json"
    unknown = await asyncio.to_thread(run, "evidence", "export", "HT-261124-XXXXXX", "--to", str(nothing))
    assert unknown.exit_code == 1 and not nothing.exists()
