"""A backup is whole, proved and private; a restore overwrites nothing, waits for a person, repeats nothing as new."""

import asyncio
import json
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import opening
import pytest
import rigs
import sqlalchemy as sa
import steps
import world as worlds
from builders import table, widened
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID
from world import World

from adapters.transport import Transport
from service import app, clock, errors
from service.actions import changes
from service.backup import keys as key_files
from service.backup import making, manifest, restoring
from service.backup.manifest import BackupUnfit
from service.engine import erasing, erasures
from service.engine.erasing import Decided
from service.engine.hub import Hub
from service.models import ActionRequest, AuditEntry, Deadline, Endpoint
from service.settings import Settings
from service.vault import Erased
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
        asyncio.gather(*(site.submit(worlds.freeze()) for _ in range(8))), making.make(site.hub.settings, folder)
    )
    assert manifest.read(folder) == made and made.database == "sqlite"
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "hoatoc.sqlite3": 0o600,
        "manifest.json": 0o600,
    }
    working = tmp_path / "copy.sqlite3"
    shutil.copy(folder / "hoatoc.sqlite3", working)
    assert (await making.prove_sqlite(working))[0] == made.heads
    [row] = await site.rows(ActionRequest, id=before.id)
    assert made.made_at >= row["submitted_at"]
    with pytest.raises(BackupUnfit, match="not empty"):
        await making.make(site.hub.settings, folder)


@pytest.mark.parametrize("damage", ["a byte", "a row", "no file", "no manifest", "another digest"])
async def test_a_changed_backup_is_not_restored(site: World, tmp_path: Path, damage: str) -> None:
    await site.active(worlds.freeze())
    folder, target = tmp_path / "backup", elsewhere(tmp_path)
    await making.make(site.hub.settings, folder)
    copy, said = folder / "hoatoc.sqlite3", folder / "manifest.json"
    if damage == "a byte":
        raw = bytearray(copy.read_bytes())
        raw[-100] ^= 1
        copy.write_bytes(raw)
    elif damage == "a row":
        # Somebody who can write the manifest too: the audit's chains show it.
        forge(copy)
        text = json.loads(said.read_text())
        text["files"]["hoatoc.sqlite3"] = manifest.sha256(copy)
        said.write_text(json.dumps(text))
    elif damage == "no file":
        copy.unlink()
    elif damage == "no manifest":
        said.unlink()
    else:
        said.write_text(said.read_text().replace('"heads": "', '"heads": "0'))
    with pytest.raises(BackupUnfit):
        await restoring.restore(target, folder, MINH, [])
    assert [path.name for path in target.data_dir.iterdir() if "sqlite3" in path.name] == []


def forge(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE audit_entries SET actor_id = 'nobody' WHERE id = (SELECT max(id) FROM audit_entries)")
    connection.commit()
    connection.close()


async def test_a_restore_overwrites_nothing(site: World, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    await making.make(site.hub.settings, folder)
    with pytest.raises(BackupUnfit, match="overwrites nothing"):
        await restoring.restore(site.hub.settings, folder, MINH, [])
    target = elsewhere(tmp_path)
    await restoring.restore(target, folder, MINH, [])
    with pytest.raises(BackupUnfit, match="overwrites nothing"):
        await restoring.restore(target, folder, MINH, [])


async def test_after_a_restore_nothing_leaves_before_the_release(site: World, tmp_path: Path, moving: Clock) -> None:
    await site.active(worlds.freeze())
    folder, target = tmp_path / "backup", elsewhere(tmp_path)
    await making.make(site.hub.settings, folder)
    moving.forward(minutes=11)
    done = await restoring.restore(target, folder, MINH, [])
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
    await making.make(site.hub.settings, folder)
    told = await delivered(site.hub)
    moving.forward(hours=hours)
    await site.fire()
    told |= await delivered(site.hub)
    await restoring.restore(target, folder, MINH, [])
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
    await making.make(site.hub.settings, folder)
    target = elsewhere(tmp_path)
    await restoring.restore(target, folder, MINH, [])
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
    await making.make(site.hub.settings, folder)
    why = Decided("15/QD-XOA", "minh", clock.utc_now(), "hoa")
    assert await erasing.run(site.hub, filed.id, site.hub.actor, why) == 1
    ledger = erasures.read((await erasures.keep(site.hub)).read_text())
    target = elsewhere(tmp_path)
    done = await restoring.restore(target, folder, MINH, ledger)
    assert done.erasures.erased == (filed.id,)
    hub = widened(await app.open_hub(target))
    [row] = await World(hub).rows(ActionRequest, id=filed.id)
    with pytest.raises(Erased):
        await opening.opened(hub, "requests", filed.id, row["tenant"], row["body_sealed"])
    assert await restoring.release(hub, MINH)
    await app.close_hub(hub)


def certificate(folder: Path, name: str, bits: int = 3072) -> tuple[Path, rsa.RSAPrivateKey]:
    key = rsa.generate_private_key(65537, bits)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path, key


def test_keys_are_sealed_to_two_recipients_and_either_of_them_opens_all(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "vault.key").write_bytes(b"s" * 32)
    first, second = certificate(tmp_path, "first"), certificate(tmp_path, "second")
    path = key_files.seal(folder, tmp_path / "out", [first[0], second[0]])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and b"s" * 32 not in path.read_bytes()
    for file, key in (first, second):
        opened = pkcs7.pkcs7_decrypt_der(path.read_bytes(), x509.load_pem_x509_certificate(file.read_bytes()), key, [])
        assert b"vault.key" in opened and b"s" * 32 in opened
    weak, _ = certificate(tmp_path, "weak", 2048)
    for wrong in ([first[0]], [first[0], first[0]], [first[0], weak], [first[0], folder / "vault.key"]):
        with pytest.raises(BackupUnfit):
            key_files.seal(folder, tmp_path / "no", wrong)


def test_the_same_names_give_the_same_id_and_others_another() -> None:
    made = clock.derived_id("notice", 1, 2)
    assert made == clock.derived_id("notice", 1, 2) != clock.derived_id("notice", 12)
    assert made.version == 8
