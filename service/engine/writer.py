"""Every change goes through here: single-use identifiers are spent and the unit's rows written in one transaction."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.audit import Log
from service.db import Database, Unit
from service.models import SpentIdentifier, table_of

T = TypeVar("T")
_SPENT = table_of(SpentIdentifier)


class IdentifierSpent(Exception):
    """A single-use identifier was used before; the whole unit is undone."""


@dataclass(frozen=True, slots=True)
class SingleUse:
    """A token's ``jti``: it may have one effect, on any node, until it expires."""

    issuer: str
    identifier: str
    expires_at: datetime


class Writer:
    """Runs units of change; ``wake`` is set after each commit, so that delivery and firing look at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.wake = asyncio.Event()

    async def run(self, unit: Unit[T], spend: Sequence[SingleUse] = ()) -> T:
        """Run ``unit`` in one transaction and return its result after the commit.

        Raises ``IdentifierSpent`` before the unit runs when one of ``spend`` was used before.
        """

        async def whole(conn: AsyncConnection) -> T:
            await _spend(conn, spend)
            return await unit(conn)

        result = await self._database.write(whole)
        self.wake.set()
        return result


async def lock(conn: AsyncConnection, chains: Collection[str]) -> Log:
    """Lock the chains and return the log of this transaction.

    Its instant is read after the wait: facts of one chain never run backwards, and whoever came second sees that a
    term was over although it had not been when the waiting began.
    """
    log = await Log.open(conn, await db.now(conn), chains)
    log.at = await db.now(conn)
    return log


async def _spend(conn: AsyncConnection, identifiers: Sequence[SingleUse]) -> None:
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    for single in identifiers:
        statement = insert(_SPENT).values(
            issuer=single.issuer, identifier=single.identifier, expires_at=single.expires_at
        )
        done = await conn.execute(statement.on_conflict_do_nothing().returning(sa.literal(1)))
        if done.first() is None:
            raise IdentifierSpent(single.issuer)
