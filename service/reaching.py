"""Whose rows a transaction reaches on PostgreSQL: said in the very message that begins it, instead of behind it."""

from dataclasses import dataclass
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

_BEGIN = "BEGIN;"
# True: for this transaction only. Left on the connection, it would reach into whoever's call gets it next.
_REACH = sa.text("SELECT set_config('hoatoc.reach', :kind, true), set_config('hoatoc.tenant', :tenant, true)")


@dataclass(frozen=True, slots=True)
class Reach:
    """Whose rows a transaction reaches on PostgreSQL, whatever its statements ask for (ADR 0026).

    ``kind`` is ``tenant`` (rows of ``tenant`` and those addressed to it), ``hub`` (all rows) or ``nobody`` (none).
    SQLite knows no such thing: there the conditions of ``queries/visibility`` stand alone.
    """

    kind: str
    tenant: str = ""

    @classmethod
    def of(cls, tenant: str) -> "Reach":
        """Reach the rows of one member of the network."""
        return cls("tenant", tenant)


HUB = Reach("hub")
NOBODY = Reach("nobody")


class Driver(asyncpg.Connection):  # type: ignore[misc]
    """The driver's connection, whose next transaction begins within a reach."""

    __slots__ = ("_next",)

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._next: Reach | None = None

    def begin_within(self, reach: Reach | None) -> None:
        """Let the next transaction begin within ``reach``; None takes back what was said and not used."""
        self._next = reach

    async def execute(self, query: str, *args: Any, **named: Any) -> str:
        """Execute as the driver does; where a transaction begins, say whose rows it reaches with it."""
        if query == _BEGIN and self._next is not None:
            kind, tenant = _quoted(self._next.kind), _quoted(self._next.tenant)
            query = f"{_BEGIN} SET LOCAL hoatoc.reach = {kind}; SET LOCAL hoatoc.tenant = {tenant}"
            self._next = None
        said: str = await super().execute(query, *args, **named)
        return said


def attend(engine: sa.Engine) -> None:
    """Let no connection of a PostgreSQL pool keep a reach that was said for a transaction which never began."""

    @sa.event.listens_for(engine, "checkin")
    def on_checkin(connection: Any, _record: object) -> None:
        if connection is not None:
            connection.driver_connection.begin_within(None)


async def begin(conn: AsyncConnection, reach: Reach) -> None:
    """Let the transaction of a connection that was just given out begin within ``reach``.

    Nothing is sent yet. Should the driver begin in other words, nothing is reached at all: without a reach there are no
    rows.
    """
    if conn.dialect.name == "postgresql":
        driver: Any = (await conn.get_raw_connection()).driver_connection
        driver.begin_within(reach)


async def extend(conn: AsyncConnection, reach: Reach) -> None:
    """Change whose rows the rest of this transaction reaches.

    A unit starts with the caller's own reach. It is extended to ``HUB`` where the consequences begin (orders at other
    members, holds of other agencies that overlap), after all that the caller named was found within its own.
    """
    if conn.dialect.name == "postgresql":
        await conn.execute(_REACH, {"kind": reach.kind, "tenant": reach.tenant})


def _quoted(text: str) -> str:
    # What a member is called has no such letters; whoever finds a way to call it otherwise gets no further by it.
    return "'" + text.replace("'", "''") + "'"
