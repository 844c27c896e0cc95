"""Makes a backup while the hub works: a copy of the database, proved, then sealed to people; who made it is a fact."""

import asyncio
import hashlib
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from cryptography import x509
from sqlalchemy.ext.asyncio import AsyncConnection

from service import __version__, app, audit, db, files, migrations
from service.audit import Log
from service.backup import manifest, recipients, stream
from service.backup.manifest import BackupUnfit, Manifest
from service.db import Database
from service.engine.hub import OPERATOR
from service.models import AuditHead, table_of
from service.security.principals import Principal
from service.settings import Settings
from service.vault import subjects
from workflows.terms import Fact

COPY = "hoatoc.sqlite3"
BASE = "base"
SEALED = "database.sealed"
KEY = "database.key.p7m"
_PIECE = 1 << 20
_HEADS = table_of(AuditHead)
_CHAIN = audit.tenant_chain(OPERATOR)


async def make(
    settings: Settings,
    folder: Path,
    principal: Principal,
    certificates: Sequence[Path],
    *,
    login: str | None = None,
    work: Path | None = None,
) -> Manifest:
    """Copy the database, sealed to the recipients' certificates, into an empty folder; return the manifest.

    The copy is made and proved in the clear in a folder of its own within ``work`` (default: the data folder), which
    is removed; what leaves it is sealed. ``login`` is a PostgreSQL URL with the right of replication; default: the
    hub's own. Raises ``BackupUnfit`` where the copy is not whole or a recipient unfit, and what
    ``migrations.check`` raises.
    """
    to = await asyncio.to_thread(recipients.read, certificates)
    await asyncio.to_thread(manifest.new_folder, folder)
    database = Database(settings.url)
    working = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="backup-", dir=work or settings.data_dir))
    try:
        await migrations.check(database, drill=settings.drill)
        async with database.read(db.HUB) as conn:
            made_at = await db.now(conn)
            heads, entries, chains = await reading(conn)
            master = await subjects.master_in_force(conn)
        if settings.embedded:
            copy = working / COPY
            await asyncio.to_thread(copy_sqlite, settings.data_dir.resolve() / COPY, copy)
            # The copy itself is judged, not what it was copied from.
            heads, entries, chains = await prove_sqlite(copy)
        else:
            copy = working / BASE
            await asyncio.to_thread(_base_backup, login or settings.url, copy)
        kind = "sqlite" if settings.embedded else "postgresql"
        made = Manifest(made_at, kind, str(migrations.head()), __version__, {}, entries, chains, heads, master)
        made = replace(made, files=await asyncio.to_thread(_seal, copy, folder, made.bound, to))
        made = manifest.sealed(made, await asyncio.to_thread(app.masters, settings, begin=False))
        # Before the manifest, without which the folder is no backup: none is made that nobody can be told of.
        await database.write(lambda conn: _note(conn, made, principal), db.HUB)
    finally:
        await asyncio.to_thread(shutil.rmtree, working)
        await database.close()
    await asyncio.to_thread(manifest.write, folder, made)
    return made


def _seal(copy: Path, folder: Path, bound: bytes, to: Sequence[x509.Certificate]) -> dict[str, str]:
    """Seal a file, or a folder as one archive, in pieces; return the digests of what was written."""
    key = stream.new_key()
    with stream.Sealing(folder / SEALED, key, bound) as sealing:
        if copy.is_dir():
            with tarfile.open(fileobj=sealing, mode="w|") as archive:
                archive.add(copy, arcname=".")
        else:
            with copy.open("rb") as file:
                shutil.copyfileobj(file, sealing, _PIECE)
    stream.prove(folder / SEALED, key, bound)
    files.new_file(folder / KEY, recipients.seal(key, to))
    return {name: files.sha256(folder / name) for name in (SEALED, KEY)}


async def _note(conn: AsyncConnection, made: Manifest, principal: Principal) -> None:
    log = await Log.open(conn, None, [_CHAIN])
    log.record(_CHAIN, Fact.HUB_BACKED_UP, principal.actor(), OPERATOR, backup_at=made.made_at, manifest=made.digest)
    await log.flush()


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database that others write to, as of one instant, and bring the copy to disk; mode 0600."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    reading_from = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
    try:
        writing = sqlite3.connect(target)
        try:
            # In one step: it reads one snapshot of the write-ahead log, and no writer waits for it.
            reading_from.backup(writing, pages=-1)
        finally:
            writing.close()
    finally:
        reading_from.close()
    _one_file(target)


async def prove_sqlite(path: Path) -> tuple[str, int, int]:
    """Check a copy's pages and recompute its audit; return heads, entries and chains. Raises ``BackupUnfit``.

    The copy is opened as the hub opens it: give it a copy of its own, never the backup itself.
    """
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        said = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    except sqlite3.DatabaseError:
        said = ["no database"]
    finally:
        connection.close()
    if said != ["ok"]:
        raise BackupUnfit(f"{path.name} is damaged")
    database = Database(f"sqlite+aiosqlite:///{path}")
    try:
        async with database.read(db.HUB) as conn:
            found = await proved(conn)
    finally:
        await database.close()
    await asyncio.to_thread(_one_file, path)
    return found


def _one_file(path: Path) -> None:
    # Whoever opens it for the hub turns the write-ahead log on; a backup is one file and nothing beside it.
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
    finally:
        connection.close()
    with path.open("rb") as file:
        os.fsync(file.fileno())


async def proved(conn: AsyncConnection) -> tuple[str, int, int]:
    """Recompute the audit; return heads, entries and chains. Raises ``BackupUnfit`` for a chain that does not hold."""
    verdict = await audit.verify(conn)
    if verdict.findings:
        first = verdict.findings[0]
        raise BackupUnfit(f"the audit does not hold: {first.kind} {first.chain} {first.sequence}")
    heads, _, _ = await reading(conn)
    return heads, verdict.entries, verdict.chains


async def reading(conn: AsyncConnection) -> tuple[str, int, int]:
    """Return the digest of all chains' heads, how many facts they have and how many chains there are."""
    digest, entries, chains = hashlib.sha256(), 0, 0
    rows = await conn.stream(sa.select(_HEADS).order_by(_HEADS.c.chain))
    async for row in rows:
        digest.update(f"{row.chain} {row.sequence} {row.hash.hex()}\n".encode())
        entries += row.sequence
        chains += bool(row.sequence)
    return digest.hexdigest(), entries, chains


def _base_backup(url: str, target: Path) -> None:
    login = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    # The password goes by the environment: a list of processes shows arguments to everybody.
    parsed = sa.make_url(login)
    plain = parsed.set(password=None).render_as_string()
    env = {**os.environ, **({"PGPASSWORD": str(parsed.password)} if parsed.password else {})}
    program(
        "pg_basebackup",
        *("--pgdata", str(target), "--wal-method", "stream", "--checkpoint", "fast"),
        *("--manifest-checksums", "SHA256", "--dbname", plain),
        env=env,
    )
    program("pg_verifybackup", str(target))


def program(name: str, *arguments: str, env: dict[str, str] | None = None) -> None:
    """Run one of PostgreSQL's own programs. Raises ``BackupUnfit`` where it is missing or fails."""
    found = shutil.which(name) or _newest(name)
    if found is None:
        raise BackupUnfit(f"{name} is not installed: it comes with PostgreSQL's server")
    done = subprocess.run([found, *arguments], env=env, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BackupUnfit(f"{name} failed: {last}")


def _newest(name: str) -> str | None:
    # Debian keeps the server's programs out of the search path, one folder a version.
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    found = sorted((path for path in folders if (path / name).exists()), key=lambda path: int(path.parent.name))
    return str(found[-1] / name) if found else None
