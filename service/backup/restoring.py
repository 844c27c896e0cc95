"""The way back: a verified backup is put in place in quarantine, erasures are done again, and a person releases it."""

import asyncio
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import app, audit, clock, db, errors, files, migrations
from service.audit import Log
from service.backup import making, manifest, stream
from service.backup.manifest import BackupUnfit, Manifest
from service.backup.recipients import Recipient
from service.db import Database
from service.engine import erasures
from service.engine.erasures import Entry, Reapplied
from service.engine.hub import OPERATOR, Hub
from service.models import Deadline, Endpoint, QueueItem, Restoration, table_of
from service.queries import restorations
from service.security.principals import Principal
from service.settings import Settings
from workflows.terms import DeadlineState, Fact

_RESTORATIONS = table_of(Restoration)
_ENDPOINTS = table_of(Endpoint)
_DEADLINES = table_of(Deadline)
_QUEUE = table_of(QueueItem)
_CHAIN = audit.tenant_chain(OPERATOR)


@dataclass(frozen=True, slots=True)
class Restored:
    """What stands where the database was: as of when, what it would do once released, what became of erasures."""

    backup_at: datetime
    entries: int
    chains: int
    overdue: int
    to_send: int
    erasures: Reapplied


async def restore(
    settings: Settings, folder: Path, principal: Principal, ledger: Sequence[Entry], recipient: Recipient | None = None
) -> Restored:
    """Put a backup of the embedded database in place, or take a restored PostgreSQL for what it is; in quarantine.

    Nothing is overwritten: a database that is there is moved away by hand first. ``ledger`` are the erasures that are
    known beside the file in the data folder; ``recipient`` opens a backup of the embedded database. Raises
    ``BackupUnfit``, and ``WrongKind`` for a drill's backup at the real hub or the other way round.
    """
    found = await asyncio.to_thread(manifest.read, folder)
    # Before anything of it is put anywhere: what a database says is believed, but for its audit.
    manifest.check_seal(found, await asyncio.to_thread(app.masters, settings, begin=False))
    if found.database != ("sqlite" if settings.embedded else "postgresql"):
        raise BackupUnfit(f"the backup is one of {found.database}, the settings name another database")
    if settings.embedded:
        if recipient is None:
            raise BackupUnfit("the backup is sealed: one of its recipients opens it")
        await _put_in_place(settings, folder, found, principal, recipient)
    hub = await app.open_hub(settings, migrate=settings.embedded)
    try:
        if not settings.embedded:
            async with hub.database.read(db.HUB) as conn:
                await making.proved(conn)
            await hub.database.write(lambda conn: mark(conn, found, principal), db.HUB)
        known = {entry.request_id: entry for entry in (*await erasures.ledger(hub), *ledger)}
        again = await erasures.reapply(hub, sorted(known.values(), key=lambda entry: entry.erased_at))
        async with hub.database.read(db.HUB) as conn:
            verdict = await audit.verify(conn)
            overdue, to_send = await _reckoned(conn)
    finally:
        await app.close_hub(hub)
    return Restored(found.made_at, verdict.entries, verdict.chains, overdue, to_send, again)


async def _put_in_place(
    settings: Settings, folder: Path, found: Manifest, principal: Principal, recipient: Recipient
) -> None:
    target = settings.data_dir.resolve() / making.COPY
    if target.exists():
        raise BackupUnfit(f"{target} exists: a restore overwrites nothing; move it away, and keep it")
    beside = target.with_name(f".{making.COPY}.restoring")
    try:
        await asyncio.to_thread(_open, folder, found, recipient, beside)
        heads, _, _ = await making.prove_sqlite(beside)
        if heads != found.heads:
            raise BackupUnfit("the audit is not the one that was backed up")
        await _to_this_build(beside, found, principal, drill=settings.drill)
        # Two at once: the second one finds the name taken.
        await asyncio.to_thread(_name, beside, target)
    finally:
        await asyncio.to_thread(_remove, beside)


async def _to_this_build(path: Path, found: Manifest, principal: Principal, *, drill: bool) -> None:
    database = Database(f"sqlite+aiosqlite:///{path}")
    try:
        # A drill's is put in place of a drill's, and no other.
        await migrations.upgrade(database, drill=drill)
        # Marked before it has its name: nobody can open it without seeing that it waits.
        await database.write(lambda conn: mark(conn, found, principal), db.HUB)
    finally:
        await database.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


async def mark(conn: AsyncConnection, found: Manifest, principal: Principal) -> None:
    """Write that this database was restored; raise ``BackupUnfit`` where that was done already."""
    configured = await restorations.configured(conn)
    if conn.dialect.name == "postgresql" and (configured is None or configured.manifest != found.digest):
        raise BackupUnfit("this server was not laid down from this backup: hoatoc restore FOLDER --into DIRECTORY")
    if await restorations.waiting(conn) is not None:
        raise BackupUnfit("the restore waits for its release already: hoatoc restore --release")
    log = await Log.open(conn, None, [_CHAIN])
    row = {
        "id": configured.id if configured else clock.new_id(),
        "backup_at": found.made_at,
        "manifest_sha256": found.digest,
        "restored_by": principal.client_id,
        "restored_at": log.at,
    }
    await conn.execute(sa.insert(_RESTORATIONS).values(row))
    # A participant comes back with a cursor of after the backup: new messages must lie behind every such cursor.
    behind = int(log.at.timestamp() * 1000)
    moved = sa.update(_ENDPOINTS).where(_ENDPOINTS.c.inbox_position < behind)
    await conn.execute(moved.values(inbox_position=behind))
    log.record(_CHAIN, Fact.HUB_RESTORED, principal.actor(), OPERATOR, backup_at=found.made_at, manifest=found.digest)
    await log.flush()


async def release(hub: Hub, principal: Principal) -> datetime:
    """Let a restored hub send and fire again, and return as of when it is.

    Erasures are done again once more. Raises ``Conflict`` where nothing waits, or an erasure cannot be done yet.
    """
    again = await erasures.reapply(hub, await erasures.ledger(hub))
    if again.left:
        raise errors.Conflict("restore.erasures_left", count=len(again.left))

    async def unit(conn: AsyncConnection) -> datetime:
        log = await Log.open(conn, None, [_CHAIN])
        query = sa.select(_RESTORATIONS).where(_RESTORATIONS.c.released_at.is_(None)).with_for_update()
        row = (await conn.execute(query)).one_or_none()
        if row is None:
            raise errors.Conflict("restore.none_waits")
        said = {"released_by": principal.client_id, "released_at": log.at}
        await conn.execute(sa.update(_RESTORATIONS).where(_RESTORATIONS.c.id == row.id).values(**said))
        log.record(_CHAIN, Fact.HUB_RELEASED, principal.actor(), OPERATOR, manifest=row.manifest_sha256)
        await log.flush()
        at: datetime = row.backup_at
        return at

    return await hub.database.write(unit, db.HUB)


async def _reckoned(conn: AsyncConnection) -> tuple[int, int]:
    """Count what a release sets in motion: deadlines whose instant has passed, and dispatches that wait."""
    overdue = sa.select(sa.func.count()).where(
        _DEADLINES.c.state == DeadlineState.PENDING, _DEADLINES.c.due_at <= await db.now(conn)
    )
    to_send = sa.select(sa.func.count()).select_from(_QUEUE)
    return (await conn.execute(overdue)).scalar_one(), (await conn.execute(to_send)).scalar_one()


def lay_down(
    folder: Path, into: Path, recipient: Recipient, *, archive: Path | None, until: datetime | None
) -> Manifest:
    """Lay a PostgreSQL base backup into a new data directory, set to recover and to wait for a release.

    Nothing is laid down of a backup that does not open to its end. ``archive`` is the folder of archived write-ahead
    log, ``until`` the instant to recover to (default: all there is). The server is started on it as usual, by whoever
    owns it. Raises ``BackupUnfit``.
    """
    found = manifest.read(folder)
    if found.database != "postgresql":
        raise BackupUnfit("the backup is one of SQLite: hoatoc restore FOLDER puts it in place")
    if into.exists() and any(into.iterdir()):
        raise BackupUnfit(f"{into} is not empty: a restore overwrites nothing")
    key = recipient.unseal((folder / making.KEY).read_bytes())
    stream.prove(folder / making.SEALED, key, found.bound)
    into.mkdir(parents=True, exist_ok=True)
    into.chmod(0o700)
    opening = stream.Opening(folder / making.SEALED, key, found.bound)
    with opening, tarfile.open(fileobj=opening, mode="r|") as archived:
        archived.extractall(into, filter="data")
    into.chmod(0o700)
    making.program("pg_verifybackup", str(into))
    laid_down = restorations.LaidDown(found.digest, clock.new_id())
    said = {restorations.SETTING: laid_down.written(), "recovery_target_timeline": "latest"}
    if archive is not None:
        said["restore_command"] = f'cp "{archive}/%f" "%p"'
        (into / "recovery.signal").touch(mode=0o600)
    if until is not None:
        # PostgreSQL's own form of an instant: it does not read a "Z" here.
        said |= {"recovery_target_time": str(until.astimezone(UTC)), "recovery_target_action": "promote"}
    with (into / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
        for name, value in said.items():
            file.write(f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n")
        file.flush()
        os.fsync(file.fileno())
    return found


def _open(folder: Path, found: Manifest, recipient: Recipient, target: Path) -> None:
    key = recipient.unseal((folder / making.KEY).read_bytes())
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as writing, stream.Opening(folder / making.SEALED, key, found.bound) as opening:
        shutil.copyfileobj(opening, writing, stream.CHUNK)
        writing.flush()
        os.fsync(writing.fileno())


def _name(path: Path, target: Path) -> None:
    os.link(path, target)
    files.sync_folder(target.parent)


def _remove(path: Path) -> None:
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        name.unlink(missing_ok=True)
