"""The hub's PostgreSQL store in virtual time: each statement is waited for where it stands, unless a lock stops it."""

import asyncio
import concurrent.futures
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest import mock
from uuid import UUID

import asyncpg
from postgres import LOGIN, QUICK
from sim_store import Connections
from sim_time import ACTING, Meant

# The driver's own way in, whatever the hub's library is given instead.
CONNECT = asyncpg.connect
# Real seconds after which somebody is asked whether a statement waits for a lock.
_GLANCE = 0.01


class Broken(asyncpg.exceptions.ConnectionDoesNotExistError, Meant):
    """What the simulation broke on purpose, as the driver would say it."""


class Gone(Broken):
    """The process that asks is no more, or its connection."""


class Bridge:
    """A thread with an ordinary event loop, in which the real driver lives."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def submit(self, work: Coroutine[Any, Any, Any]) -> "concurrent.futures.Future[Any]":
        """Begin something over there."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something over there and wait for it, in real time."""
        return self.submit(work).result(60)


def server() -> str:
    """Return the address of the tests' server as the driver wants it; its absence is an error, nothing is skipped."""
    url = os.environ.get(QUICK)
    if not url:
        raise SystemExit(f"{QUICK} is not set: python tests/postgres.py --no-fsync -- python {sys.argv[0]} …")
    return url.replace("+asyncpg", "")


class Store(Connections):
    """One database of the server and the connections that processes have to it; as ``sim_sqlite.Store``."""

    broken = Broken

    def __init__(self, bridge: Bridge, name: str, now: Callable[[], str]) -> None:
        super().__init__()
        self.bridge, self.name, self.now = bridge, name, now
        self.admin = bridge.run(CONNECT(f"{server()}/{name}"))

    def rows(self, query: str) -> list[Any]:
        """Read what is committed, past everything, as SQLite would write it."""
        return [tuple(map(_plain, row)) for row in self.bridge.run(self.admin.fetch(query))]

    def see(self, boots: list[UUID], at: datetime) -> bool:
        """Write that these nodes were seen."""
        query = "UPDATE nodes SET seen_at = $1 WHERE id = ANY($2::uuid[])"
        self.bridge.run(self.admin.execute(query, at, boots))
        return True

    def is_blocked(self, pid: int) -> bool:
        """Tell whether a connection waits for what another one holds."""
        return bool(self.bridge.run(self.admin.fetchval("SELECT cardinality(pg_blocking_pids($1))", pid)))

    def close(self) -> None:
        """Close whatever is open."""
        super().close()
        self.bridge.run(self.admin.close())


class Connection:
    """What the library takes for the driver's connection."""

    def __init__(self, store: Store, owner: Any, real: Any) -> None:
        self.store, self.owner, self.real = store, owner, real
        self.pid = real.get_server_pid()
        # What the hub asks of the driver itself: the socket, and what the server says on the side.
        self._transport = real._transport
        self.add_log_listener, self.remove_log_listener = real.add_log_listener, real.remove_log_listener
        self.begin_within = getattr(real, "begin_within", None)
        self.is_gone = False
        store.open[self] = None

    async def done(self, kind: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Do one thing on the connection, with whatever the simulation has in store for it."""
        store, owner = self.store, self.owner
        if store.before is not None and owner is not None:
            await store.before(owner, kind)
        if self.is_gone:
            raise Gone("the connection is gone")
        future = store.bridge.submit(self._at_the_instant(kind, work))
        try:
            while not self._has_settled(future):
                await store.wait()
                if self.is_gone:
                    raise Gone("the connection is gone")
        except BaseException:
            self.cut()
            raise
        result = future.result()
        if kind in ("commit", "rollback"):
            store.free()
        if store.after is not None and owner is not None:
            await store.after(owner, kind)
        return result

    async def _at_the_instant(self, kind: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        if kind in ("begin", "statement"):
            await self.real.execute(f"SELECT set_config('sim.now', '{self.store.now()}+00', false)")
        return await work()

    def _has_settled(self, future: "concurrent.futures.Future[Any]") -> bool:
        while True:
            concurrent.futures.wait([future], _GLANCE)
            if future.done():
                return True
            if self.store.is_blocked(self.pid):
                return False

    def cut(self) -> None:
        """End here and now, as with the process; the server has noticed when this returns."""
        self.store.open.pop(self, None)
        if not self.is_gone:
            self.is_gone = True
            with contextlib.suppress(asyncpg.PostgresError):
                self.store.bridge.run(self.store.admin.fetchval("SELECT pg_terminate_backend($1, 5000)", self.pid))
            self.store.free()

    # What the library calls.

    def is_closed(self) -> bool:
        """Tell whether it has ended."""
        return self.is_gone

    async def prepare(self, query: str, **_options: Any) -> "Statement":
        """Prepare a statement, which no lock stops for long."""
        if self.is_gone:
            raise Gone("the connection is gone")
        return Statement(self, self.store.bridge.run(self.real.prepare(query)))

    async def fetchrow(self, query: str) -> Any:
        """Answer a ping."""
        return self.store.bridge.run(self.real.fetchrow(query))

    async def execute(self, query: str) -> Any:
        """Take a setting of the session, as it is opened."""
        return self.store.bridge.run(self.real.execute(query))

    async def executemany(self, query: str, several: Any) -> Any:
        """Run a statement several times."""
        values = list(several)
        return await self.done("statement", lambda: self.real.executemany(query, values))

    async def set_type_codec(self, *arguments: Any, **options: Any) -> None:
        """Teach the driver a type."""
        self.store.bridge.run(self.real.set_type_codec(*arguments, **options))

    async def reload_schema_state(self) -> None:
        """Forget the types."""
        self.store.bridge.run(self.real.reload_schema_state())

    def transaction(self, **options: Any) -> "Transaction":
        """Return a transaction that has not begun."""
        return Transaction(self, self.real.transaction(**options))

    async def close(self, **_options: Any) -> None:
        """Close it in good order."""
        self.cut()

    def terminate(self) -> None:
        """Close it in whatever order."""
        self.cut()


class Transaction:
    """A transaction of a connection."""

    def __init__(self, connection: Connection, real: Any) -> None:
        self._connection, self._real = connection, real

    async def start(self) -> None:
        """Begin."""
        await self._connection.done("begin", self._real.start)

    async def commit(self) -> None:
        """Commit."""
        await self._connection.done("commit", self._real.commit)

    async def rollback(self) -> None:
        """Roll back."""
        await self._connection.done("rollback", self._real.rollback)


class Statement:
    """A prepared statement."""

    def __init__(self, connection: Connection, real: Any) -> None:
        self._connection, self._real = connection, real
        self.get_attributes = real.get_attributes
        self.get_statusmsg = real.get_statusmsg

    async def fetch(self, *values: Any) -> Any:
        """Run it and return all its rows."""
        return await self._connection.done("statement", lambda: self._real.fetch(*values))

    async def cursor(self, *values: Any) -> "Cursor":
        """Run it for reading its rows bit by bit; the simulation reads them all at once."""
        return Cursor(await self.fetch(*values))


class Cursor:
    """The rows of a statement that are still to be read."""

    def __init__(self, rows: Any) -> None:
        self._rows = list(rows)

    async def fetch(self, count: int) -> list[Any]:
        """Return the next rows."""
        found, self._rows = self._rows[:count], self._rows[count:]
        return found


@contextmanager
def inline(store: Callable[[], Store]) -> Iterator[None]:
    """Let every connection that the hub opens be one to the store of the simulation that runs now."""

    async def connect(
        *_args: Any, server_settings: Any = None, connection_class: Any = asyncpg.Connection, **_options: Any
    ) -> Connection:
        current, owner = store(), ACTING.get()
        if owner is not None and not owner.is_alive:
            raise Gone("the connection is gone")
        url = f"{server()}/{current.name}"
        # The server's clock is not the simulation's: how long a transaction lies idle there says nothing.
        settings = {**server_settings, "idle_in_transaction_session_timeout": "0"} if server_settings else None
        real = current.bridge.run(CONNECT(url, user=LOGIN, server_settings=settings, connection_class=connection_class))
        return Connection(current, owner, real)

    with mock.patch.object(asyncpg, "connect", connect):
        yield


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f")
    return value.hex if isinstance(value, UUID) else value
