"""Commands about what is kept: a backup and the way back, terms and holds, and the ledger of erasures."""

import asyncio
import contextlib
import json
import sqlite3
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import sealed_to
import sqlalchemy as sa
import world as worlds
from builders import table, widened
from command_line import Run, administrator, clean
from typer.testing import Result
from world import World

from service import app, clock
from service.cli import context
from service.models import ActionRequest
from service.settings import Settings
from workflows.terms import RequestState

pytest_plugins = ["command_fixtures"]


@pytest.fixture
def filed(own_folder: Path) -> dict[str, tuple[UUID, str]]:
    """Id and reference of a request that was refused just now, and of one that waits for its approval."""

    async def file() -> dict[str, tuple[UUID, str]]:
        hub = widened(await app.open_hub(Settings(), migrate=True))
        world = World(hub)
        await world.settle_in()
        refused, waiting = [await world.submit(worlds.freeze()) for _ in range(2)]
        requests = table(ActionRequest)
        over = sa.update(requests).where(requests.c.id == refused.id)
        over = over.values(state=RequestState.REFUSED, closed_at=clock.utc_now())
        await hub.database.write(lambda conn: conn.execute(over))
        await app.close_hub(hub)
        return {"refused": (refused.id, refused.reference), "waiting": (waiting.id, waiting.reference)}

    return asyncio.run(file())


@pytest.fixture
def as_person(monkeypatch: pytest.MonkeyPatch, run: Run) -> Run:
    """Run a command as the person who is named first."""

    def invoke(who: str, *arguments: str, **more: str) -> Result:
        monkeypatch.setattr(context, "account", lambda: who)
        return run(*arguments, **more)

    return invoke


RECIPIENTS = [part for path in sealed_to.certificates() for part in ("--recipient", str(path))]
(AN, AN_KEY), (BINH, BINH_KEY) = (tuple(map(str, person)) for person in sealed_to.people())


def away(data: Path) -> None:
    """Move the database away, as a person does before a restore."""
    for path in data.glob("hoatoc.sqlite3*"):
        path.rename(path.with_name(f"old.{path.name}"))


@pytest.mark.usefixtures("filed")
def test_a_backup_is_made_put_back_by_either_recipient_and_released(
    as_person: Run, tmp_path: Path, own_folder: Path
) -> None:
    folder = str(tmp_path / "backup")
    made = json.loads(as_person("an", "backup", folder, *RECIPIENTS, "--json").stdout)
    assert (made["database"], len(made["manifest"])) == ("sqlite", 64) and made["facts"] > 0
    away(own_folder)
    restored = as_person("binh", "restore", folder, "--recipient", BINH, "--key", BINH_KEY, input="mật khẩu\n")
    assert restored.exit_code == 0, restored.output
    assert "facts: " in restored.stdout and "hoatoc restore --release" in restored.stderr
    released = json.loads(as_person("binh", "restore", "--release", "--json").stdout)
    assert released == {"released": True, "backup_at": made["made_at"]}
    assert "restore.none_waits" in clean(as_person("binh", "restore", "--release"))
    assert as_person("an", "audit", "verify").exit_code == 0
    # It is there, and nobody is asked twice.
    assert "overwrites nothing" in clean(as_person("an", "restore", folder, "--recipient", AN, "--key", AN_KEY))
    assert "not empty" in clean(as_person("an", "backup", folder, *RECIPIENTS))


@pytest.mark.usefixtures("filed")
def test_a_backup_that_cannot_be_made_or_opened_says_why_in_one_line(
    run: Run, tmp_path: Path, own_folder: Path
) -> None:
    folder, other = str(tmp_path / "backup"), str(tmp_path / "other")
    assert "two different recipients" in clean(run("backup", folder, *RECIPIENTS[:2]))
    assert "two different recipients" in clean(run("backup", folder))
    assert "no certificate" in clean(run("backup", folder, *RECIPIENTS, "--recipient", AN_KEY))
    assert run("backup", folder, *RECIPIENTS).exit_code == 0
    away(own_folder)
    assert "which backup" in clean(run("restore"))
    assert "sealed" in clean(run("restore", folder))
    assert "no finished backup" in clean(run("restore", str(own_folder), "--recipient", AN, "--key", AN_KEY))
    assert "not sealed to this recipient" in clean(run("restore", folder, "--recipient", BINH, "--key", AN_KEY))
    wrong = run("restore", folder, "--recipient", BINH, "--key", BINH_KEY, input="khác\n")
    assert wrong.exit_code == 1 and "the password is another one" in wrong.stderr
    into = ("restore", folder, "--into", other)
    assert "sealed" in clean(run(*into))
    assert "one of SQLite" in clean(run(*into, "--recipient", AN, "--key", AN_KEY))
    assert not (own_folder / "hoatoc.sqlite3").exists() and not Path(other).exists()


def test_the_keys_are_backed_up_apart(ready: Run, tmp_path: Path) -> None:
    assert ready("participant", "list").exit_code == 0
    answer = json.loads(ready("backup", str(tmp_path / "keys"), "--keys", *RECIPIENTS, "--json").stdout)
    assert b"vault.key" in sealed_to.opener().unseal(Path(answer["keys"]).read_bytes())
    assert "two different recipients" in clean(ready("backup", str(tmp_path / "no"), "--keys"))


def test_terms_change_by_two_and_a_hold_keeps_one_matter(
    as_person: Run, run: Run, filed: dict[str, tuple[UUID, str]], tmp_path: Path
) -> None:
    request_id, reference = filed["refused"]
    term = ("retention", "propose", "refused_request", "--source", "Nghị định mẫu", "--keep")
    assert "retention.keep" in clean(as_person("an", *term, "P1Y"))
    proposal = json.loads(as_person("an", *term, "P30D", "--json").stdout)["id"]
    another_account = as_person("binh", "retention", "approve", proposal)
    assert another_account.exit_code == 2 and "--by" in another_account.stderr
    binh, chi = (administrator(run, tmp_path, name) for name in ("binh-he-thong", "chi-he-thong"))
    own = json.loads(run(*term, "P40D", *binh, "--json").stdout)["id"]
    assert "retention.same_person" in clean(run("retention", "approve", own, *binh))
    assert run("retention", "approve", proposal, *chi).exit_code == 0
    held = json.loads(as_person("an", "retention", "hold", reference, "--reason", "court", "--json").stdout)
    assert held == {"request_id": str(request_id), "held": "court"}
    assert "legal_hold.held" in clean(as_person("an", "retention", "hold", str(request_id), "--reason", "court"))
    shown = json.loads(as_person("an", "retention", "show", "--json").stdout)
    assert [(row["id"], row["by"]) for row in shown if row["state"] == "kept"] == [(reference, "an")]
    assert [(row["keep"], row["state"]) for row in shown if row["kind"] == "refused_request"] == [
        ("P30D", "in force"),
        ("P40D", "proposed"),
    ]
    assert json.loads(as_person("an", "retention", "run", "--json").stdout) == {"erased": 0, "reduced": 0, "names": 0}
    assert as_person("binh", "retention", "release", reference).exit_code == 0
    assert "legal_hold.not_held" in clean(as_person("binh", "retention", "release", reference))
    assert "not_found" in clean(as_person("an", "retention", "hold", "HT-000000-NONE", "--reason", "court"))


def test_a_ledger_from_elsewhere_is_applied_once_and_what_is_not_over_is_left(
    run: Run, filed: dict[str, tuple[UUID, str]], tmp_path: Path
) -> None:
    unknown = clock.new_id()

    def ledger(*ids: UUID) -> str:
        said = {"tenant": worlds.AGENCY, "decision": "15/QD-XOA", "asked_by": "an", "confirmed_by": "binh"}
        instants = dict.fromkeys(("asked_at", "erased_at"), "2026-11-29T08:00:00Z")
        path = tmp_path / "ledger.jsonl"
        path.write_text("".join(json.dumps({"request_id": str(each), **said, **instants}) + "\n" for each in ids))
        return str(path)

    refused, waiting = filed["refused"][0], filed["waiting"][0]
    first = run("erase", "reapply", ledger(refused, waiting, unknown), "--json")
    done = {"erased": [str(refused)], "already": [], "unknown": [str(unknown)], "left": [str(waiting)]}
    assert (first.exit_code, json.loads(first.stdout)) == (1, done)
    again = run("erase", "reapply", ledger(refused), "--json")
    done = {"erased": [], "already": [str(refused)], "unknown": [], "left": []}
    assert (again.exit_code, json.loads(again.stdout)) == (0, done)
    (tmp_path / "ledger.jsonl").write_text('{"request_id": 1}\n')
    assert "ledger" in clean(run("erase", "reapply", str(tmp_path / "ledger.jsonl")))
    assert run("audit", "verify").exit_code == 0


def test_an_old_month_is_archived_and_checked_on_another_machine(
    ready: Run, own_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready("enroll", "agency", "pc02-79")
    archives = tmp_path / "archives"
    assert json.loads(ready("archive", str(archives), "--dry-run", "--json").stdout) == []
    # A day after the end of the month, instead of two years.
    rule = (f"{UUID(int=1).hex}", "fact", "P1D", "a test", "a", long_ago := "2026-01-01 00:00:00.000000", "b", long_ago)
    with contextlib.closing(sqlite3.connect(own_folder / "hoatoc.sqlite3")) as database:
        database.execute("INSERT INTO retention_rules VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rule)
        database.commit()
    real, month = clock.utc_now, f"{clock.utc_now():%Y-%m}"
    monkeypatch.setattr(clock, "utc_now", lambda: real() + timedelta(days=33))
    [shown] = json.loads(ready("archive", str(archives), "--dry-run", "--json").stdout)
    assert (shown["month"], shown["not_erased"], shown["state"], archives.exists()) == (month, 0, "goes", False)
    [made] = json.loads(ready("archive", str(archives), "--json").stdout)
    assert (made["facts"], made["state"]) == (shown["facts"], "archived; its rows stay in the embedded database")
    assert json.loads(ready("audit", "verify", "--archives", str(archives), "--json").stdout)["findings"] == []
    path = archives / f"facts-{month}.json"
    checked = json.loads(ready("audit", "verify-archive", str(path), "--json").stdout)
    assert (checked["entries"], checked["keys_from"]) == (shown["facts"], "the file itself")
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps([json.loads(path.read_text())["key"]]))
    assert "elsewhere" in ready("audit", "verify-archive", str(path), "--keys", str(keys)).stdout
    path.write_text(path.read_text().replace(f'"month": "{month}"', '"month": "2020-01"'))
    assert "2020-01" in clean(ready("audit", "verify-archive", str(path)))
