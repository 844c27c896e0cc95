"""How often a filing asks the database: each statement is a trip there and back, so a new one must be meant."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
import world as worlds
from apis import Api

from service import db
from service.db import Database
from service.engine.hub import Hub
from service.models import Deadline, Dispatch, Order
from service.queries import registry

pytest_plugins = ["api_fixtures"]

# Two at the door, the rest in the transaction of the filing. SQLite says BEGIN itself, and writes each table alone.
TRIPS = {"postgresql": 12, "sqlite": 21}


@contextlib.contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """Collect what is said to the database meanwhile."""
    asked: list[str] = []

    def count(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        asked.append(" ".join(statement.split())[:100])

    engines = {database.engine.sync_engine, database._reader.sync_engine}
    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", count)
    try:
        yield asked
    finally:
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", count)


def _takedown(case: str) -> dict[str, Any]:
    numbers = [{"kind": "phone", "value": f"+8498765430{last}"} for last in range(5)]
    return worlds.takedown(*numbers, case_number=case)


async def test_a_request_of_five_orders_is_filed_by_so_many_statements(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is read once a second for all requests is not counted against one of them.
    monkeypatch.setattr(registry, "_FRESH", float("inf"))
    assert (await api.file(_takedown("01/2026/CA"))).status_code == 201
    with counted(api.hub.database) as asked:
        filed = await api.file(_takedown("02/2026/CA"))
    assert filed.status_code == 201, filed.text
    written = [len(await api.world.rows(model)) for model in (Order, Dispatch, Deadline)]
    assert written == [10, 10, 40]
    assert len(asked) <= TRIPS[api.hub.database.dialect], "\n".join(asked)


async def test_a_burst_reads_the_registry_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FRESH", float("inf"))

    async def one() -> registry.Known:
        async with hub.database.read(db.HUB) as conn:
            return await hub.registry.known(conn)

    with counted(hub.database) as asked:
        known = await asyncio.gather(*(one() for _ in range(5)))
    assert len([statement for statement in asked if statement.startswith("SELECT aliases.")]) == 1
    assert all(each is known[0] for each in known)
