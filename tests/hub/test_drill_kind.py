"""A drill is a hub of its own: a stamp on its database and the name in its address keep it and the real hub apart."""

import dataclasses
import json
import shutil
from pathlib import Path

import httpx
import pytest
import sealed_to
import sqlalchemy as sa
from alembic import command as alembic
from apis import Api
from builders import table, widened
from command_line import Run, clean
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from world import World, freeze

from service import app, db, migrations
from service.actions import changes
from service.backup import making, restoring
from service.backup.manifest import BackupUnfit
from service.db import Database
from service.engine.hub import Hub
from service.migrations import WrongKind
from service.models import ActionRequest, Installation
from service.selfcheck import database as looking
from service.settings import Settings, names_a_drill

pytest_plugins = ["api_fixtures", "command_fixtures", "drill_fixtures"]
DRILL, REAL = "https://drill.hoatoc.example.vn", "https://hoatoc.example.vn"
MINH = changes.local_administrator("minh")


def of(folder: Path, url: str | None, *, drill: bool) -> Settings:
    return Settings(
        data_dir=folder, database_url=url, drill=drill, issuer=DRILL if drill else REAL, profile="demo", node="node-a"
    )


@pytest.mark.parametrize("is_drill", [True, False])
async def test_a_hub_never_starts_on_a_database_of_the_other_kind(
    nothing: str | None, tmp_path: Path, *, is_drill: bool
) -> None:
    own = of(tmp_path / "own", nothing, drill=is_drill)
    hub = await app.open_hub(own, migrate=True)
    await app.close_hub(hub)
    # Once more, and nothing about it has changed.
    await app.close_hub(await app.open_hub(own, migrate=True))
    # The other hub is pointed at it: by a connection, or by a copied file.
    other = of(tmp_path / "other", nothing, drill=not is_drill)
    other.data_dir.mkdir()
    if nothing is None:
        shutil.copy(own.data_dir / "hoatoc.sqlite3", other.data_dir)
    for migrate in (False, True):
        with pytest.raises(WrongKind, match="a drill's, and" if is_drill else "the real hub's, and"):
            await app.open_hub(other, migrate=migrate)
    said = [(each.name, each.state, each.says) for each in await looking.look(other)]
    assert said == [("kind", "failed", "drill" if is_drill else "real")]
    mine = {each.name: each.says for each in await looking.look(own)}
    assert mine["kind"] == ("ok_drill" if is_drill else "ok")
    # Nobody made keys for what does not start.
    assert not [path for path in other.data_dir.rglob("*") if path.suffix == ".key"]


async def before_drills(conn: AsyncConnection) -> None:
    """Take a database back to the schema that knew of no drills."""
    await conn.run_sync(lambda connection: alembic.downgrade(migrations.config(connection), "0022"))


async def test_a_real_database_of_before_is_not_upgraded_by_a_drill(nothing: str | None, tmp_path: Path) -> None:
    settings = of(tmp_path, nothing, drill=False)
    database = Database(settings.url)
    await migrations.upgrade(database)

    await database.alter(before_drills)
    # A drill of an earlier build had no database of a kind of its own: it is read what to do then.
    with pytest.raises(WrongKind, match=r"the real hub's.*earlier build is laid out anew"):
        await migrations.upgrade(database, drill=True)
    async with database.read(db.HUB) as conn:
        assert (await conn.exec_driver_sql("SELECT version_num FROM alembic_version")).scalar_one() == "0022"
    await migrations.upgrade(database)
    await migrations.check(database)
    with pytest.raises(WrongKind):
        await migrations.check(database, drill=True)
    await database.close()


@pytest.mark.parametrize("is_drill", [True, False])
async def test_a_drills_database_is_never_taken_back_to_before_there_were_drills(
    nothing: str | None, tmp_path: Path, *, is_drill: bool
) -> None:
    database = Database(of(tmp_path, nothing, drill=is_drill).url)
    await migrations.upgrade(database, drill=is_drill)

    if is_drill:
        # There it would count as the real hub's, and the next upgrade would write that down.
        with pytest.raises(RuntimeError, match="a drill's"):
            await database.alter(before_drills)
        await migrations.check(database, drill=True)
    else:
        await database.alter(before_drills)
        async with database.read(db.HUB) as conn:
            assert (await conn.exec_driver_sql("SELECT version_num FROM alembic_version")).scalar_one() == "0022"
    await database.close()


async def test_the_hubs_own_login_does_not_turn_one_into_the_other(hub: Hub) -> None:
    if hub.database.dialect == "sqlite":
        # One process, one file: what keeps it apart there is that no code of the hub writes it.
        await migrations.check(hub.database)
        return
    for statement in (sa.update(table(Installation)).values(drill=True), sa.delete(table(Installation))):
        with pytest.raises(DBAPIError, match="permission denied"):
            await hub.database.write(lambda conn, said=statement: conn.execute(said))
    await migrations.check(hub.database)


@pytest.mark.parametrize(
    ("address", "is_drill"),
    [
        (DRILL, True),
        ("https://hub-2.dientap.hoatoc.example.vn:8443/x", True),
        ("https://DRILL.hoatoc.example.vn.", True),
        ("http://127.0.0.2:8470", True),
        (REAL, False),
        ("https://drills.hoatoc.example.vn", False),
        ("https://hoatoc.example.vn/drill", False),
        ("http://127.0.0.1:8470", False),
    ],
)
def test_an_address_says_which_of_the_two_it_is(address: str, *, is_drill: bool) -> None:
    assert names_a_drill(address) is is_drill
    Settings(issuer=address, drill=is_drill)
    with pytest.raises(ValidationError, match="address of a drill" if not is_drill else "drill of an earlier build"):
        Settings(issuer=address, drill=not is_drill)


def test_a_drill_on_one_machine_has_an_address_and_keys_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"127\.0\.0\.2"):
        Settings(drill=True)
    drill, real = Settings(drill=True, host="127.0.0.2", data_dir=tmp_path), Settings(data_dir=tmp_path)
    assert (drill.address, real.address) == ("http://127.0.0.2:8470", "http://127.0.0.1:8470")
    assert drill.keys_dir != real.keys_dir


async def test_tokens_and_signatures_of_one_are_nothing_at_the_other_although_both_share_their_keys(api: Api) -> None:
    """The worst that could be: the very same keys and systems at both. The address alone keeps them apart."""
    settings = api.hub.settings.model_copy(update={"issuer": DRILL, "drill": True})
    hub = dataclasses.replace(api.hub, settings=settings)
    other = app.create_app(hub)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(other), base_url=DRILL) as http:
        drill = Api(World(hub, keys=api.world.keys), http, other)
        there = dataclasses.replace(api.police)
        assert (await api.get("/v1/requests", api.police)).status_code == 200
        for door, back in ((drill, api), (api, drill)):
            refused = await door.get("/v1/requests", there)
            assert refused.status_code == 401, refused.text
            assert (await back.ask(await door.assertion(there))).status_code == 401
            await door.sign_on(there)
            assert (await door.get("/v1/requests", there)).status_code == 200
        # What an officer signed for the drill, with the only key that he has, demands nothing of the real hub.
        body, signed = await drill.signed("/v1/requests", there, freeze())
        headers = {**api.police.headers, **signed, "Idempotency-Key": "of-the-drill"}
        refused = await api.http.post("/v1/requests", json=body, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "signature.audience"), refused.text
    assert await api.world.rows(ActionRequest) == []


@pytest.mark.parametrize("is_drill", [True, False])
async def test_a_backup_of_one_is_never_restored_as_the_other(tmp_path: Path, *, is_drill: bool) -> None:
    own, other = of(tmp_path / "own", None, drill=is_drill), of(tmp_path / "other", None, drill=not is_drill)
    hub = widened(await app.open_hub(own, migrate=True))
    await World(hub).settle_in()
    folder = tmp_path / "backup"
    await making.make(own, folder, MINH, sealed_to.certificates())
    await app.close_hub(hub)
    # The other one has other keys, and even with these keys the copy says what it is.
    other.data_dir.mkdir()
    with pytest.raises(BackupUnfit, match="is not here"):
        await restoring.restore(other, folder, MINH, [], sealed_to.opener())
    shutil.copytree(own.keys_dir, other.keys_dir)
    with pytest.raises(WrongKind, match="a drill's, and" if is_drill else "the real hub's, and"):
        await restoring.restore(other, folder, MINH, [], sealed_to.opener())
    assert [path.name for path in other.data_dir.iterdir() if "sqlite3" in path.name] == []
    again = of(tmp_path / "again", None, drill=is_drill)
    shutil.copytree(own.keys_dir, again.keys_dir)
    assert (await restoring.restore(again, folder, MINH, [], sealed_to.opener())).entries


def test_the_commands_say_in_one_line_whose_database_it_is(
    run: Run, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("db", "upgrade").exit_code == 0
    monkeypatch.setenv("HOATOC_DRILL", "true")
    assert "127.0.0.2" in clean(run("db", "load"))
    monkeypatch.setenv("HOATOC_HOST", "127.0.0.2")
    for command in (("db", "load"), ("db", "upgrade"), ("serve",)):
        refused = run(*command)
        assert (refused.exit_code, refused.stdout) == (1, ""), command
        assert "the real hub's, and HOATOC_DRILL is set" in refused.stderr, command
    said = {each["name"]: each for each in json.loads(run("doctor", "--json").stdout)}
    assert (said["kind"]["state"], said["kind"]["code"]) == ("failed", "real")
    monkeypatch.setenv("HOATOC_DATA_DIR", str(own_folder.parent / "drill"))
    assert run("db", "upgrade").exit_code == 0
    monkeypatch.delenv("HOATOC_DRILL")
    monkeypatch.delenv("HOATOC_HOST")
    refused = run("db", "upgrade")
    assert refused.exit_code == 1 and "a drill's, and HOATOC_DRILL is not set" in refused.stderr
