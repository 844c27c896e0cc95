"""The hub's own SQLite store without its threads: each call is made at once, and may be delayed or broken first."""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID

import aiosqlite
from sim_store import Connections
from sim_time import ACTING, Meant

# What the hub asks of a file that must survive a power cut. Here processes die and machines do not.
_INSTEAD = {
    "PRAGMA synchronous=FULL": "PRAGMA synchronous=OFF",
    "PRAGMA busy_timeout=5000": "PRAGMA busy_timeout=0",
    "PRAGMA secure_delete=ON": "PRAGMA secure_delete=OFF",
}


class Broken(sqlite3.OperationalError, Meant):
    """What the simulation broke on purpose."""


class Gone(Broken):
    """The process that asks is no more, or its connection."""


class Store(Connections):
    """One database file, and the connections that processes have to it.

    ``before`` and ``after`` are called around each statement with what it is (``begin``, ``statement``, ``commit``,
    ``rollback``): they wait, raise, or end the process whose statement it is.
    """

    broken = Broken

    def __init__(self, path: Path, now: Callable[[], str]) -> None:
        super().__init__()
        self.path = path
        self.watcher = sqlite3.connect(path, isolation_level=None)
        self.watcher.execute("PRAGMA synchronous=OFF")
        self.watcher.execute("PRAGMA busy_timeout=0")
        self.watcher.create_function("hub_now", 0, now)

    def rows(self, query: str) -> list[Any]:
        """Read what is committed, past everything."""
        return self.watcher.execute(query).fetchall()

    def see(self, boots: list[UUID], at: datetime) -> bool:
        """Write that these nodes were seen; return False where somebody's transaction has the file."""
        query = f"UPDATE nodes SET seen_at = ? WHERE id IN ({','.join('?' * len(boots))})"
        try:
            self.watcher.execute(query, (at.strftime("%Y-%m-%d %H:%M:%S.%f"), *(each.hex for each in boots)))
        except sqlite3.OperationalError:
            return False
        return True

    def close(self) -> None:
        """Close whatever is open."""
        super().close()
        self.watcher.close()


class _Thread:
    """Nothing runs beside the simulation."""

    daemon = False

    def start(self) -> None:
        """There is nothing to start."""


class Connection(aiosqlite.Connection):
    """A connection of a process, whose calls are made where they stand."""

    def __init__(self, store: Store, owner: Any) -> None:
        self.store, self.owner = store, owner
        self._running, self._iter_chunk_size = True, 64
        self._connection: sqlite3.Connection | None = None
        self._thread = _Thread()

    def __await__(self) -> Any:
        return self._opened().__await__()

    def __del__(self) -> None:
        """The simulation closes what it has opened."""

    def __hash__(self) -> int:
        return id(self)

    async def _opened(self) -> "Connection":
        self._connection = sqlite3.connect(self.store.path, isolation_level=None, cached_statements=512)
        self.store.open[self] = None
        return self

    async def _execute(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        if self._connection is None:
            raise Gone("the connection is gone")
        kind = _kind(fn, args)
        if kind is None:
            return fn(*args, **kwargs)
        store, owner = self.store, self.owner
        if kind == "pragma":
            return fn(_INSTEAD.get(args[0], args[0]), *args[1:])
        if store.before is not None and owner is not None:
            await store.before(owner, kind)
        if kind == "begin":
            result = await self._begun(fn, args)
        else:
            if self._connection is None:
                raise Gone("the connection is gone")
            result = fn(*args, **kwargs)
        if kind in ("commit", "rollback"):
            store.free()
        if store.after is not None and owner is not None:
            await store.after(owner, kind)
        return result

    async def _begun(self, fn: Any, args: Any) -> Any:
        while True:
            if self._connection is None:
                raise Gone("the connection is gone")
            try:
                return fn(*args)
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
            await self.store.wait()

    def cut(self) -> None:
        """End here and now, as with the process."""
        self.store.open.pop(self, None)
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
            self.store.free()

    async def close(self) -> None:
        """Close it in good order."""
        self.cut()

    def stop(self) -> None:
        """Close it in whatever order."""
        self.cut()


def _kind(fn: Any, args: Any) -> str | None:
    name = fn.__name__
    if name in ("commit", "rollback"):
        return str(name)
    if name not in ("execute", "executemany"):
        return None
    text = args[0]
    if text.startswith("BEGIN"):
        return "begin"
    return "pragma" if text.startswith("PRAGMA") else "statement"


@contextmanager
def inline(store: Callable[[], Store]) -> Iterator[None]:
    """Let every connection that the hub opens be one to the store of the simulation that runs now."""

    def connect(*_args: Any, **_options: Any) -> Connection:
        return Connection(store(), ACTING.get())

    with mock.patch.object(aiosqlite, "connect", connect):
        yield


def new_file(template: Path) -> Path:
    """Copy the template to a new file, in memory where the machine has a place for that."""
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="hoatoc-sim-", dir=shared if os.access(shared, os.W_OK) else None))
    return Path(shutil.copy(template, folder / "hub.sqlite3"))
