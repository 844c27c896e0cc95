"""PostgreSQL on real servers: base backup and archived log, recovery to an instant elsewhere, quarantine, release."""

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import postgres
import pytest
import rigs
import sealed_to
import sqlalchemy as sa
import steps
import world as worlds
from builders import widened
from world import World

from service import app, clock, db, files, migrations
from service.actions import changes
from service.backup import making, restoring
from service.backup.manifest import BackupUnfit
from service.db import Database
from service.engine.hub import Hub
from service.engine.node import Node
from service.models import ActionRequest, Dispatch, Escalation, Restoration
from service.queries import restorations
from service.settings import Settings
from workflows.terms import DispatchKind, Stage

MINH = changes.local_administrator("minh")


@pytest.fixture
def archive() -> Iterator[Path]:
    """A folder into which the server's own user may write; two runs on one machine have one each."""
    folder = Path(tempfile.mkdtemp(prefix="hoatoc-archive-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def settings(folder: Path, url: str) -> Settings:
    owner = f"{url}/hoatoc"
    login = sa.make_url(owner).set(username=postgres.LOGIN).render_as_string(hide_password=False)
    return Settings(data_dir=folder, database_url=login, migration_url=owner, node="node-a")


async def opened(chosen: Settings) -> Hub:
    database = Database(chosen.owner_url)
    await migrations.upgrade(database)
    await database.close()
    return widened(await app.open_hub(chosen))


async def create(url: str) -> None:
    server = Database(f"{url}/postgres")
    async with server.engine.connect() as conn:
        outside = await conn.execution_options(isolation_level="AUTOCOMMIT")
        await outside.execute(sa.text("CREATE DATABASE hoatoc"))
    await server.close()


async def archived(hub: Hub, folder: Path) -> None:
    """Let the log so far be archived; a test that waits in vain fails."""
    owner = Database(hub.settings.owner_url)
    async with owner.read(db.NOBODY) as conn:
        name = (await conn.execute(sa.text("SELECT pg_walfile_name(pg_switch_wal())"))).scalar_one()
    await owner.close()
    async with asyncio.timeout(60):
        while not (folder / name).exists():
            async with hub.database.read() as conn:
                await conn.execute(sa.text("SELECT pg_stat_get_archiver()"))


async def test_a_base_backup_and_the_archive_bring_back_an_instant_and_wait(tmp_path: Path, archive: Path) -> None:
    more = {"archive_mode": "on", "archive_command": f"cp %p {archive}/%f", "wal_level": "replica"}
    backup, laid = tmp_path / "backup", tmp_path / "laid"
    with postgres.running(fsync=False, more=more) as url:
        await create(url)
        chosen = settings(tmp_path / "hub", url)
        hub = await opened(chosen)
        world = World(hub)
        await world.settle_in()
        first = (await world.active(worlds.freeze())).id
        made = await making.make(chosen, backup, MINH, sealed_to.certificates(), login=chosen.owner_url)
        second = (await world.active(worlds.freeze())).id
        async with hub.database.read() as conn:
            until = await db.now(conn)
        third = (await world.active(worlds.freeze())).id
        await archived(hub, archive)
        await app.close_hub(hub)
    with pytest.raises(BackupUnfit, match="not empty"):
        restoring.lay_down(backup, backup, sealed_to.opener(), archive=archive, until=until)
    assert sorted(path.name for path in backup.iterdir()) == ["database.key.p7m", "database.sealed", "manifest.json"]
    assert restoring.lay_down(backup, laid, sealed_to.opener(), archive=archive, until=until) == made
    with postgres.running(fsync=False, laid_down=laid) as url:
        chosen = settings(tmp_path / "hub", url)
        await promoted(chosen)
        # Whoever starts a hub on it before anything else waits too: the server itself says what it is.
        hub = widened(await app.open_hub(chosen))
        node = Node(hub)
        await node.start()
        assert "hub.restored" in node.faults() and not node.may_work()
        done = await restoring.restore(chosen, backup, MINH, [])
        assert done.backup_at == made.made_at and done.entries > made.entries
        ids = {row["id"] for row in await World(hub).rows(ActionRequest)}
        assert {first, second} <= ids and third not in ids
        await node.beat()
        assert not node.may_work()
        with pytest.raises(BackupUnfit, match="release"):
            await restoring.restore(chosen, backup, MINH, [])
        await restoring.release(hub, MINH)
        await node.beat()
        assert node.may_work() and "hub.restored" not in node.faults()
        await node.stop()
        await app.close_hub(hub)


async def test_a_second_restore_of_the_same_backup_waits_although_the_log_holds_the_release_of_the_first(
    tmp_path: Path, archive: Path
) -> None:
    more = {"archive_mode": "on", "archive_command": f"cp %p {archive}/%f", "wal_level": "replica"}
    backup = tmp_path / "backup"
    with postgres.running(fsync=False, more=more) as url:
        await create(url)
        chosen = settings(tmp_path / "hub", url)
        hub = await opened(chosen)
        await making.make(chosen, backup, MINH, sealed_to.certificates(), login=chosen.owner_url)
        await archived(hub, archive)
        await app.close_hub(hub)
    for time, waits_for in enumerate(("the first", "the second")):
        laid = tmp_path / f"laid-{time}"
        restoring.lay_down(backup, laid, sealed_to.opener(), archive=archive, until=None)
        with postgres.running(fsync=False, more=more, laid_down=laid) as url:
            chosen = settings(tmp_path / "hub", url)
            await promoted(chosen)
            hub = widened(await app.open_hub(chosen))
            released = [row["released_at"] for row in await World(hub).rows(Restoration)]
            assert len(released) == time and None not in released, "the archive brought the release of before"
            async with hub.database.read() as conn:
                assert await restorations.is_quarantined(conn), waits_for
            await restoring.restore(chosen, backup, MINH, [])
            await restoring.release(hub, MINH)
            async with hub.database.read() as conn:
                assert not await restorations.is_quarantined(conn)
            await archived(hub, archive)
            await app.close_hub(hub)


async def test_a_ladder_goes_on_after_the_restore_where_it_stood_and_nobody_is_told_twice(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {"archive_mode": "on", "archive_command": f"cp %p {archive}/%f", "wal_level": "replica"}
    backup, laid = tmp_path / "backup", tmp_path / "laid"
    real = clock.utc_now
    with postgres.running(fsync=False, more=more) as url:
        await create(url)
        chosen = settings(tmp_path / "hub", url)
        hub = await opened(chosen)
        world = World(hub)
        await world.settle_in()
        first = (await world.active(worlds.freeze())).id
        # One rung has fired before the backup, one only in the log behind it, and one request came in there as well.
        await at(chosen, real, monkeypatch, minutes=12)
        told = await fired_and_told(world)
        assert await rungs(world, first) == [1]
        await making.make(chosen, backup, MINH, sealed_to.certificates(), login=chosen.owner_url)
        second = (await world.active(worlds.freeze(case_number="02/2026/CA"))).id
        await at(chosen, real, monkeypatch, minutes=32)
        told += await fired_and_told(world)
        assert (await rungs(world, first), await rungs(world, second)) == ([1, 2], [1])
        await archived(hub, archive)
        await app.close_hub(hub)
    restoring.lay_down(backup, laid, sealed_to.opener(), archive=archive, until=None)
    with postgres.running(fsync=False, laid_down=laid) as url:
        chosen = settings(tmp_path / "hub", url)
        await promoted(chosen)
        await restoring.restore(chosen, backup, MINH, [])
        hub = widened(await app.open_hub(chosen))
        world = World(hub)
        await restoring.release(hub, MINH)
        assert (await rungs(world, first), await rungs(world, second)) == ([1, 2], [1])
        # Nothing is due that was not before: whoever was called is not called again.
        again = await fired_and_told(world)
        assert again == [] and (await rungs(world, first), await rungs(world, second)) == ([1, 2], [1])
        for minutes, expected in ((62, ([1, 2, 3], [1, 2])), (120, ([1, 2, 3], [1, 2, 3]))):
            await at(chosen, real, monkeypatch, minutes=minutes)
            told += await fired_and_told(world)
            assert (await rungs(world, first), await rungs(world, second)) == expected
        assert len(told) == len(set(told))
        notices = {row["id"].hex for row in await world.rows(Dispatch, kind="notice")}
        assert notices and notices == {UUID(each.removeprefix("ntf_").removeprefix("msg_")).hex for each in told}
        assert await steps.findings(world) == []
        await app.close_hub(hub)


async def at(chosen: Settings, real: Callable[[], datetime], monkeypatch: pytest.MonkeyPatch, *, minutes: int) -> None:
    """Let it be so many minutes later than it is, for this machine and for the database, which keeps it in its log."""
    monkeypatch.setattr(clock, "utc_now", lambda: real() + timedelta(minutes=minutes))
    owner = Database(chosen.owner_url)
    body = f"SELECT clock_timestamp() + interval ''{minutes} minutes''"
    moved = f"CREATE OR REPLACE FUNCTION hub_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS '{body}'"
    await owner.write(lambda conn: conn.execute(sa.text(moved)), db.NOBODY)
    await owner.close()


async def fired_and_told(world: World) -> list[str]:
    """Fire what is due and send what waits; return the ids of the notices that somebody got."""
    await world.fire()
    rig = await rigs.Rig(world.hub).start()
    while await rig.round():
        pass
    await rig.stop()
    return [message.id for message, _ in rig.speaker.sent if message.kind is DispatchKind.NOTICE]


async def rungs(world: World, request: UUID) -> list[int]:
    """The rungs of an order's execution that fired, each as often as it did."""
    raised = await world.rows(Escalation, request_id=request, stage=Stage.EXECUTE)
    return sorted(row["rung"] for row in raised)


async def promoted(chosen: Settings) -> None:
    """Wait until the recovery has come to its end."""
    database = Database(chosen.url)
    async with asyncio.timeout(60):
        while True:
            async with database.read(db.NOBODY) as conn:
                if not (await conn.execute(sa.text("SELECT pg_is_in_recovery()"))).scalar_one():
                    break
    await database.close()


async def test_a_server_that_was_not_laid_down_from_the_backup_is_not_taken_for_it(tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    with postgres.running(fsync=False) as url:
        await create(url)
        chosen = settings(tmp_path / "hub", url)
        hub = await opened(chosen)
        await making.make(chosen, backup, MINH, sealed_to.certificates(), login=chosen.owner_url)
        await app.close_hub(hub)
        with pytest.raises(BackupUnfit, match="not laid down"):
            await restoring.restore(chosen, backup, MINH, [])
    sealed = backup / "database.sealed"
    raw = sealed.read_bytes()
    sealed.write_bytes(raw[: len(raw) // 2])
    said = backup / "manifest.json"
    said.write_text(said.read_text().replace(hashlib.sha256(raw).hexdigest(), files.sha256(sealed)))
    with pytest.raises(BackupUnfit, match="not the copy"):
        restoring.lay_down(backup, tmp_path / "laid", sealed_to.opener(), archive=None, until=None)
    assert not (tmp_path / "laid").exists()
