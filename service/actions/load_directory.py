"""The shipped directory is laid into the hub's tables: what is new is added, what somebody enrolled is left alone."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db, directory
from service.actions import changes
from service.actions.changes import Change
from service.engine import order_keys
from service.engine.hub import OPERATOR, Hub
from service.models import Alias, CalendarDay, Participant, Unit, table_of
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows.terms import Sector

_PARTICIPANTS = table_of(Participant)
_ALIASES = table_of(Alias)
_UNITS = table_of(Unit)
_DAYS = table_of(CalendarDay)

# They are there from the start: the one runs the hub, the others are called by the ladder.
_ACTIVE_FROM_THE_START = frozenset({Sector.HUB, Sector.SUPERVISOR})


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many rows of each kind were written, new ones and changed ones; all 0 when nothing was new."""

    participants: int
    aliases: int
    units: int
    calendar_days: int


async def load(hub: Hub, principal: Principal) -> Loaded:
    """Load the shipped directory; loading it again changes nothing.

    A participant keeps its status, and once it is not merely listed everything else too: the operator confirmed it.
    An alias or a day that is there already stays as it is.
    """
    principal.require(Scope.REGISTRY_WRITE)

    async def work(change: Change) -> Loaded:
        loaded = await _load(change)
        # Now the operator is there, who owns the keys under the orders.
        await order_keys.register(change.conn, hub)
        return loaded

    return await changes.run(hub, principal, OPERATOR, work)


async def _load(change: Change) -> Loaded:
    conn = change.conn
    units = await _lay(conn, _UNITS, (dataclasses.asdict(row) for row in directory.units()), key="code")
    participants = await _lay(conn, _PARTICIPANTS, _participants(change), key="id", only_listed=True)
    known = {
        (row.participant_id, row.scheme, row.value)
        for row in await conn.execute(sa.select(_ALIASES.c.participant_id, _ALIASES.c.scheme, _ALIASES.c.value))
    }
    aliases = [
        dataclasses.asdict(row)
        for row in directory.aliases()
        if (row.participant_id, row.scheme, row.value) not in known
    ]
    await db.insert_rows(conn, _ALIASES, aliases)
    set_already = set((await conn.execute(sa.select(_DAYS.c.day))).scalars())
    days = [
        {"day": day, "kind": kind}
        for kind, shipped in (("holiday", directory.holidays()), ("workday", directory.workdays()))
        for day in sorted(shipped - set_already)
    ]
    await db.insert_rows(conn, _DAYS, days)
    loaded = Loaded(participants, len(aliases), units, len(days))
    if loaded != Loaded(0, 0, 0, 0):
        change.note("directory.loaded", **dataclasses.asdict(loaded))
    return loaded


def _participants(change: Change) -> Iterable[dict[str, Any]]:
    for row in directory.participants():
        status = "active" if row.sector in _ACTIVE_FROM_THE_START else "listed"
        yield {**dataclasses.asdict(row), "status": status, "created_at": change.at}


async def _lay(
    conn: AsyncConnection,
    table: sa.Table,
    shipped: Iterable[Mapping[str, Any]],
    *,
    key: str,
    only_listed: bool = False,
) -> int:
    """Insert the rows that are missing by one statement, change those that differ, and return how many both are."""
    present = {row._mapping[key]: row._mapping for row in await conn.execute(sa.select(table))}
    new, changed = [], []
    for row in shipped:
        old = present.get(row[key])
        if old is None:
            new.append(row)
        elif not only_listed or old["status"] == "listed":
            edits = {name: value for name, value in row.items() if name not in ("status", "created_at")}
            if any(old[name] != value for name, value in edits.items()):
                changed.append({f"to_{name}": value for name, value in edits.items()})
    await db.insert_rows(conn, table, new)
    if changed:
        names = [name.removeprefix("to_") for name in changed[0]]
        update = sa.update(table).where(table.c[key] == sa.bindparam(f"to_{key}"))
        values = {name: sa.bindparam(f"to_{name}", type_=table.c[name].type) for name in names if name != key}
        await conn.execute(update.values(values), changed)
    return len(new) + len(changed)
