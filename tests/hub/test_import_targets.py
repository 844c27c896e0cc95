"""``hoatoc import targets`` files a list with a running hub, goes on after a break, and files nothing twice."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import bounding
import pytest
import world as worlds
from apis import Api
from command_line import Run, clean
from front_servers import serving
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typer.testing import Result

from service import clock
from service.cli import bulk_filing
from service.models import ActionRequest, Target
from service.security import keyfile
from service.security.keyring import SigningKey
from service.web.connections import Gate

pytest_plugins = ["api_fixtures", "command_fixtures"]


@dataclass
class Stumbling:
    """The hub's application behind something that fails at chosen filings, counted from 1."""

    app: ASGIApp
    lost: set[int] = field(default_factory=set)  # done, and the answer is lost
    full: set[int] = field(default_factory=set)  # 429 before it is seen
    filings: int = 0
    tokens: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on but the chosen filings."""
        self.tokens += scope.get("path") == "/oauth/token"
        if scope["type"] != "http" or scope["path"] != "/v1/requests":
            await self.app(scope, receive, send)
            return
        self.filings += 1
        if self.filings in self.full:
            head = [(b"retry-after", b"7"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 429, "headers": head})
            await send({"type": "http.response.body", "body": b""})
        elif self.filings in self.lost:
            await self.app(scope, receive, _swallowed)
            raise ConnectionError("the answer is lost")
        else:
            await self.app(scope, receive, send)


async def _swallowed(message: Message) -> None:
    """Send nothing."""


@dataclass
class Police:
    """A police system at its command line, with a hub that runs."""

    api: Api
    door: Stumbling
    run: Run
    folder: Path
    options: list[str]

    async def files(self, name: str, *more: str, **given: Any) -> Result:
        """Import a list."""
        return await asyncio.to_thread(self.run, "import", "targets", name, *self.options, *more, **given)

    def list(self, name: str, *lines: str) -> str:
        """Write a list and return its path."""
        path = self.folder / name
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return str(path)

    async def targets(self) -> int:
        """How many targets the hub has."""
        return len(await self.api.world.rows(Target))


@pytest.fixture
async def police(api: Api, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Police]:
    """The system, its files, and its hub on a free port."""
    now = clock.utc_now()
    for name, key in (("system", api.police.key), ("officer", api.world.keys["maker"])):
        private: Any = key.private_key
        lasting = SigningKey.of(private, not_before=now - timedelta(days=1), not_after=now + timedelta(days=1))
        keyfile.save(lasting, tmp_path / f"{name}.jwk")
    (tmp_path / "template.json").write_text(json.dumps(worlds.takedown(), ensure_ascii=False), "utf-8")
    door = Stumbling(api.app)
    async with serving(door, Gate()) as served:
        options = ["--template", str(tmp_path / "template.json"), "--client", api.police.id]
        options += ["--key", str(tmp_path / "system.jwk"), "--officer-key", str(tmp_path / "officer.jwk")]
        options += ["--hub", f"http://127.0.0.1:{served.port}"]
        yield Police(api, door, run, tmp_path, options)


def names(count: int) -> list[str]:
    """Host names, all made up."""
    return [f"lua-dao-{number}.com" for number in range(count)]


async def test_a_list_is_filed_in_requests_of_at_most_a_hundred(police: Police) -> None:
    rejected = police.folder / "rejects.csv"
    lines = [*names(230), "LUA-DAO-7.com", "khong phai ten mien", "ngân-hàng-giả.vn"]
    done = await police.files(police.list("scam.txt", *lines), "--rejects", str(rejected), "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    filed = told.pop("filed")
    assert told == {
        "lines": 233,
        "targets": 231,
        "duplicates": 1,
        "rejected": 1,
        "requests": 3,
        "repeated": 0,
        "held": 0,
    }
    assert [each["targets"] for each in filed] == [100, 100, 31]
    assert {str(row["reference"]) for row in await police.api.world.rows(ActionRequest)} == {
        each["reference"] for each in filed
    }
    assert await police.targets() == 231
    assert [line.split(" ")[0] for line in done.stderr.splitlines()[1:]] == ["1/3", "2/3", "3/3"]
    with rejected.open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["line"], row["code"], row["text"]) == ("232", "target.domain", "khong phai ten mien")
    assert rejected.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("form", ["csv", "jsonl"])
async def test_an_import_that_broke_off_goes_on_and_files_nothing_twice(police: Police, form: str) -> None:
    lines = ["kind,value", *(f"domain,{name}" for name in names(250))]
    if form == "jsonl":
        lines = [json.dumps({"kind": "domain", "value": name}) for name in names(250)]
    file = police.list(f"scam.{form}", *lines)
    police.door.lost = {2}
    broken = await police.files(file)
    assert (broken.exit_code, broken.stdout) == (1, "")
    assert "request 2 of 3" in broken.stderr and "1 are filed" in broken.stderr
    # The second one was filed all the same: nobody was told.
    assert await police.targets() == 200
    again = await police.files(file, "--json")
    assert again.exit_code == 0, again.output
    assert [each["repeated"] for each in json.loads(again.stdout)["filed"]] == [True, True, False]
    assert "filed before" in again.stderr
    assert await police.targets() == 250
    # Where the file lies and what it is called says nothing; another case is another list.
    whole = "\n".join(lines) + "\n"
    piped = await police.files("-", "--form", form, "--json", input=whole)
    assert json.loads(piped.stdout)["repeated"] == 3
    other = await police.files(file, "--case", "02/2026/CA", "--json")
    assert json.loads(other.stdout)["repeated"] == 0
    assert await police.targets() == 500


async def test_a_full_hub_is_waited_for_as_long_as_it_says(police: Police, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(bulk_filing, "pause", pause)
    police.door.full = {2, 3}
    done = await police.files(police.list("scam.txt", *names(150)))
    assert done.exit_code == 0, done.output
    assert waited == [7.0, 7.0]
    assert "request 2: 429, waiting 7 s" in done.stderr
    assert await police.targets() == 150
    police.door.full = set(range(1_000))
    stopped = await police.files(police.list("more.txt", *names(151)))
    assert stopped.exit_code == 1 and "429" in stopped.stderr.splitlines()[-1]


async def test_a_token_serves_until_shortly_before_its_end(police: Police, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await police.files(police.list("one.txt", *names(250)))).exit_code == 0
    assert police.door.tokens == 1
    # From here on each token is at its end as soon as it is there.
    monkeypatch.setattr(bulk_filing, "_SPARE", timedelta(hours=1))
    assert (await police.files(police.list("two.txt", *names(251)))).exit_code == 0
    assert police.door.tokens == 4


async def test_what_passes_a_bound_is_told_and_no_error(police: Police) -> None:
    await bounding.set_bounds(police.api.hub, {"subject": "officer", "kind": "takedowns", "count": 20})
    done = await police.files(police.list("scam.txt", *names(30)), "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["held"], told["filed"][0]["state"]) == (1, "held_for_callback")
    assert "the duty desk is called back" in done.stderr


async def test_a_refusal_ends_the_import_and_is_said(police: Police) -> None:
    file = police.list("scam.txt", *names(3))
    refused = await police.files(file, "--urgency", "hoa_toc", "--client", "nobody")
    assert "the hub refuses the client: 401" in clean(refused)
    (police.folder / "template.json").write_text(json.dumps(worlds.takedown(officer_id="nobody")), "utf-8")
    line = clean(await police.files(file))
    assert "request 1 of 1: 4" in line and "0 are filed" in line
    assert await police.targets() == 0


async def test_options_change_the_template_and_the_same_key_takes_no_other_content(police: Police) -> None:
    paper = police.folder / "paper.pdf"
    paper.write_bytes(b"made up")
    file = police.list("scam.txt", *names(2))
    first = await police.files(file, "--document", str(paper), "--document-number", "77/QD", "--json")
    assert first.exit_code == 0, first.output
    (row,) = await police.api.world.rows(ActionRequest)
    filed = json.loads(await police.api.world.filed_bytes(row["id"]))
    assert filed["document"]["number"] == "77/QD" and filed["document"]["date"] == "2026-11-20"
    assert filed["document"]["sha256"] != "ab" * 32
    other = clean(await police.files(file))
    assert "422" in other and "Idempotency-Key" in other


def test_a_dry_run_needs_no_hub_and_no_key(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "scam.txt"
    file.write_text("lua-dao.com\nLUA-DAO.com\nkhong phai\n", "utf-8")
    told = run("import", "targets", str(file), "--dry-run", "--json")
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout) == {"lines": 3, "targets": 1, "duplicates": 1, "rejected": 1}
    assert told.stderr.startswith("line 3: target.domain: ")


def test_what_cannot_be_filed_is_said_before_a_hub_is_asked(run: Run, tmp_path: Path) -> None:
    file, template = tmp_path / "scam.txt", tmp_path / "template.json"
    file.write_text("lua-dao.com\n", "utf-8")
    assert "--template, --client, --key and --officer-key" in clean(run("import", "targets", str(file)))
    template.write_text(json.dumps({**worlds.takedown(), "measure": "smash"}), "utf-8")
    wrong = clean(run("import", "targets", str(file), "--template", str(template), "--dry-run"))
    assert "measure" in wrong
    template.write_text("[]", "utf-8")
    assert "no request" in clean(run("import", "targets", str(file), "--template", str(template)))
    file.write_bytes(b"lua-dao.com\n\xff.com\n")
    assert "line 2: not UTF-8" in clean(run("import", "targets", str(file), "--dry-run"))
    assert "none.csv" in clean(run("import", "targets", str(tmp_path / "none.csv"), "--dry-run"))
