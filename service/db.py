"""The database: one write transaction or one read at a time, on SQLite or PostgreSQL; the only place that commits."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlmodel.sql.sqltypes import UTCDateTime

from service import clock, embedded, inserting, metrics, outages, reaching, standby
from service.inserting import Rows
from service.reaching import HUB, NOBODY, Reach, extend

__all__ = [
    "HUB",
    "NOBODY",
    "Database",
    "Reach",
    "Rows",
    "extend",
    "insert_all",
    "insert_rows",
    "notify",
    "now",
    "refused_as",
]

T = TypeVar("T")
Unit = Callable[[AsyncConnection], Awaitable[T]]

_ATTEMPTS = 5
# PROMISES 8.6: where no standby answers, a write waits so long, and is then not acknowledged.
COMMIT_WITHIN = 5.0
# What an erasure overwrites and everybody could read: keys, and the indexes by which identifiers meet.
_WIPE = "VACUUM subject_keys, targets, orders"
INSTANT = UTCDateTime()
_NOW = sa.select(sa.func.hub_now(type_=INSTANT))
# No echo of a statement and no error shows the values that somebody sent, in whatever field they put them.
HIDES_PARAMETERS = True
# What a client asks for outweighs what somebody has set for the role: a hidden warning is a false acknowledgement.
_SESSION = {
    "application_name": "hoatoc",
    "timezone": "UTC",
    "client_min_messages": "warning",
    "standard_conforming_strings": "on",
    # Compiling takes each of the hub's short statements longer than running does; whether it does, estimates decide.
    "jit": "off",
}
# The driver keeps a hundred, which are fewer than a node's loops and doors have together: the next one is made anew.
_PREPARED = 250
_NOTIFY = sa.text("SELECT pg_notify(:channel, :payload)")


class ReferencesBroken(OSError):
    """A change of tables would leave rows that refer to what is not there; it was not made."""


class Database:
    """Connections to one database; ``dialect`` is ``sqlite`` or ``postgresql``, ``of`` whose they are, for a metric."""

    def __init__(self, url: str, pool: int = 10, of: str = "doors") -> None:
        self._waits = metrics.CONNECTION_WAIT.labels(of)
        self.dialect = sa.make_url(url).get_backend_name()
        if self.dialect == "sqlite":
            # One writer, so that a hash chain is never read by two transactions that both extend it.
            options = {"connect_args": {"isolation_level": None}, "hide_parameters": HIDES_PARAMETERS}
            self._writer = create_async_engine(url, pool_size=1, max_overflow=0, **options)
            self._reader = create_async_engine(url, pool_size=pool, max_overflow=0, **options)
            embedded.prepare(self._writer, begin="BEGIN IMMEDIATE")
            embedded.prepare(self._reader, begin="BEGIN")
        else:
            self._writer = create_async_engine(
                url,
                pool_size=pool,
                max_overflow=0,
                pool_timeout=10,
                hide_parameters=HIDES_PARAMETERS,
                connect_args={
                    "timeout": 3,
                    "server_settings": _SESSION | outages.LETS_GO,
                    "prepared_statement_cache_size": _PREPARED,
                    "connection_class": reaching.Driver,
                },
            )
            outages.attend(self._writer.sync_engine)
            reaching.attend(self._writer.sync_engine)
            self._reader = self._writer

    @contextlib.asynccontextmanager
    async def read(self, reach: Reach) -> AsyncIterator[AsyncConnection]:
        """Open a connection for reading the rows within ``reach``; what is written on it is rolled back."""
        async with self._connected(self._reader, reach) as conn:
            yield conn
            await conn.rollback()

    @contextlib.asynccontextmanager
    async def _connected(self, engine: AsyncEngine, reach: Reach) -> AsyncIterator[AsyncConnection]:
        began = clock.monotonic()
        async with engine.connect() as conn:
            self._waits.observe(clock.monotonic() - began)
            await reaching.begin(conn, reach)
            yield conn

    async def write(self, unit: Unit[T], reach: Reach) -> T:
        """Run ``unit`` in one transaction within ``reach``, commit, and only then return what it returned.

        A unit that the database asks to repeat (serialization, deadlock, a lost connection before the commit) runs
        again on a fresh transaction, five times at most; it must therefore have no effect outside the database.
        The commit is shielded: a caller that goes away cannot leave it half asked for. Raises ``NotReplicated`` where
        it took effect on this server and no standby is known to have it, or took longer than five seconds.
        """
        return await self._write(unit, reach, COMMIT_WITHIN)

    async def _write(self, unit: Unit[T], reach: Reach, within: float | None) -> T:
        for attempt in range(1, _ATTEMPTS + 1):
            committing = False
            try:
                async with self._connected(self._writer, reach) as conn:
                    result = await unit(conn)
                    await outages.stands(conn)
                    committing = True
                    await _commit(conn, within)
                    return result
            except DBAPIError as error:
                # Whether a commit that broke took effect is unknown, so it is never repeated here.
                if committing or attempt == _ATTEMPTS or not outages.may_repeat(error):
                    raise
            await asyncio.sleep(random.uniform(0.005, 0.02) * attempt)  # noqa: S311 - jitter, not a secret
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def alter(self, unit: Unit[None]) -> None:
        """Run a change of tables in one transaction, and commit it.

        SQLite changes a table by making it anew and dropping the former one, to which rows refer: there all references
        are compared before the commit instead. Raises ``ReferencesBroken``, and nothing has changed.
        """
        if self.dialect != "sqlite":

            async def whole(conn: AsyncConnection) -> None:
                await outages.take_time(conn)
                await unit(conn)

            # Nobody is answered meanwhile, and a large change may well take its time on the way to the standby.
            await self._write(whole, HUB, None)
            return
        async with self._writer.connect() as conn:
            await _outside(conn, "PRAGMA foreign_keys=OFF")
            try:
                # Begun here, so that alembic sees a transaction of another's and does not commit by itself.
                await conn.begin()
                await unit(conn)
                broken = (await conn.exec_driver_sql("PRAGMA foreign_key_check")).all()
                if broken:
                    raise ReferencesBroken(f"rows of {', '.join(sorted({row[0] for row in broken}))} refer to nothing")
                await _commit(conn, None)
            finally:
                await conn.rollback()
                await _outside(conn, "PRAGMA foreign_keys=ON")

    async def wipe(self, owner_url: str) -> bool:
        """Take copies of what was just overwritten out of the database's files; return whether it could.

        It cannot while somebody reads an embedded database as it was before: its write-ahead log is needed for that.

        SQLite empties its write-ahead log; free pages were wiped as they came free (``secure_delete``). PostgreSQL
        vacuums the tables concerned: a page may show old bytes until it is written again, and archived logs longer.
        Only the owner of tables vacuums them: a node that has no more than the hub's login leaves it to autovacuum.
        """
        if self.dialect == "sqlite":
            async with self._writer.connect() as conn:
                raw = await conn.get_raw_connection()
                assert raw.driver_connection is not None
                done = await raw.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                is_busy, _, _ = await done.fetchone()
            return not is_busy
        owner = create_async_engine(owner_url, isolation_level="AUTOCOMMIT", pool_size=1)
        try:
            async with owner.connect() as conn:
                await conn.exec_driver_sql(_WIPE)
        finally:
            await owner.dispose()
        return True

    async def listen(self, channel: str, heard: Callable[[str], None]) -> None:
        """Call ``heard`` with what commits tell on ``channel``, until the connection, one of its own, is lost.

        For PostgreSQL alone. It is never more than a hint: what is told while nobody listens is lost.
        """
        lost = asyncio.Event()
        alone = create_async_engine(self._writer.url, poolclass=NullPool, hide_parameters=HIDES_PARAMETERS)
        outages.attend(alone.sync_engine)
        try:
            async with alone.connect() as conn:
                raw = (await conn.get_raw_connection()).driver_connection
                assert raw is not None
                raw.add_termination_listener(lambda _: lost.set())
                await raw.add_listener(channel, lambda *told: heard(told[-1]))
                await lost.wait()
        finally:
            await alone.dispose()

    async def close(self) -> None:
        """Close all connections."""
        await self._reader.dispose()
        await self._writer.dispose()

    @property
    def engine(self) -> AsyncEngine:
        """The engine that writes, for migrations and administration."""
        return self._writer


async def now(conn: AsyncConnection) -> datetime:
    """Return the database's instant: the only clock that deadlines obey (tests replace ``hub_now()``)."""
    instant: datetime = (await conn.execute(_NOW)).scalar_one()
    return instant


async def notify(conn: AsyncConnection, channel: str, payload: str) -> None:
    """Tell whoever listens on ``channel``, when this transaction is committed; on SQLite nobody can."""
    if conn.dialect.name == "postgresql":
        await conn.execute(_NOTIFY, {"channel": channel, "payload": payload})


async def insert_rows(conn: AsyncConnection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert ``rows`` (which all have the same keys) by one statement, without the ORM's unit of work."""
    await insert_all(conn, Rows(table, rows))


async def insert_all(conn: AsyncConnection, *parts: Rows) -> None:
    """Insert rows of several tables: by one statement on PostgreSQL, where each costs a trip to the server and back.

    What refers to a row of another part is checked at the end of the statement; no part sees another's rows.
    """
    for statement, values in inserting.statements(parts, conn.dialect):
        await conn.execute(statement, values)


@contextlib.contextmanager
def refused_as(error: Callable[[], Exception], *names: str) -> Iterator[None]:
    """Turn what a unique constraint refuses into an error; the whole unit is undone by it.

    Each database has a ``name`` of its own for it: PostgreSQL's constraint, SQLite's first column.
    """
    try:
        yield
    except IntegrityError as refused:
        # PostgreSQL gives the name apart: of a text one would have to know that nobody's values stand in it.
        said = getattr(refused.orig.__cause__, "constraint_name", None) if refused.orig else None
        if any(name == said or (said is None and name in str(refused.orig)) for name in names):
            raise error() from None
        raise


async def _outside(conn: AsyncConnection, statement: str) -> None:
    # Of what SQLite does outside of a transaction only: the connection has not begun one yet.
    raw = await conn.get_raw_connection()
    assert raw.driver_connection is not None
    await raw.driver_connection.execute(statement)


async def _commit(conn: AsyncConnection, within: float | None) -> None:
    committing = asyncio.ensure_future(_commit_for_good(conn, within))
    try:
        await asyncio.shield(committing)
    except asyncio.CancelledError:
        # The caller is gone; the connection is given back only once it is quiet.
        await asyncio.wait({committing})
        if committing.cancelled() or committing.exception() is not None:
            await conn.invalidate()
        raise
    except Exception:
        # SQLite keeps open what it refuses to commit, and the library takes it for over: whoever got this connection
        # next could not begin.
        await conn.invalidate()
        raise


async def _commit_for_good(conn: AsyncConnection, within: float | None) -> None:
    if conn.dialect.name != "postgresql":
        await conn.commit()
        return
    await standby.replicated((await conn.get_raw_connection()).driver_connection, conn.commit, within)
