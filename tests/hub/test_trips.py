"""How often a filing and an answer ask the database: each statement is a trip there and back; a new one is meant."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
import steps
import world as worlds
from apis import Api, System

from service import db
from service.db import Database
from service.engine.hub import Hub
from service.models import Deadline, Dispatch, Order
from service.queries import registry
from workflows.terms import Role

pytest_plugins = ["api_fixtures"]

# Two at the door, the rest in the transaction of the filing. SQLite says BEGIN itself, and writes each table alone.
TRIPS = {"postgresql": 12, "sqlite": 21}
_TELECOM = worlds.takedown({"kind": "phone", "value": "+84987654321"})
_HELD = {"outcome": "executed", "amount_held": steps.vnd(steps.ASKED)}
# The demand, what its participant says, what becomes of the order, and the statements.
ANSWERED: dict[str, tuple[Any, Any, str, dict[str, int]]] = {
    "received": (worlds.freeze(), {"outcome": "received"}, "acknowledged", {"postgresql": 20, "sqlite": 23}),
    "held": (worlds.freeze(), _HELD, "executed", {"postgresql": 19, "sqlite": 22}),
    "taken down": (_TELECOM, {"outcome": "executed"}, "executed", {"postgresql": 22, "sqlite": 25}),
}


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


@pytest.mark.parametrize("answer", sorted(ANSWERED))
async def test_an_order_is_answered_by_so_many_statements(
    api: Api, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(registry, "_FRESH", float("inf"))
    demand, said, becomes, trips = ANSWERED[answer]
    request = await api.active(demand)
    [order] = request["order_list"]
    telecom = await api.enroll(System("telecom-system"), "viettel", Role.PARTICIPANT_OPERATOR)
    who = api.bank if order["participant_id"] == api.bank.tenant else telecom
    path = f"/v1/orders/{order['id']}/acknowledgements"
    with counted(api.hub.database) as asked:
        answered = await api.post(path, who, said)
    assert answered.status_code == 201, answered.text
    assert answered.json()["state"] == becomes
    assert len(asked) <= trips[api.hub.database.dialect], "\n".join(asked)


async def test_a_burst_reads_the_registry_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FRESH", float("inf"))

    async def one() -> registry.Known:
        async with hub.database.read(db.HUB) as conn:
            return await hub.registry.known(conn)

    with counted(hub.database) as asked:
        known = await asyncio.gather(*(one() for _ in range(5)))
    assert len([statement for statement in asked if statement.startswith("SELECT aliases.")]) == 1
    assert all(each is known[0] for each in known)
