"""A backup is whole, proved and private; a restore overwrites nothing, waits for a person, repeats nothing as new."""

import asyncio
import contextlib
import dataclasses
import json
import random
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import opening
import pytest
import rigs
import sealed_to
import sqlalchemy as sa
import steps
import world as worlds
from builders import table, widened
from world import World

from adapters.transport import Transport
from service import app, clock, errors, files
from service.actions import changes
from service.backup import keys as key_files
from service.backup import making, manifest, recipients, restoring, stream
from service.backup.manifest import BackupUnfit, Manifest
from service.backup.recipients import Recipient
from service.engine import erasing, erasures
from service.engine.erasing import Decided
from service.engine.hub import Hub
from service.models import ActionRequest, AuditEntry, Deadline, Endpoint
from service.settings import Settings
from service.vault import Erased, FileMasters
from service.worker import Worker
from workflows.terms import DispatchKind, RequestState

MINH = changes.local_administrator("minh")


class Clock:
    """This machine's clock, and with it the embedded database's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._moved = timedelta()
        real = clock.utc_now
        monkeypatch.setattr(clock, "utc_now", lambda: real() + self._moved)

    def forward(self, **by: float) -> None:
        """Move it."""
        self._moved += timedelta(**by)


@pytest.fixture
def moving(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that the test moves."""
    return Clock(monkeypatch)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[World]:
    """An embedded hub with keys of its own, as ``hoatoc serve`` opens it."""
    hub = widened(await app.open_hub(at(tmp_path, "a"), migrate=True))
    made = World(hub)
    await made.settle_in()
    yield made
    await app.close_hub(hub)


def at(tmp_path: Path, name: str) -> Settings:
    return Settings(data_dir=tmp_path / name, node=f"node-{name}")


def elsewhere(tmp_path: Path) -> Settings:
    """A new machine, to which the keys were brought."""
    shutil.copytree(tmp_path / "a" / "keys", tmp_path / "b" / "keys")
    return at(tmp_path, "b")


async def made_of(site: World, folder: Path) -> Manifest:
    return await making.make(site.hub.settings, folder, MINH, sealed_to.certificates())


async def delivered(hub: Hub) -> dict[str, DispatchKind]:
    """Send whatever waits, and return what a receiver got: message ids and kinds."""
    rig = await rigs.Rig(hub).start()
    while await rig.round():
        pass
    await rig.stop()
    return {message.id: message.kind for message, _ in rig.speaker.sent}


async def test_a_backup_made_while_the_hub_writes_is_whole_and_private(site: World, tmp_path: Path) -> None:
    before = await site.submit(worlds.freeze())
    folder = tmp_path / "backup"
    # It does not stand still for the copy: filings come in all the time.
    _, made = await asyncio.gather(
        asyncio.gather(*(site.submit(worlds.freeze()) for _ in range(8))), made_of(site, folder)
    )
    assert manifest.read(folder) == made and made.database == "sqlite"
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "database.sealed": 0o600,
        "database.key.p7m": 0o600,
        "manifest.json": 0o600,
    }
    # Nothing of it lies about in the clear, neither there nor where it was made.
    assert b"SQLite format" not in b"".join(path.read_bytes() for path in folder.iterdir())
    assert not list(site.hub.settings.data_dir.glob("backup-*"))
    working = tmp_path / "copy.sqlite3"
    opened_to(folder, made, working)
    assert (await making.prove_sqlite(working))[0] == made.heads
    [row] = await site.rows(ActionRequest, id=before.id)
    assert made.made_at >= row["submitted_at"]
    with pytest.raises(BackupUnfit, match="not empty"):
        await made_of(site, folder)


async def test_who_made_a_backup_is_a_fact_that_names_its_manifest(site: World, tmp_path: Path) -> None:
    made = await made_of(site, tmp_path / "backup")
    [fact] = [row for row in await site.rows(AuditEntry) if row["code"] == "hub.backed_up"]
    assert (fact["actor_id"], fact["chain"]) == (MINH.client_id, "tenant:hoatoc-hub")
    assert json.loads(fact["data"])["manifest"] == manifest.read(tmp_path / "backup").digest == made.digest
    assert await steps.findings(site) == []


async def test_a_database_is_sealed_to_two_recipients_or_not_copied_at_all(site: World, tmp_path: Path) -> None:
    folder, one = tmp_path / "backup", sealed_to.certificates()[:1]
    with pytest.raises(BackupUnfit, match="two different"):
        await making.make(site.hub.settings, folder, MINH, one)
    assert not folder.exists()


async def test_a_backup_opens_for_each_recipient_and_for_nobody_else(site: World, tmp_path: Path) -> None:
    folder, target = tmp_path / "backup", elsewhere(tmp_path)
    await made_of(site, folder)
    path, key = sealed_to.certificate(tmp_path, "stranger")
    stranger, (an, binh) = Recipient(path, recipients.private_key(key)), either()
    for wrong in (stranger, Recipient(an.certificate, stranger.key), None):
        with pytest.raises(BackupUnfit):
            await restoring.restore(target, folder, MINH, [], wrong)
    assert [path.name for path in target.data_dir.iterdir() if "sqlite3" in path.name] == []
    assert (await restoring.restore(target, folder, MINH, [], binh)).entries


@pytest.mark.parametrize(
    "damage",
    [
        "a byte",
        "a row",
        "a row under our seal",
        "no file",
        "no manifest",
        "another digest",
        "another instant",
        "another backup's key",
    ],
)
async def test_a_changed_backup_is_not_restored(site: World, tmp_path: Path, damage: str) -> None:
    await site.active(worlds.freeze())
    folder, target = tmp_path / "backup", elsewhere(tmp_path)
    made = await made_of(site, folder)
    copy, said = folder / "database.sealed", folder / "manifest.json"
    if damage == "a byte":
        raw = bytearray(copy.read_bytes())
        raw[-100] ^= 1
        copy.write_bytes(raw)
    elif damage.startswith("a row"):
        # Somebody who opened it and seals it again, with a manifest that fits: the audit's chains show it.
        opened_to(folder, made, tmp_path / "forged.sqlite3")
        forge(tmp_path / "forged.sqlite3")
        key = sealed_to.opener().unseal((folder / "database.key.p7m").read_bytes())
        copy.unlink()
        with stream.Sealing(copy, key, made.bound) as sealing:
            sealing.write((tmp_path / "forged.sqlite3").read_bytes())
        rewritten(folder)
        if damage == "a row under our seal":
            # Whoever has the master key as well writes any manifest, but no chain that ends where ours did.
            resealed = manifest.sealed(manifest.read(folder), app.masters(site.hub.settings, begin=False))
            said.unlink()
            manifest.write(folder, resealed)
    elif damage == "no file":
        copy.unlink()
    elif damage == "no manifest":
        said.unlink()
    elif damage == "another digest":
        said.write_text(said.read_text().replace('"heads": "', '"heads": "0'))
    elif damage == "another instant":
        # A manifest that speaks of another moment than the copy was sealed with.
        said.write_text(said.read_text().replace(clock.written(made.made_at), "2026-01-01T00:00:00Z"))
    else:
        await made_of(site, tmp_path / "other")
        shutil.copy(tmp_path / "other" / "database.key.p7m", folder / "database.key.p7m")
        rewritten(folder)
    with pytest.raises(BackupUnfit):
        await restoring.restore(target, folder, MINH, [], sealed_to.opener())
    assert [path.name for path in target.data_dir.iterdir() if "sqlite3" in path.name] == []


def rewritten(folder: Path) -> None:
    """Name in the manifest what lies there now, as whoever can write the folder can."""
    said = folder / "manifest.json"
    text = json.loads(said.read_text())
    text["files"] = {name: files.sha256(folder / name) for name in text["files"]}
    said.write_text(json.dumps(text))


def opened_to(folder: Path, made: Manifest, path: Path) -> None:
    key = sealed_to.opener().unseal((folder / "database.key.p7m").read_bytes())
    with stream.Opening(folder / "database.sealed", key, made.bound) as opening, path.open("wb") as file:
        shutil.copyfileobj(opening, file)


@pytest.mark.parametrize("size", [0, 1, stream.CHUNK - 1, stream.CHUNK, stream.CHUNK + 1, 3 * stream.CHUNK])
def test_what_was_sealed_in_pieces_opens_whole(tmp_path: Path, size: int) -> None:
    data, key, path = random.Random(size).randbytes(size), stream.new_key(), tmp_path / "sealed"
    with stream.Sealing(path, key, b"bound") as sealing:
        for at in range(0, size, 100_000):
            sealing.write(data[at : at + 100_000])
    with stream.Opening(path, key, b"bound") as opening:
        assert b"".join(iter(lambda: opening.read(70_000), b"")) == data
    for wrong in ((stream.new_key(), b"bound"), (key, b"other")):
        with pytest.raises(BackupUnfit):
            stream.prove(path, *wrong)


@pytest.mark.parametrize(
    "damage", ["cut", "cut at a chunk", "swapped", "twice", "longer", "empty", "no head", "the last one alone"]
)
def test_a_sealed_stream_that_was_cut_moved_or_extended_does_not_open(tmp_path: Path, damage: str) -> None:
    key, path = stream.new_key(), tmp_path / "sealed"
    with stream.Sealing(path, key, b"bound") as sealing:
        sealing.write(b"x" * (3 * stream.CHUNK))
    raw = path.read_bytes()
    head, body, size = raw[:16], raw[16:], stream.CHUNK + 16
    first, second, third = (body[at : at + size] for at in (0, size, 2 * size))
    path.write_bytes(
        {
            "cut": raw[:-1],
            "cut at a chunk": head + first + second,
            "swapped": head + second + first + third,
            "twice": head + first + first + second + third,
            "longer": raw + third,
            "empty": head,
            "no head": body,
            "the last one alone": head + third,
        }[damage]
    )
    with pytest.raises(BackupUnfit):
        stream.prove(path, key, b"bound")


@pytest.mark.parametrize("keys", ["theirs", "none"])
async def test_a_backup_that_somebody_else_put_together_is_not_restored(site: World, tmp_path: Path, keys: str) -> None:
    folder, target, plain = tmp_path / "backup", elsewhere(tmp_path), tmp_path / "plain"
    made = await made_of(site, folder)
    opened_to(folder, made, plain)
    # Call-backs shall reach somebody else: no chain of facts tells, and the copy is sealed anew to the same people.
    with contextlib.closing(sqlite3.connect(plain)) as connection, connection:
        connection.execute("UPDATE participants SET duty_phone = '+84900000000'")
    own = FileMasters.of(b"k" * 32)
    forged = dataclasses.replace(made, master=own.ids()[0]) if keys == "theirs" else made
    shutil.rmtree(folder)
    folder.mkdir()
    to = recipients.read(sealed_to.certificates())
    forged = dataclasses.replace(forged, files=making._seal(plain, folder, forged.bound, to))
    manifest.write(folder, manifest.sealed(forged, own) if keys == "theirs" else forged)
    with pytest.raises(BackupUnfit, match="is not here" if keys == "theirs" else "not one that this"):
        await restoring.restore(target, folder, MINH, [], sealed_to.opener())
    assert [path.name for path in target.data_dir.iterdir() if "sqlite3" in path.name] == []


async def test_without_the_keys_nothing_is_restored_and_none_are_made(site: World, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    await made_of(site, folder)
    with pytest.raises(BackupUnfit, match="is not here"):
        await restoring.restore(at(tmp_path, "empty"), folder, MINH, [], sealed_to.opener())
    assert not (tmp_path / "empty" / "keys").exists()


def forge(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE audit_entries SET actor_id = 'nobody' WHERE id = (SELECT max(id) FROM audit_entries)")
    connection.commit()
    connection.close()


async def test_a_restore_overwrites_nothing(site: World, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    await made_of(site, folder)
    with pytest.raises(BackupUnfit, match="overwrites nothing"):
        await restoring.restore(site.hub.settings, folder, MINH, [], sealed_to.opener())
    target = elsewhere(tmp_path)
    await restoring.restore(target, folder, MINH, [], sealed_to.opener())
    with pytest.raises(BackupUnfit, match="overwrites nothing"):
        await restoring.restore(target, folder, MINH, [], sealed_to.opener())


async def test_after_a_restore_nothing_leaves_before_the_release(site: World, tmp_path: Path, moving: Clock) -> None:
    await site.active(worlds.freeze())
    folder, target = tmp_path / "backup", elsewhere(tmp_path)
    await made_of(site, folder)
    moving.forward(minutes=11)
    done = await restoring.restore(target, folder, MINH, [], sealed_to.opener())
    assert done.overdue >= 1 and done.to_send == 1
    hub = widened(await app.open_hub(target))
    restored, speaker = World(hub), rigs.Speaker()
    worker = Worker(hub, speaker, Transport())
    await worker.start()
    for _ in range(20):
        await worker.node.beat()
    assert "hub.restored" in worker.faults() and not worker.node.may_work()
    await worker.stop()
    assert speaker.sent == [] and not [row for row in await restored.rows(Deadline) if row["state"] == "missed"]
    assert await restoring.release(hub, MINH) == done.backup_at
    with pytest.raises(errors.Conflict, match=r"restore\.none_waits"):
        await restoring.release(hub, MINH)
    facts = [row["code"] for row in await restored.rows(AuditEntry)]
    assert [code for code in facts if code.startswith("hub.")] == ["hub.restored", "hub.released"]
    await worker.node.beat()
    assert "hub.restored" not in worker.faults()
    await app.close_hub(hub)


@pytest.mark.parametrize("hours", [0.2, 73])
async def test_what_the_world_repeats_after_a_restore_is_nothing_new_to_who_knows_the_ids(
    site: World, tmp_path: Path, moving: Clock, hours: float
) -> None:
    # One bank is silent, so people are called; another hold runs into its end, so its lift goes out.
    await site.active(worlds.freeze())
    running = await site.active(worlds.freeze())
    [order] = await site.orders(running.id)
    await site.answer(order, outcome="executed", amount_held=steps.vnd(1))
    folder, target = tmp_path / "backup", elsewhere(tmp_path)
    await made_of(site, folder)
    told = await delivered(site.hub)
    moving.forward(hours=hours)
    await site.fire()
    told |= await delivered(site.hub)
    await restoring.restore(target, folder, MINH, [], sealed_to.opener())
    hub = widened(await app.open_hub(target))
    await restoring.release(hub, MINH)
    again = await delivered(hub)
    await World(hub).fire()
    again |= await delivered(hub)
    assert {message for message in again if message not in told} == set()
    repeated = set(again.values())
    assert (DispatchKind.NOTICE in repeated) if hours < 1 else (len(again) > 2)
    assert await steps.findings(World(hub)) == []
    await app.close_hub(hub)


async def test_a_cursor_of_after_the_backup_never_passes_by_what_comes_after_the_restore(
    site: World, tmp_path: Path
) -> None:
    folder = tmp_path / "backup"
    await made_of(site, folder)
    target = elsewhere(tmp_path)
    await restoring.restore(target, folder, MINH, [], sealed_to.opener())
    hub = widened(await app.open_hub(target))
    positions = [row["inbox_position"] for row in await World(hub).rows(Endpoint)]
    # More than any inbox had at any time before: a millisecond of an inbox's life a message.
    assert min(positions) > datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000
    await app.close_hub(hub)


async def test_what_was_erased_after_the_backup_is_erased_again(site: World, tmp_path: Path) -> None:
    filed = await site.submit(worlds.freeze())
    requests = table(ActionRequest)
    moved = sa.update(requests).values(state=RequestState.REFUSED, closed_at=clock.utc_now())
    await site.hub.database.write(lambda conn: conn.execute(moved))
    folder = tmp_path / "backup"
    await made_of(site, folder)
    why = Decided("15/QD-XOA", "minh", clock.utc_now(), "hoa")
    assert await erasing.run(site.hub, filed.id, site.hub.actor, why) == 1
    ledger = erasures.read((await erasures.keep(site.hub)).read_text())
    target = elsewhere(tmp_path)
    done = await restoring.restore(target, folder, MINH, ledger, sealed_to.opener())
    assert done.erasures.erased == (filed.id,)
    hub = widened(await app.open_hub(target))
    [row] = await World(hub).rows(ActionRequest, id=filed.id)
    with pytest.raises(Erased):
        await opening.opened(hub, "requests", filed.id, row["tenant"], row["body_sealed"])
    assert await restoring.release(hub, MINH)
    await app.close_hub(hub)


async def test_an_erasure_that_only_another_copy_of_the_ledger_knows_holds_the_release_until_it_is_done(
    site: World, tmp_path: Path
) -> None:
    filed = await site.submit(worlds.freeze())
    folder, target = tmp_path / "backup", elsewhere(tmp_path)
    await made_of(site, folder)
    at = clock.utc_now()
    entry = erasures.Entry(filed.id, worlds.AGENCY, "15/QD-XOA", "minh", at, "hoa", at)
    # In the backup the request is still under way.
    assert (await restoring.restore(target, folder, MINH, [entry], sealed_to.opener())).erasures.left == (filed.id,)
    hub = widened(await app.open_hub(target))
    with pytest.raises(errors.Conflict, match=r"restore\.erasures_left"):
        await restoring.release(hub, MINH)
    moved = sa.update(table(ActionRequest)).values(state=RequestState.REFUSED, closed_at=at)
    await hub.database.write(lambda conn: conn.execute(moved))
    await restoring.release(hub, MINH)
    [row] = await World(hub).rows(ActionRequest, id=filed.id)
    with pytest.raises(Erased):
        await opening.opened(hub, "requests", filed.id, row["tenant"], row["body_sealed"])
    await app.close_hub(hub)


def test_keys_are_sealed_to_two_recipients_and_either_of_them_opens_all(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "vault.key").write_bytes(b"s" * 32)
    path = key_files.seal(folder, tmp_path / "out", sealed_to.certificates())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and b"s" * 32 not in path.read_bytes()
    for person in either():
        opened = person.unseal(path.read_bytes())
        assert b"vault.key" in opened and b"s" * 32 in opened
    (first, _), _ = sealed_to.people()
    weak, _ = sealed_to.certificate(tmp_path, "weak", 2048)
    for wrong in ([first], [first, first], [first, weak], [first, folder / "vault.key"]):
        with pytest.raises(BackupUnfit):
            key_files.seal(folder, tmp_path / "no", wrong)


def either() -> list[Recipient]:
    (first, key), (second, locked) = sealed_to.people()
    return [
        Recipient(first, recipients.private_key(key)),
        Recipient(second, recipients.private_key(locked, "mật khẩu".encode())),
    ]


def test_the_same_names_give_the_same_id_and_others_another() -> None:
    made = clock.derived_id("notice", 1, 2)
    assert made == clock.derived_id("notice", 1, 2) != clock.derived_id("notice", 12)
    assert made.version == 8
