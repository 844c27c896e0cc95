"""A transaction that holds chains and says nothing delays those chains alone, and the server ends it within seconds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from builders import Builder
from rigs import Rig, refused
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db, outages
from service.db import Database
from service.engine.hub import Hub
from service.metrics import REGISTRY
from service.models import Attempt, EndpointState, Order, QueueItem
from workflows.terms import OrderState

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
ONE = sa.text("SELECT 1")


@asynccontextmanager
async def holding(hub: Hub, *chains: str) -> AsyncIterator[None]:
    """Hold the heads of chains as a node does that stands still in the middle of its work."""
    other = Database(hub.settings.url, pool=1)
    try:
        async with other.read(db.HUB) as conn:
            log = await audit.Log.open(conn, None, chains)
            assert all(log.holds(chain) for chain in chains)
            yield
    finally:
        await other.close()


@asynccontextmanager
async def impatient(hub: Hub, monkeypatch: pytest.MonkeyPatch, within: str = "1s") -> AsyncIterator[Database]:
    """Give a test connections whose idle transactions the server ends sooner."""
    with monkeypatch.context() as shorter:
        shorter.setitem(outages.LETS_GO, "idle_in_transaction_session_timeout", within)
        made = Database(hub.settings.url, pool=2)
    try:
        yield made
    finally:
        await made.close()


async def ended(conn: AsyncConnection) -> None:
    """Wait until the server has ended this connection."""
    driver: Any = (await conn.get_raw_connection()).driver_connection
    gone = asyncio.Event()
    driver.add_termination_listener(lambda _: gone.set())
    async with asyncio.timeout(60):
        while not (driver.is_closed() or gone.is_set()):
            await gone.wait()


async def state(build: Builder, order_id: Any) -> OrderState:
    return OrderState((await build.row(Order, id=order_id)).state)


async def test_one_held_chain_delays_only_itself(hub: Hub, build: Builder, rig: Rig) -> None:
    stuck, other = await build.placed("bank-a"), await build.placed("bank-b")
    async with holding(hub, stuck.chain):
        assert await rig.delivery.claim_once() == 2
        await rig.speaker.reached(stuck.endpoint_id)
        async with asyncio.timeout(60):
            while await state(build, other.order_id) is not OrderState.DELIVERED:
                await rig.delivery.settle_once()
            # What comes later is settled too, round after round.
            later = await build.placed("bank-c")
            assert await rig.delivery.claim_once() == 1
            while await state(build, later.order_id) is not OrderState.DELIVERED:
                await rig.delivery.settle_once()
        assert await state(build, stuck.order_id) is OrderState.PLACED
        assert (await build.row(QueueItem, dispatch_id=stuck.dispatch_id)).leased
        assert REGISTRY.get_sample_value("hoatoc_unsettled_results") == 1
    async with asyncio.timeout(60):
        await rig.delivery.settled()
    assert await state(build, stuck.order_id) is OrderState.DELIVERED
    # It was sent once, and its attempt is written once.
    assert len(rig.speaker.to(stuck.endpoint_id)) == len(await build.rows(Attempt, dispatch_id=stuck.dispatch_id)) == 1
    assert REGISTRY.get_sample_value("hoatoc_unsettled_results") == 0


async def test_a_held_chain_takes_no_place_of_its_lane(hub: Hub, build: Builder, rig: Rig) -> None:
    await build.participant("bank-a")
    stuck = await build.placed("bank-a", await build.endpoint("bank-a", max_in_flight=1))
    async with holding(hub, stuck.chain):
        assert await rig.delivery.claim_once() == 1
        await rig.speaker.reached(stuck.endpoint_id)
        await rig.delivery.settle_once()
        second = await build.placed("bank-a", stuck.endpoint_id)
        assert await rig.delivery.claim_once() == 1
        async with asyncio.timeout(60):
            while await state(build, second.order_id) is not OrderState.DELIVERED:
                await rig.delivery.settle_once()
    async with asyncio.timeout(60):
        await rig.delivery.settled()
    third = await build.placed("bank-a", stuck.endpoint_id)
    assert await rig.round() == 1
    assert [await state(build, each.order_id) for each in (stuck, third)] == [OrderState.DELIVERED] * 2


@pytest.mark.parametrize("what", ["the participant's chain", "the breaker"])
async def test_a_breaker_that_is_held_opens_once_it_is_free(hub: Hub, build: Builder, rig: Rig, what: str) -> None:
    await build.participant("bank-a")
    endpoint = await build.endpoint("bank-a")
    placed = [await build.placed("bank-a", endpoint) for _ in range(5)]
    rig.speaker.fail(endpoint, refused("connect.timeout"))
    now = await hub.database.write(db.now, db.HUB)
    blank = {"tenant": "bank-a", "failures": 0, "open_seconds": 0, "changed_at": now}
    await build.write(EndpointState, endpoint_id=endpoint, **blank)
    # A chain that has a head already, as any participant's in use.
    await hub.database.write(lambda conn: audit.Log.open(conn, now, [audit.tenant_chain("bank-a")]), db.HUB)
    opened = {"participant": "bank-a", "to": "open"}
    before = REGISTRY.get_sample_value("hoatoc_breaker_moves_total", opened) or 0
    other = Database(hub.settings.url, pool=1)
    try:
        async with other.read(db.HUB) as conn:
            if what == "the breaker":
                await conn.execute(sa.select(EndpointState.__table__).with_for_update())  # type: ignore[attr-defined]
            else:
                await audit.Log.open(conn, None, [audit.tenant_chain("bank-a")])
            assert await rig.round() == 5
            assert len(await build.rows(Attempt)) == len(placed)
            assert (await build.row(EndpointState)).open_until is None
    finally:
        await other.close()
    # Nothing is under way any more: it is the move that waits.
    async with asyncio.timeout(60):
        while (await build.row(EndpointState)).open_until is None:
            await rig.delivery.settle_once()
    assert (await build.facts(audit.tenant_chain("bank-a")))[-2:] == ["endpoint.down", "task.opened"]
    assert REGISTRY.get_sample_value("hoatoc_breaker_moves_total", opened) == before + 1


async def test_a_node_that_stands_still_loses_its_locks(
    hub: Hub, build: Builder, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = await build.placed("bank-a")
    async with impatient(hub, monkeypatch) as database, database.read(db.HUB) as conn:
        await audit.Log.open(conn, None, [placed.chain])
        # Its own transaction says nothing; what the others do waits for the server to end that one.
        async with asyncio.timeout(60):
            await rig.round()
            await hub.database.write(lambda mine: audit.Log.open(mine, None, [placed.chain]), db.HUB)
        await conn.invalidate()
    assert await state(build, placed.order_id) is OrderState.DELIVERED


async def test_a_unit_that_was_ended_while_it_stood_still_runs_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for last in (True, False):
        runs = []

        async def unit(conn: AsyncConnection, last: bool = last, runs: list[int] = runs) -> int:
            runs.append(1)
            await conn.execute(ONE)
            if len(runs) == 1:
                await ended(conn)
            # The server ends it while nothing is asked: the next statement, or the commit, is who finds out.
            if not last:
                await conn.execute(ONE)
            return len(runs)

        async with impatient(hub, monkeypatch) as database:
            assert await database.write(unit, db.HUB) == 2


async def test_who_takes_his_time_is_not_ended(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    async with impatient(hub, monkeypatch) as database:
        async with database.read(db.HUB) as patient:
            await outages.take_time(patient)
            async with database.read(db.HUB) as other:
                await other.execute(ONE)
                await ended(other)
                await other.invalidate()
            # Idle for longer than the one that was ended.
            assert (await patient.execute(ONE)).scalar_one() == 1
        # For that transaction alone: the next one on the connection is as all are.
        async with database.read(db.HUB) as next_one:
            shown = await next_one.execute(sa.text("SHOW idle_in_transaction_session_timeout"))
            assert shown.scalar_one() == "1s"


async def test_a_change_of_tables_takes_its_time(hub: Hub) -> None:
    async def unit(conn: AsyncConnection) -> None:
        shown = await conn.execute(sa.text("SHOW idle_in_transaction_session_timeout"))
        assert shown.scalar_one() == "0"

    await hub.database.alter(unit)


async def test_the_server_is_asked_to_notice_within_seconds(hub: Hub) -> None:
    names = [*outages.LETS_GO, "client_connection_check_interval"]
    async with hub.database.read(db.HUB) as conn:
        found = [(await conn.execute(sa.text(f"SHOW {name}"))).scalar_one() for name in names]
    assert found == ["8s", "5", "2", "3", "10000", "5s"]


async def test_a_server_that_cannot_look_for_us_is_connected_to_all_the_same(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = outages._LOOKS_FOR_US.replace("client_connection_check", "client_connection_czech")
    monkeypatch.setattr(outages, "_LOOKS_FOR_US", unknown)
    other = Database(hub.settings.url, pool=1)
    async with other.read(db.HUB) as conn:
        driver: Any = (await conn.get_raw_connection()).driver_connection
        with pytest.raises(asyncpg.UndefinedObjectError):
            await driver.execute(unknown)
        await conn.rollback()
        assert (await conn.execute(ONE)).scalar_one() == 1
    await other.close()
