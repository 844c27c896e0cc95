"""What makes an acknowledgement durable is really in force on the connections that write (PROMISES P1, 8.2)."""

from pathlib import Path

import journey_network
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.app import close_hub, open_hub


async def test_sqlite_syncs_every_commit_to_disk(tmp_path: Path) -> None:
    hub = await open_hub(journey_network.settings_of(tmp_path, None), migrate=True)
    try:
        found = await hub.database.write(lambda conn: _pragmas(conn), db.NOBODY)
    finally:
        await close_hub(hub)
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


async def test_postgresql_waits_for_the_write_ahead_log_on_disk(tmp_path: Path) -> None:
    async with journey_network.database_of("postgresql") as url:
        hub = await open_hub(journey_network.settings_of(tmp_path, url), migrate=True)
        try:
            found = await hub.database.write(lambda conn: _settings(conn), db.NOBODY)
        finally:
            await close_hub(hub)
    assert found == {"synchronous_commit": "on", "fsync": "on", "full_page_writes": "on"}


async def _pragmas(conn: AsyncConnection) -> dict[str, object]:
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    return {name: (await conn.exec_driver_sql(f"PRAGMA {name}")).scalar_one() for name in names}


async def _settings(conn: AsyncConnection) -> dict[str, object]:
    names = ("synchronous_commit", "fsync", "full_page_writes")
    return {name: (await conn.exec_driver_sql(f"SHOW {name}")).scalar_one() for name in names}
