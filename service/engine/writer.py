"""Every change goes through here: single-use identifiers are spent and the unit's rows written in one transaction."""

import asyncio
from collections.abc import Collection, Sequence
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.audit import Log
from service.db import Database, Reach, Unit
from service.engine.doorbell import Doorbell
from service.models import SpentIdentifier, table_of
from service.security.single_use import SingleUse

__all__ = ["CallWriter", "IdentifierSpent", "SingleUse", "Writer", "lock", "spend"]

T = TypeVar("T")
_SPENT = table_of(SpentIdentifier)
# It waits for a transaction that is spending the same identifier, and then finds it spent.
_SPENDING = {
    dialect: insert(_SPENT).on_conflict_do_nothing().returning(sa.literal(1))
    for dialect, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}


class IdentifierSpent(Exception):
    """A single-use identifier was used before; the whole unit is undone."""


class Writer:
    """Runs units of change; ``wake`` is set after each commit, so that delivery and firing look at once.

    ``doorbell`` is for those who wait at their inboxes. On SQLite, which this process alone writes to, each commit
    rings it; on PostgreSQL the commits themselves do, whichever node they are made by.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.wake = asyncio.Event()
        self.doorbell = Doorbell()

    async def run(self, unit: Unit[T], singles: Sequence[SingleUse] = (), *, reach: Reach) -> T:
        """Run ``unit`` in one transaction within ``reach`` and return its result after the commit.

        Raises ``IdentifierSpent`` before the unit runs when one of ``singles`` was used before.
        """

        async def whole(conn: AsyncConnection) -> T:
            await spend(conn, singles)
            return await unit(conn)

        result = await self._database.write(whole, reach)
        self.wake.set()
        if self._database.dialect == "sqlite":
            self.doorbell.ring_all()
        return result

    def over(self, database: Database) -> "Writer":
        """Return a writer that runs its units over other connections; whoever waits for either is woken by both."""
        made = Writer(database)
        made.wake, made.doorbell = self.wake, self.doorbell
        return made

    def for_call(self) -> "CallWriter":
        """Return a writer for one call at a door: what the call owes is spent with its first change."""
        return CallWriter(self._database, self)


class CallWriter(Writer):
    """Writes for one call; the proof that came with the call is spent in the transaction of the call's effect."""

    def __init__(self, database: Database, whole: Writer) -> None:
        super().__init__(database)
        self.wake, self.doorbell = whole.wake, whole.doorbell
        self._owed: list[SingleUse] = []

    def owe(self, single: SingleUse) -> None:
        """Spend this with the next unit that is committed, once."""
        self._owed.append(single)

    async def run(self, unit: Unit[T], singles: Sequence[SingleUse] = (), *, reach: Reach) -> T:
        """Run ``unit`` as ``Writer.run`` does, and spend what the call owes with it; undone, it is owed still."""
        owed = tuple(self._owed)
        result = await super().run(unit, (*owed, *singles), reach=reach)
        self._owed = [single for single in self._owed if single not in owed]
        return result

    async def settle(self) -> None:
        """Spend what is still owed, in a transaction of its own. Raises ``IdentifierSpent``."""
        if self._owed:
            await self.run(_nothing, reach=db.NOBODY)


async def lock(conn: AsyncConnection, chains: Collection[str]) -> Log:
    """Lock the chains and return the log of this transaction.

    Its instant is read after the wait: facts of one chain never run backwards, and whoever came second sees that a
    term was over although it had not been when the waiting began.
    """
    return await Log.open(conn, None, chains)


async def spend(conn: AsyncConnection, identifiers: Sequence[SingleUse]) -> None:
    """Spend identifiers in the transaction of ``conn``. Raises ``IdentifierSpent`` for one that was used before."""
    for single in identifiers:
        done = await conn.execute(_SPENDING[conn.dialect.name], single.row())
        if done.first() is None:
            raise IdentifierSpent(single.issuer)


async def _nothing(_conn: AsyncConnection) -> None:
    """A unit without a change of its own."""
