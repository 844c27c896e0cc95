"""What a statement is in SQL is worked out once for all hubs of a run: their engines differ in where they connect."""

from typing import Any

from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache

_ALL: Any = LRUCache(10_000)


def _alike(self: Any, other: object) -> bool:
    return type(self) is type(other)


def _by_kind(self: Any) -> int:
    return hash(type(self))


# Each test has a database and engines of its own; by themselves they would all compile the same few hundred anew.
Engine._compiled_cache = property(lambda self: _ALL, lambda self, own: None)  # type: ignore[assignment]
for _kind in (PGDialect_asyncpg, SQLiteDialect_aiosqlite):
    _kind.__eq__ = _alike  # type: ignore[method-assign, assignment]
    _kind.__hash__ = _by_kind  # type: ignore[method-assign, assignment]
