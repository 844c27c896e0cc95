"""Months of facts go from the database to archives: written, read back, signed, and only then dropped (ADR 0053)."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, canonical_json, clock, db, files, outages
from service.audit import Log, Verdict
from service.db import Database
from service.engine import retaining
from service.engine.hub import OPERATOR, Hub
from service.models import AuditEntry, FactArchive, FactRun, PublicKey, SubjectKey, table_of
from service.security import archived, keyring, signatures
from service.security.archived import ArchiveUnfit
from service.security.principals import Principal
from service.security.signatures import Kind
from workflows.record_terms import RecordKind
from workflows.retention import Term
from workflows.terms import Fact

_ENTRIES = table_of(AuditEntry)
_ARCHIVES = table_of(FactArchive)
_RUNS = table_of(FactRun)
_KEYS = table_of(SubjectKey)
_PUBLIC = table_of(PublicKey)
_CHAIN = audit.tenant_chain(OPERATOR)
_BATCH = 1_000
_MONTH = Term(months=1)
_ON_DISK = sa.text("SELECT pg_total_relation_size(to_regclass(:part))")
_DROP = sa.text("SELECT hoatoc_drop_month(CAST(:first AS date), :entries)")
_PARTS = sa.text(
    "SELECT replace(right(relname, 7), '_', '-') FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid"
    " WHERE inhparent = 'audit_entries'::regclass AND relname ~ '[0-9]{4}_[0-9]{2}$'"
)


@dataclass(frozen=True, slots=True)
class Month:
    """A month that is old enough: how much is in it, and how many requests that were not erased keep it here."""

    month: str
    entries: int
    size: int
    waits_for: int

    @property
    def may_go(self) -> bool:
        """Tell whether nothing keeps it in the database."""
        return not self.waits_for


@dataclass(frozen=True, slots=True)
class Archived:
    """A month that is in an archive now; ``dropped`` is whether it left the database."""

    month: str
    entries: int
    file_sha256: str
    manifest_sha256: str
    dropped: bool


async def months(hub: Hub) -> list[Month]:
    """Return the months that are older than the retention table's term for facts and still in the database.

    A month stays as long as one request that it tells of was not erased: it is open, its evidence may be asked for,
    or a court needs it.
    """
    keep = (await retaining.in_force(hub))[RecordKind.FACT]
    async with hub.database.read(db.HUB) as conn:
        now = await db.now(conn)
        is_gone = _ARCHIVES.c.dropped_at.is_not(None)
        gone = set((await conn.execute(sa.select(_ARCHIVES.c.month).where(is_gone))).scalars())
        if conn.dialect.name == "postgresql":
            there = set((await conn.execute(_PARTS)).scalars())
        else:
            gone |= set((await conn.execute(sa.select(_ARCHIVES.c.month))).scalars())
            there = set((await conn.execute(sa.select(sa.func.strftime("%Y-%m", _ENTRIES.c.at)).distinct())).scalars())
        old = [month for month in sorted(there - gone) if keep.after(bounds(month)[1]) <= now]
        return [found for month in old if (found := await _month(conn, month)).entries]


async def archive(hub: Hub, folder: Path, principal: Principal) -> list[Archived]:
    """Bring every month that may go into ``folder``; drop it from PostgreSQL once its file was read back whole.

    An embedded database has one table, and keeps its rows. Raises ``ArchiveUnfit``, where a month does not hold or
    does not leave, and ``KeyUnfit``; what was archived until then stays so, and the same call goes on from there.
    """
    async with hub.database.read(db.HUB) as conn:
        verdict = await audit.verify(conn)
    if verdict.findings:
        first = verdict.findings[0]
        raise ArchiveUnfit(f"the audit does not hold: {first.kind} {first.chain} {first.sequence}")
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
    # The hub's own login neither drops a month nor says that one was: that is the owner's of the tables.
    owner = Database(hub.settings.owner_url, pool=1)
    try:
        return [await _archive(hub, owner, folder, each.month, principal) for each in await months(hub) if each.may_go]
    except DBAPIError as error:
        raise ArchiveUnfit(_told(error)) from None
    finally:
        await owner.close()


async def verify(hub: Hub, folder: Path | None = None) -> tuple[Verdict, dict[str, str | None]]:
    """Verify all chains, each archive's seal, and the files in ``folder``.

    Returns the verdict, and of each month that is away why its facts were not recomputed: None where they were.
    """
    async with hub.database.read(db.HUB) as conn:
        verdict = await audit.verify(conn)
        dropped = sa.select(_ARCHIVES).where(_ARCHIVES.c.dropped_at.is_not(None)).order_by(_ARCHIVES.c.month)
        rows = (await conn.execute(dropped)).all()
        keys = await _hub_keys(conn)
    findings, told = list(verdict.findings), {}
    for row in rows:
        manifest = archived.read(row.manifest)
        try:
            archived.verify_seal(manifest, keys)
        except ArchiveUnfit:
            findings.append(audit.Finding(f"archive:{row.month}", row.entries, "edited"))
        told[row.month] = "missing" if folder is None else await asyncio.to_thread(_file, folder, manifest)
    return Verdict(verdict.entries, verdict.chains, tuple(findings), verdict.away), told


def bounds(month: str) -> tuple[datetime, datetime]:
    """Return the first instant of a month, written 2026-11, and that of the next one."""
    first = datetime.strptime(f"{month}-01", "%Y-%m-%d").replace(tzinfo=UTC)
    return first, _MONTH.after(first)


def _file(folder: Path, manifest: Mapping[str, Any]) -> str | None:
    if not archived.file_of(folder, manifest["month"]).is_file():
        return "missing"
    try:
        archived.verify_file(folder, manifest)
    except ArchiveUnfit as unfit:
        return str(unfit)
    return None


async def _month(conn: AsyncConnection, month: str) -> Month:
    first, following = bounds(month)
    within = sa.and_(_ENTRIES.c.at >= first, _ENTRIES.c.at < following)
    text = sa.func.length(_ENTRIES.c.data) + sa.func.length(_ENTRIES.c.chain)
    entries, size = (await conn.execute(sa.select(sa.func.count(), sa.func.sum(text)).where(within))).one()
    if conn.dialect.name == "postgresql":
        size = (await conn.execute(_ON_DISK, {"part": f"audit_entries_{month.replace('-', '_')}"})).scalar_one()
    erased = sa.exists().where(_KEYS.c.id == _ENTRIES.c.request_id, _KEYS.c.destroyed_at.is_not(None))
    kept = sa.select(sa.func.count(_ENTRIES.c.request_id.distinct())).where(within, ~erased)
    return Month(month, entries, size or 0, (await conn.execute(kept)).scalar_one())


async def _archive(hub: Hub, owner: Database, folder: Path, month: str, principal: Principal) -> Archived:
    async with hub.database.read(db.HUB) as conn:
        known = (await conn.execute(sa.select(_ARCHIVES).where(_ARCHIVES.c.month == month))).one_or_none()
    if known is None:
        text = await _write(hub, folder, month)
        await owner.write(lambda conn: _note(conn, text, principal), db.HUB)
    else:
        # It was archived and did not leave: its file is what was promised to be there.
        text = known.manifest
        await asyncio.to_thread(archived.verify_file, folder, archived.read(text))
    manifest = archived.read(text)
    if hub.database.dialect == "postgresql":
        await owner.write(lambda conn: _drop(conn, folder, manifest), db.HUB)
    dropped = hub.database.dialect == "postgresql"
    return Archived(month, manifest["entries"], manifest["file_sha256"], _digest(text), dropped)


async def _write(hub: Hub, folder: Path, month: str) -> str:
    """Write a month's file and manifest, read the file back, and return the manifest's text."""
    path = archived.file_of(folder, month)
    if path.exists():
        raise ArchiveUnfit(f"{path} exists, and this database knows of no such archive: move it away, and keep it")
    made: list[Path] = []
    try:
        async with hub.database.read(db.HUB) as conn:
            now = await db.now(conn)
            made.append(path)
            entries = await archived.write(path, _rows(conn, month))
        found = await asyncio.to_thread(archived.contents, path)
        if found.entries != entries:
            raise ArchiveUnfit(f"{path.name} was not written whole")
        key = keyring.in_force(hub.order_keys, now)
        said: dict[str, Any] = {
            "format": archived.FORMAT,
            "hub": hub.settings.address,
            "month": month,
            "archived_at": clock.written(now),
            "entries": found.entries,
            "runs": found.runs,
            "runs_sha256": found.runs_sha256,
            "file": path.name,
            "file_sha256": files.sha256(path),
            "key": key.public_jwk(),
        }
        said["seal"] = signatures.sign(
            key.private, key.kid, Kind.ARCHIVE, canonical_json.dumps(said), at=now, about=month
        )
        text = json.dumps(said, indent=1) + "\n"
        made.append(archived.manifest_of(folder, month))
        files.new_file(made[-1], text.encode())
        archived.verify_seal(archived.read(text), archived.own_key(said))
    except BaseException:
        for each in made:
            each.unlink(missing_ok=True)
        raise
    files.sync_folder(folder)
    return text


async def _rows(conn: AsyncConnection, month: str) -> AsyncIterator[Any]:
    await outages.take_time(conn)
    first, following = bounds(month)
    # By bytes, so that the runs' digest does not hang on a locale.
    chain = sa.collate(_ENTRIES.c.chain, "C") if conn.dialect.name == "postgresql" else _ENTRIES.c.chain
    query = sa.select(_ENTRIES).where(_ENTRIES.c.at >= first, _ENTRIES.c.at < following)
    async for row in await conn.stream(query.order_by(chain, _ENTRIES.c.sequence)):
        yield row._mapping


async def _note(conn: AsyncConnection, text: str, principal: Principal) -> None:
    """Write that a month is in an archive, and the fact of it, before anything of it is dropped."""
    log = await Log.open(conn, None, [_CHAIN])
    manifest = archived.read(text)
    row = {
        "month": manifest["month"],
        "entries": manifest["entries"],
        "manifest": text,
        "archived_by": principal.client_id,
        "archived_at": log.at,
    }
    await conn.execute(sa.insert(_ARCHIVES).values(row))
    about = {"month": manifest["month"], "entries": manifest["entries"], "manifest": _digest(text)}
    log.record(_CHAIN, Fact.FACTS_ARCHIVED, principal.actor(), OPERATOR, **about)
    await log.flush()


async def _drop(conn: AsyncConnection, folder: Path, manifest: Mapping[str, Any]) -> None:
    """Put a month's runs in its place, all or nothing; what others wait for is locked last, and shortly."""
    await outages.take_time(conn)
    month = manifest["month"]
    dropped = {"dropped_at": await db.now(conn)}
    await conn.execute(sa.update(_ARCHIVES).where(_ARCHIVES.c.month == month).values(dropped))
    found = archived.runs(archived.file_of(folder, month))
    while batch := list(islice(found, _BATCH)):
        rows = [{name: getattr(run, name) for name in run.__slots__} | {"month": month} for run in batch]
        await db.insert_rows(conn, _RUNS, rows)
    await conn.execute(_DROP, {"first": bounds(month)[0].date(), "entries": manifest["entries"]})


async def _hub_keys(conn: AsyncConnection) -> dict[str, ec.EllipticCurvePublicKey]:
    query = sa.select(_PUBLIC.c.jwk).where(_PUBLIC.c.owner_kind == "hub", _PUBLIC.c.purpose == "signature")
    return archived.keys_of(list((await conn.execute(query)).scalars()))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _told(error: DBAPIError) -> str:
    state = getattr(error.orig, "sqlstate", None)
    if state == "42501":
        return "the login owns no tables: HOATOC_MIGRATION_URL names the one that does"
    if state == "55P03":
        return "somebody reads the facts for long: nothing of that month was dropped; try again later"
    if state == "23514":
        return "the database has other facts of that month than its archive: nothing was dropped"
    return f"the database refuses: {type(error.orig).__name__}"
