"""The embedded database: how each connection to SQLite is set up, and what tells the time on it."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from service import clock

# What is deleted or overwritten leaves no copy in a free page: a destroyed key is gone.
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON", "secure_delete=ON")


def prepare(engine: AsyncEngine, begin: str) -> None:
    """Set up every connection of ``engine``; each transaction of it begins with ``begin``."""

    @sa.event.listens_for(engine.sync_engine, "connect")
    def on_connect(dbapi_connection: Any, _record: object) -> None:
        cursor = dbapi_connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        # SQLModel's own text form of an instant, so that comparisons in SQL are comparisons of text.
        dbapi_connection.create_function("hub_now", 0, _now)

    @sa.event.listens_for(engine.sync_engine, "begin")
    def on_begin(conn: sa.Connection) -> None:
        conn.exec_driver_sql(begin)


def _now() -> str:
    return clock.utc_now().strftime("%Y-%m-%d %H:%M:%S.%f")
