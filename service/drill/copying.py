"""Copies who takes part from the real hub's database into a drill's: no case, no target, no secret, no live address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db, migrations
from service.db import Database
from service.engine import drills, order_keys
from service.engine.hub import Hub
from service.models import (
    Alias,
    CalendarDay,
    Endpoint,
    EndpointProposal,
    Installation,
    Officer,
    Participant,
    Policy,
    PublicKey,
    TimeLimit,
    Unit,
    table_of,
)
from service.models.subject_key import KeyOwner
from service.vault import subjects
from workflows.terms import ProposalState

_PARTICIPANTS, _ENDPOINTS, _PROPOSALS = table_of(Participant), table_of(Endpoint), table_of(EndpointProposal)
_OFFICERS, _KEYS = table_of(Officer), table_of(PublicKey)
# What holds neither a person nor a secret, in the order in which rows refer to each other.
_PLAIN = tuple(table_of(model) for model in (Unit, Alias, CalendarDay, TimeLimit, Policy))
_SELF_REFERRING = ("supervisor_id", "parent_id")
# In the place of who set a limit or a policy at the real hub.
_SET_BY = "drill"

Row = Mapping[str, Any]


class NotFresh(Exception):
    """The drill's database has members already: a drill is prepared once, into a database of its own."""


@dataclass(frozen=True, slots=True)
class Directory:
    """What was read from the real hub: rows by table, and the digests of the URLs at which members receive."""

    participants: Sequence[Row]
    plain: Mapping[str, Sequence[Row]]
    officers: Sequence[Row]
    keys: Sequence[Row]
    live: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Copied:
    """How many members, officers and public keys of officers the drill has now."""

    participants: int
    officers: int
    keys: int


async def read(real: Database) -> Directory:
    """Read the directory of the real hub; nothing sealed is read, so that no key of the real hub is needed.

    Raises ``SchemaMismatch`` for a hub of another build and ``WrongKind`` for a drill's database.
    """
    await migrations.check(real)
    async with real.read(db.HUB) as conn:
        now = await db.now(conn)
        participants = await _rows(conn, sa.select(_PARTICIPANTS))
        plain = {table.name: [_without_person(row) for row in await _rows(conn, sa.select(table))] for table in _PLAIN}
        columns = [column for column in _OFFICERS.c if column.name != "name_sealed"]
        officers = await _rows(conn, sa.select(*columns).where(_OFFICERS.c.active, _OFFICERS.c.left_at.is_(None)))
        # Public halves alone: a signature names its hub, so that an officer practises with the key that he has
        # (ADR 0025). A passkey knows the real hub's pages and no others.
        public = sa.select(_KEYS).where(
            _KEYS.c.owner_kind == "officer",
            _KEYS.c.purpose == "signature",
            _KEYS.c.revoked_at.is_(None),
            _KEYS.c.not_after > now,
        )
        keys = await _rows(conn, public)
        # Mailboxes are sealed and stay unread. What is proposed may be in force by the time of the drill.
        registered = sa.select(_ENDPOINTS.c.url).where(_ENDPOINTS.c.url != "")
        wanted = sa.select(_PROPOSALS.c.url).where(_PROPOSALS.c.state == ProposalState.PROPOSED)
        urls = (await conn.execute(registered.union(wanted))).scalars().all()
    known = {row["id"] for row in officers}
    return Directory(
        participants,
        plain,
        officers,
        [row for row in keys if row["owner_id"] in known],
        tuple(sorted(set(map(drills.digest, urls)))),
    )


async def write(hub: Hub, found: Directory) -> Copied:
    """Write a directory into a drill's fresh database, all or nothing. Raises ``NotFresh``.

    Officers come with rank, number and powers; in the place of the name stands the number: an exercise needs no name.
    The id stays what it is, because requests and signatures name it beside the key that the officer has.
    """

    async def unit(conn: AsyncConnection) -> None:
        if (await conn.execute(sa.select(_PARTICIPANTS.c.id).limit(1))).first() is not None:
            raise NotFresh
        # Numbers at which a hub calls real desks back stay behind.
        members = [{**row, "duty_phone": None} for row in found.participants]
        await db.insert_rows(conn, _PARTICIPANTS, [row | dict.fromkeys(_SELF_REFERRING) for row in members])
        for row in members:
            above = {name: row[name] for name in _SELF_REFERRING if row[name] is not None}
            if above:
                here = sa.update(_PARTICIPANTS).where(_PARTICIPANTS.c.id == row["id"])
                await conn.execute(here.values(**above))
        for table in _PLAIN:
            await db.insert_rows(conn, table, found.plain[table.name])
        for officer in found.officers:
            key = await subjects.of_subject(conn, hub.vault, officer["tenant"], KeyOwner.OFFICER, officer["id"])
            sealed = hub.vault.seal(key, "officers", officer["id"], officer["number"])
            await db.insert_rows(conn, _OFFICERS, [{**officer, "name_sealed": sealed}])
        await db.insert_rows(conn, _KEYS, found.keys)
        await order_keys.register(conn, hub)

    await hub.database.write(unit, db.HUB)
    hub.registry.forget()
    return Copied(len(found.participants), len(found.officers), len(found.keys))


async def guard(owner_url: str, live: Sequence[str]) -> None:
    """Let the drill know the live addresses by their digests, as the owner of its tables: none is registered there."""
    owner = Database(owner_url, pool=2)
    try:
        known = sa.update(table_of(Installation)).values(live_sha256=sorted(set(live)))
        await owner.write(lambda conn: conn.execute(known), db.HUB)
    finally:
        await owner.close()


def _without_person(row: Row) -> Row:
    return {**row, "created_by": _SET_BY} if "created_by" in row else row


async def _rows(conn: AsyncConnection, query: sa.Select[Any]) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in (await conn.execute(query)).all()]
