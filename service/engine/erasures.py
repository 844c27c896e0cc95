"""The ledger of erasures: kept beside the database as well, so that a backup from before does not undo them."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa

from service import clock, db, log
from service.engine import erasing
from service.engine.erasing import Decided
from service.engine.hub import Hub
from service.models import Erasure, table_of

_ERASURES = table_of(Erasure)
FILE = "erasures.jsonl"
_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """One erasure that was carried out: which request, on whose decision, by whom; nothing about those concerned."""

    request_id: UUID
    tenant: str
    decision: str
    asked_by: str
    asked_at: datetime
    confirmed_by: str
    erased_at: datetime

    def line(self) -> str:
        """Return the entry as one line of JSON."""
        instants = {"asked_at": clock.written(self.asked_at), "erased_at": clock.written(self.erased_at)}
        names = {"tenant": self.tenant, "decision": self.decision}
        people = {"asked_by": self.asked_by, "confirmed_by": self.confirmed_by}
        return json.dumps({"request_id": str(self.request_id), **names, **people, **instants}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Reapplied:
    """What became of each entry: erased (again), erased already, unknown here, or not possible yet."""

    erased: tuple[UUID, ...]
    already: tuple[UUID, ...]
    unknown: tuple[UUID, ...]
    left: tuple[UUID, ...]


def read(text: str) -> list[Entry]:
    """Read a ledger, one JSON object a line. Raises ValueError for what is none."""
    entries = []
    for line in filter(str.strip, text.splitlines()):
        try:
            said = json.loads(line)
            asked, erased = (datetime.fromisoformat(said.pop(name)) for name in ("asked_at", "erased_at"))
            entries.append(Entry(UUID(said.pop("request_id")), **said, asked_at=asked, erased_at=erased))
        except (KeyError, TypeError, AttributeError) as wrong:
            raise ValueError(f"no entry of a ledger: {wrong}") from None
    return entries


async def ledger(hub: Hub) -> list[Entry]:
    """Return what was erased according to this database and to the file beside it, oldest first."""
    query = sa.select(_ERASURES).where(_ERASURES.c.erased_at.is_not(None))
    async with hub.database.read(db.HUB) as conn:
        rows = (await conn.execute(query)).all()
    path = _path(hub)
    found = {entry.request_id: entry for entry in (read(path.read_text("utf-8")) if path.exists() else [])}
    found |= {row.request_id: Entry(**row._mapping) for row in rows}
    return sorted(found.values(), key=lambda entry: entry.erased_at)


async def keep(hub: Hub, more: Iterable[Entry] = ()) -> Path:
    """Write the ledger beside the database, whole, and return the file; to be copied to wherever restores are made.

    ``more`` are entries that only another copy of it knows: they stay known here until they are carried out.
    """
    path = _path(hub)
    made = path.with_name(f".{FILE}.{os.getpid()}")
    known = {entry.request_id: entry for entry in (*more, *await ledger(hub))}
    text = "".join(f"{entry.line()}\n" for entry in sorted(known.values(), key=lambda entry: entry.erased_at))
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
    return path


async def wipe(hub: Hub) -> None:
    """Take what was erased out of the database's files; what a reader keeps there is told, and goes within the hour."""
    if not await hub.database.wipe(hub.settings.owner_url):
        _log.warning("erasure.copies_left")


async def reapply(hub: Hub, entries: Iterable[Entry]) -> Reapplied:
    """Erase again what was erased before a restored backup was made; to be run before the hub starts.

    A request that the backup shows as not ended, or with something to send, is ``left``: it is settled by hand first
    and the ledger run once more. Wipes the database's files at the end.
    """
    entries = tuple(entries)
    # First of all: what cannot be erased yet must not be forgotten, or a release would not ask about it.
    await keep(hub, entries)
    done: dict[str, list[UUID]] = {"erased": [], "already": [], "unknown": [], "left": []}
    for entry in entries:
        done[await _again(hub, entry)].append(entry.request_id)
    if done["erased"]:
        await wipe(hub)
    await keep(hub)
    return Reapplied(**{name: tuple(ids) for name, ids in done.items()})


async def _again(hub: Hub, entry: Entry) -> str:
    async with hub.database.read(db.HUB) as conn:
        ids = await erasing.family(conn, entry.request_id)
        if not ids:
            return "unknown"
        if await erasing.is_erased(conn, ids):
            return "already"
    why = Decided(entry.decision, entry.asked_by, entry.asked_at, entry.confirmed_by)
    return "erased" if await erasing.run(hub, entry.request_id, hub.actor, why) else "left"


def _path(hub: Hub) -> Path:
    return hub.settings.data_dir / FILE
