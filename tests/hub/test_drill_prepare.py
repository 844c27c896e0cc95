"""A drill is laid out from the real hub: who takes part comes along, and no case, person, secret or live address."""

import json
import re
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import steps
from builders import widened
from command_line import Run, clean
from registry_forms import definition, webhook
from world import AGENCY, World

from service import app, db, errors, models
from service.actions import changes, propose_endpoint, register_endpoint, set_policy, set_time_limit
from service.drill import cast as casting
from service.drill import copying, report, scenarios
from service.drill.copying import Directory, NotFresh
from service.engine.hub import Hub
from service.migrations import WrongKind
from service.schemas.policies import NewPolicy, NewTimeLimit
from service.settings import Settings
from workflows.terms import Stage

pytest_plugins = ["command_fixtures", "drill_fixtures"]
MINH = changes.local_administrator("minh")
DRILL = "https://drill.hoatoc.example.vn"
# What a drill begins with, beside its own cast: nothing of these ever came along.
LEFT_BEHIND = (
    *("cases", "requests", "targets", "orders", "dispatches", "acknowledgements", "approvals", "appeals", "tasks"),
    *(
        "endpoints",
        "endpoint_proposals",
        "contacts",
        "clients",
        "drafts",
        "notes",
        "console_sessions",
        "certifications",
    ),
    *("sign_in_links", "escalations", "deadlines", "audit_entries"),
)


@pytest.fixture
async def real(hub: Hub) -> Directory:
    """The directory of a real hub at work, with a case, orders, keys and endpoints, read for a drill."""
    world = World(hub)
    await world.settle_in()
    await steps.held(world)
    await set_time_limit.set_time_limit(hub, MINH, NewTimeLimit(stage=Stage.EXECUTE, within_seconds=3600))
    shipped = resources.files("workflows").joinpath("policies", "vn-default.toml").read_text("utf-8")
    newer = re.sub(r"^version = [0-9]+$", "version = 99", shipped, flags=re.MULTILINE)
    await set_policy.set_policy(hub, MINH, "vn-default", NewPolicy(text=newer))
    return await copying.read(hub.database)


@pytest.fixture
async def drill(nothing: str | None, tmp_path: Path) -> AsyncIterator[Hub]:
    """A drill's hub, on a database of its own."""
    folder = tmp_path / "drill"
    settings = Settings(data_dir=folder, database_url=nothing, drill=True, issuer=DRILL, profile="demo", node="node-d")
    made = widened(await app.open_hub(settings, migrate=True))
    yield made
    await app.close_hub(made)


async def rows(hub: Hub, name: str) -> list[dict[str, Any]]:
    async with hub.database.read(db.HUB) as conn:
        found = (await conn.execute(sa.select(models.metadata.tables[name]))).all()
    return [dict(row._mapping) for row in found]


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
async def test_who_takes_part_comes_along_and_nothing_else(real: Directory, hub: Hub, drill: Hub) -> None:
    copied = await copying.write(drill, real)
    there, here = await rows(hub, "participants"), await rows(drill, "participants")
    assert copied.participants == len(here) == len(there) > 100
    assert [{**row, "duty_phone": None} for row in sorted(there, key=_id)] == sorted(here, key=_id)
    assert {row["duty_phone"] for row in here} == {None}
    for name in ("aliases", "units", "calendar_days", "time_limits", "policies"):
        assert len(await rows(drill, name)) == len(await rows(hub, name)), name
    # Who set a limit or a policy at the real hub stays there.
    for name in ("time_limits", "policies"):
        theirs, ours = [{row["created_by"] for row in await rows(each, name)} for each in (hub, drill)]
        assert MINH.client_id in theirs and ours == {"drill"}, name
    for name in LEFT_BEHIND:
        assert await rows(drill, name) == [], name
    officers = {row["id"]: row for row in await rows(drill, "officers")}
    assert officers.keys() == {row["id"] for row in await rows(hub, "officers")} and len(officers) == copied.officers
    keys = [row for row in await rows(drill, "public_keys") if row["owner_kind"] != "hub"]
    assert keys and {(row["owner_kind"], row["purpose"]) for row in keys} == {("officer", "signature")}
    # The hub's own keys, its roots and every key under which something is sealed were made for the drill.
    for name, column in (("root_keys", "wrapped"), ("tenant_keys", "wrapped"), ("subject_keys", "wrapped")):
        theirs = {bytes(row[column]) for row in await rows(hub, name) if row[column]}
        assert theirs and theirs.isdisjoint(bytes(row[column]) for row in await rows(drill, name) if row[column]), name
    with pytest.raises(NotFresh):
        await copying.write(drill, real)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_live_address_is_refused_in_a_drill(real: Directory, hub: Hub, drill: Hub) -> None:
    await copying.write(drill, real)
    await copying.guard(drill.settings.owner_url, real.live)
    [url] = sorted(row["url"] for row in await rows(hub, "endpoints") if row["tenant"] == "bidv")[:1]
    for spelled in (url, f" {url}"):
        assert copying.drills.digest(spelled) in real.live
    with pytest.raises(errors.InvalidInput) as answer:
        await register_endpoint.register(drill, MINH, "bidv", webhook(url=url))
    assert [(error.field, error.code) for error in answer.value.fields] == [("/url", "endpoint.live")]
    own = await register_endpoint.register(drill, MINH, "bidv", webhook(url="https://exercise.bidv.example/hook"))
    # Nor does one that was registered become a live one.
    with pytest.raises(errors.InvalidInput) as answer:
        await propose_endpoint.propose(drill, MINH, "bidv", own.endpoint.id, definition(url=url))
    assert [error.code for error in answer.value.fields] == ["endpoint.live"]
    # The real hub knows of no drill, and refuses none.
    await register_endpoint.register(hub, MINH, "bidv", webhook(url=url))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_live_address_is_refused_however_it_is_spelled(hub: Hub, drill: Hub) -> None:
    world = World(hub)
    await world.settle_in()
    live = "https://orders.bidv.example/hoatoc/in"
    registered = await register_endpoint.register(hub, MINH, "bidv", webhook(url=live))
    # What one administrator wants and no other has decided on yet is soon live.
    soon = "https://new.bidv.example:8443/in?from=hub"
    await propose_endpoint.propose(hub, MINH, "bidv", registered.endpoint.id, definition(url=soon))
    real = await copying.read(hub.database)
    await copying.write(drill, real)
    await copying.guard(drill.settings.owner_url, real.live)
    for url in (
        *(live, f"{live}/", f"{live}?x=1", "https://orders.bidv.example:443/hoatoc/in"),
        *("https://orders.bidv.example/hoato%63/in", "https://orders.bidv.example/HoaToc/in"),
        *("https://orders.bidv.example//hoatoc/./in", "https://orders.bidv.example/x/../hoatoc/in"),
        *(soon, "https://new.bidv.example:8443/in", "https://new.bidv.example:8443/%69n/"),
    ):
        with pytest.raises(errors.InvalidInput) as answer:
            await register_endpoint.register(drill, MINH, "bidv", webhook(url=url))
        assert [(error.field, error.code) for error in answer.value.fields] == [("/url", "endpoint.live")], url
    for url in ("https://orders.bidv.example/drill/in", "https://orders.bidv.example:8443/hoatoc/in"):
        await register_endpoint.register(drill, MINH, "bidv", webhook(url=url))


async def test_a_drill_is_not_laid_out_from_a_drill(drill: Hub) -> None:
    with pytest.raises(WrongKind, match="a drill's"):
        await copying.read(drill.database)


async def test_the_cast_is_new_and_gets_inboxes_alone(real: Directory, drill: Hub, tmp_path: Path) -> None:
    await copying.write(drill, real)
    played = {name: role.sector for name, role in scenarios.SCENARIOS["four-banks"].roles.items()}
    made = await casting.enroll(drill, MINH, AGENCY, played)
    path = made.save(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600 and casting.Cast.load(tmp_path) == made
    found = [(row["tenant"], str(row["channel"]), row["url"]) for row in await rows(drill, "endpoints")]
    assert sorted(found) == sorted((name, "pull", "") for name in played)
    assert await report.make(drill)
    with pytest.raises(FileExistsError):
        made.save(tmp_path)


def test_what_would_fail_after_the_copy_is_refused_before_anything_is_written(
    ready: Run, own_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for command in (("enroll", "participant", "momo"), ("participant", "suspend", "momo")):
        assert ready(*command).exit_code == 0
    folder = tmp_path / "drill"
    monkeypatch.setenv("HOATOC_DATA_DIR", str(folder))
    monkeypatch.setenv("HOATOC_DRILL", "true")
    monkeypatch.setenv("HOATOC_HOST", "127.0.0.2")
    refused = ready("drill", "prepare", "--real", str(own_folder))
    assert "momo is suspended at the real hub" in clean(refused)
    assert not list(folder.glob("*.sqlite3")), "nothing was made yet"
    for agency, said in (("nobody", "does not know nobody"), ("vietcombank", "vietcombank is no agency")):
        assert said in clean(
            ready("drill", "prepare", "--real", str(own_folder), "--joins", "momo", "--agency", agency)
        )
    assert not list(folder.glob("*.sqlite3"))
    # Keys of an earlier drill are still in the folder.
    folder.mkdir(exist_ok=True)
    (folder / "drill-cast.json").write_text("of before")
    refused = ready("drill", "prepare", "--real", str(own_folder), "--joins", "momo")
    assert "drill-cast.json is there" in clean(refused)
    assert (folder / "drill-cast.json").read_text() == "of before" and not list(folder.glob("*.sqlite3"))
    # And the next try finds a fresh place.
    (folder / "drill-cast.json").unlink()
    assert ready("drill", "prepare", "--real", str(own_folder), "--joins", "momo").exit_code == 0


def test_the_commands_lay_a_drill_out_from_a_real_hub_s_folder(
    ready: Run, own_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "HOATOC_DRILL is not set" in clean(ready("drill", "prepare"))
    assert "HOATOC_DRILL is not set" in clean(ready("drill", "report"))
    before = own_folder.joinpath("hoatoc.sqlite3").read_bytes()
    monkeypatch.setenv("HOATOC_DATA_DIR", str(tmp_path / "drill"))
    monkeypatch.setenv("HOATOC_DRILL", "true")
    monkeypatch.setenv("HOATOC_HOST", "127.0.0.2")
    assert "is not there" in clean(ready("drill", "prepare", "--real", str(tmp_path / "nowhere")))
    assert "no scenario" in clean(ready("drill", "prepare", "--scenario", "war"))
    made = ready("drill", "prepare", "--real", str(own_folder), "--joins", "bidv", "--json")
    assert made.exit_code == 0, made.output
    told = json.loads(made.stdout)
    assert told["participants"] > 100 and told["played"] == ["momo", "techcombank", "vietcombank"]
    assert own_folder.joinpath("hoatoc.sqlite3").read_bytes() == before
    refused = ready("drill", "prepare", "--real", str(own_folder), "--agency", "nobody")
    assert refused.exit_code == 1 and "does not know nobody" in refused.stderr
    refused = ready("drill", "prepare", "--real", str(own_folder))
    assert refused.exit_code == 1 and "of a drill that was prepared before" in refused.stderr
    (tmp_path / "drill" / "drill-cast.json").rename(tmp_path / "kept.json")
    refused = ready("drill", "prepare", "--real", str(own_folder))
    assert refused.exit_code == 1 and "has members already" in refused.stderr
    (tmp_path / "kept.json").rename(tmp_path / "drill" / "drill-cast.json")
    refused = ready("drill", "prepare", "--real", str(tmp_path / "drill"))
    assert refused.exit_code == 1 and "is a drill's database" in refused.stderr
    # Nobody serves there: nothing is filed anywhere.
    assert "hoatoc serve" in ready("drill", "run", "four-banks", "--seconds", "1").stderr
    told = json.loads(ready("drill", "report", "--json").stdout)
    assert (told["drill"], told["hub"], told["participants"]) == (True, "http://127.0.0.2:8470", [])
    assert ready("drill", "report").stdout.startswith("# DIỄN TẬP – EXERCISE: kết quả")


def _id(row: dict[str, Any]) -> str:
    return str(row["id"])
