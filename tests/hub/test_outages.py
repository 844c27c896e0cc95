"""An outage of the database is told from a fault of ours: it is waited out and answered 503, the other is a 500."""

import asyncio
import socket
from typing import Any

import asyncpg
import httpx
import pytest
import sqlalchemy as sa
from builders import Builder
from fastapi import FastAPI
from rigs import Rig
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, InvalidRequestError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db, outages, reaching, standby
from service.db import Database
from service.engine import doorbell, firing
from service.engine.hub import Hub
from service.metrics import REGISTRY
from service.models import Attempt, Order
from service.web import problems
from service.web.request_log import RequestLog
from workflows.terms import OrderState


def driver_said(code: str, kind: type[DBAPIError] = DBAPIError, **more: Any) -> DBAPIError:
    """Return an error as it arrives from asyncpg by way of SQLAlchemy."""
    told = asyncpg.PostgresError.new({"C": code, "M": "told by the server", "S": "FATAL"})
    return kind("SELECT 1", {}, told, **more)


OUTAGES = {
    "it starts up": driver_said("57P03"),
    "it was shut down": driver_said("57P01"),
    "it crashed": driver_said("57P02"),
    "the connection was lost": driver_said("08006"),
    "it is a standby": driver_said("25006"),
    "the disk is full": driver_said("53100"),
    "there are too many of us": driver_said("53300"),
    "the connection is unusable": DBAPIError("SELECT 1", {}, RuntimeError("state"), connection_invalidated=True),
    "the driver gives up": InterfaceError("SELECT 1", {}, RuntimeError("closed")),
    "the file is locked": OperationalError("SELECT 1", {}, RuntimeError("database is locked")),
    "the pool is empty": PoolTimeout("30 s"),
    "nobody listens": ConnectionRefusedError(),
    "nobody answers": TimeoutError(),
    "none of its addresses answers": OSError("Multiple exceptions: [Errno 111], [Errno 101]"),
    "its name is not known": socket.gaierror(-3, "Temporary failure in name resolution"),
    "it ends what is being set up": asyncpg.ConnectionDoesNotExistError("connection was closed"),
    "it has ended what is being set up": asyncpg.InterfaceError("connection is closed"),
    "it says that it ends what is being set up": asyncpg.InternalClientError("cannot switch to state 15"),
    "each connection is ended at once": InvalidRequestError("This connection is closed"),
    "no standby has it": standby.NotReplicated(),
}
FAULTS = {
    "a row that is there": driver_said("23505", IntegrityError),
    "a table that is not": driver_said("42P01"),
    "a number that is none": driver_said("22P02"),
    "a defect of ours": RuntimeError("unexpected"),
    "a statement that cannot be": InvalidRequestError("no such thing"),
    "a function that is not": asyncpg.UndefinedFunctionError("no such function"),
    "a file that is not there": FileNotFoundError(2, "No such file", "templates/none.html"),
}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_server_whose_machine_dies_is_noticed_within_seconds(hub: Hub) -> None:
    async with hub.database.read() as conn:
        driver = (await conn.get_raw_connection()).driver_connection
        assert driver is not None
        peer = driver._transport.get_extra_info("socket")
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        silent = [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT]
        assert [peer.getsockopt(socket.IPPROTO_TCP, option) for option in silent] == [5, 2, 3]
        # What was sent and never confirmed: milliseconds.
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_connection_that_was_cut_is_not_given_out(hub: Hub) -> None:
    async with hub.database.read(db.HUB) as conn, hub.database.read(db.HUB) as other:
        drivers = [(await each.get_raw_connection()).driver_connection for each in (conn, other)]
    for driver in drivers:
        assert driver is not None
        driver.terminate()
    # Within the second in which nobody would ask it.
    async with hub.database.read(db.HUB) as conn:
        assert (await conn.execute(sa.text("SELECT 1"))).scalar_one() == 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_connection_is_asked_after_a_rest_and_not_before(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hub.database.read(db.HUB) as conn:
        first = (await conn.get_raw_connection()).driver_connection
        assert first is not None

    asked: list[Any] = []

    async def gone(which: Any, *_: Any) -> None:
        asked.append(which)
        if which is first:
            raise asyncpg.ConnectionDoesNotExistError("nobody said so before")

    # The hub's own statements do not go this way.
    monkeypatch.setattr(asyncpg.Connection, "fetchrow", gone)
    async with hub.database.read(db.HUB) as conn:
        assert (await conn.get_raw_connection()).driver_connection is first
    assert not asked
    monkeypatch.setattr(outages, "_RESTED", -1.0)
    async with hub.database.read(db.HUB) as conn:
        assert (await conn.get_raw_connection()).driver_connection is not first
    assert asked[0] is first


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("when", ["before it is looked at", "while it is", "each time, before it is given out"])
async def test_a_connection_that_is_ended_as_it_is_made_is_an_outage(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    fresh = Database(hub.settings.url, pool=1)
    if when == "while it is":

        async def execute(*_: Any) -> None:
            raise asyncpg.InterfaceError("connection is closed")

        monkeypatch.setattr(asyncpg.Connection, "execute", execute)
    else:
        closed = iter([False, *[True] * 9] if "each" in when else [True] * 9)
        monkeypatch.setattr(asyncpg.Connection, "is_closed", lambda _: next(closed))
    try:
        with pytest.raises(Exception) as told:
            async with fresh.read(db.NOBODY):
                raise AssertionError("it was given out")
    finally:
        monkeypatch.undo()
        await fresh.close()
    assert outages.is_outage(told.value)


def say_the_end(driver: Any) -> None:
    """Let a connection receive what a server that is shut down says on it; that it closes it is yet to come."""
    fields = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
    driver._protocol.data_received(b"E" + (len(fields) + 4).to_bytes(4) + fields)
    assert not driver.is_closed()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("rested", [False, True])
async def test_what_rests_while_the_server_says_that_it_ends_it_is_an_outage_or_made_anew(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, rested: bool
) -> None:
    fresh = Database(hub.settings.url, pool=1)
    try:
        async with fresh.read(db.NOBODY) as conn:
            driver = (await conn.get_raw_connection()).driver_connection
        say_the_end(driver)
        if rested:
            monkeypatch.setattr(outages, "_RESTED", -1.0)
        else:
            async with fresh.read(db.NOBODY) as conn:
                with pytest.raises(DBAPIError) as told:
                    await conn.execute(sa.text("SELECT 1"))
            assert outages.is_outage(told.value) and outages.may_repeat(told.value)
        async with fresh.read(db.NOBODY) as conn:
            assert (await conn.execute(sa.text("SELECT 1"))).scalar_one() == 1
            assert (await conn.get_raw_connection()).driver_connection is not driver
    finally:
        await fresh.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("when", ["before a statement", "before the commit", "as it is made"])
async def test_what_is_written_while_the_server_says_that_it_ends_it_runs_again_or_is_an_outage(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    fresh, units = Database(hub.settings.url, pool=1), []

    async def unit(conn: AsyncConnection) -> int:
        units.append(conn)
        value: int = (await conn.execute(sa.text("SELECT 1"))).scalar_one()
        if len(units) == 1:
            say_the_end((await conn.get_raw_connection()).driver_connection)
            if when == "before a statement":
                await conn.execute(sa.text("SELECT 2"))
        return value

    if when == "as it is made":
        execute = reaching.Driver.execute

        async def ended(driver: reaching.Driver, query: str, *more: Any, **named: Any) -> str:
            if query == outages._LOOKS_FOR_US:
                say_the_end(driver)
            return await execute(driver, query, *more, **named)

        monkeypatch.setattr(reaching.Driver, "execute", ended)
    try:
        if when == "before a statement":
            # Nothing had taken effect: whoever asked hears of nothing.
            assert await fresh.write(unit, db.NOBODY) == 1 and len(units) == 2
        else:
            with pytest.raises(Exception) as told:
                await fresh.write(unit, db.NOBODY)
            assert outages.is_outage(told.value)
            assert len(units) == (when == "before the commit")
    finally:
        monkeypatch.undo()
        await fresh.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("how", ["said", "done", "done each time"])
async def test_who_listens_begins_anew_whenever_the_server_ends_it(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr("service.engine.doorbell._LISTEN_AGAIN", 0.0)
    listen, tries, listens = asyncpg.Connection.add_listener, iter(range(9)), asyncio.Event()

    async def ended(driver: Any, *given: Any) -> None:
        if next(tries) < 2:
            say_the_end(driver) if how == "said" else driver.terminate()
        await listen(driver, *given)
        listens.set()

    monkeypatch.setattr(asyncpg.Connection, "add_listener", ended)
    if how == "done each time":
        closed = iter([False, True, True, True] * 2)
        real = asyncpg.Connection.is_closed
        monkeypatch.setattr(asyncpg.Connection, "is_closed", lambda driver: next(closed, None) or real(driver))
    task = asyncio.create_task(hub.writer.doorbell.listen_forever(hub.database))
    try:
        async with asyncio.timeout(60):
            await listens.wait()
            with hub.writer.doorbell.waiting("bank-a") as bell:
                await hub.database.write(lambda conn: db.notify(conn, doorbell.CHANNEL, "bank-a"), db.NOBODY)
                await bell._rung.wait()
    finally:
        task.cancel()
    assert not task.done()


@pytest.mark.parametrize("what", OUTAGES)
def test_an_outage_is_one_whatever_class_the_driver_gives_it(what: str) -> None:
    assert outages.is_outage(OUTAGES[what])


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_of_what_was_asked_is_no_outage(what: str) -> None:
    assert not outages.is_outage(FAULTS[what])


@pytest.mark.parametrize(("what", "status"), [*((one, 503) for one in OUTAGES), *((one, 500) for one in FAULTS)])
async def test_who_calls_meanwhile_is_told_to_come_back(what: str, status: int) -> None:
    app = FastAPI()
    problems.install(app)

    @app.get("/read")
    async def read() -> None:
        raise {**OUTAGES, **FAULTS}[what]

    transport = httpx.ASGITransport(RequestLog(app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.example") as http:
        answer = await http.get("/read")
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == ("5" if status == 503 else None)


@pytest.mark.parametrize("what", ["it starts up", "the pool is empty"])
async def test_a_result_outlives_an_outage(
    hub: Hub, build: Builder, rig: Rig, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    placed = await build.placed("bank-a")
    assert await rig.delivery.claim_once() == 1
    real, broken = hub.writer.run, iter([OUTAGES[what], OUTAGES[what]])

    async def run(unit: Any, singles: Any = (), *, reach: db.Reach) -> Any:
        for error in broken:
            # Meanwhile it is in no queue, and seen all the same.
            assert REGISTRY.get_sample_value("hoatoc_unsettled_results") == 1
            raise error
        return await real(unit, singles, reach=reach)

    monkeypatch.setattr("service.engine.settlement.OUTAGE_PAUSES", (0.0, 0.0))
    monkeypatch.setattr(hub.writer, "run", run)
    await rig.delivery.settle_once()
    monkeypatch.undo()
    assert (await build.row(Order, id=placed.order_id)).state is OrderState.DELIVERED
    assert len(await build.rows(Attempt)) == 1
    assert REGISTRY.get_sample_value("hoatoc_unsettled_results") == 0


@pytest.mark.parametrize("what", ["it starts up", "the pool is empty"])
async def test_firing_is_left_for_later_in_an_outage(hub: Hub, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    calls = []

    async def run(*_: Any, **__: Any) -> None:
        calls.append(1)
        raise OUTAGES[what]

    monkeypatch.setattr(hub.writer, "run", run)
    with pytest.raises(type(OUTAGES[what])):
        await firing.fire_once(hub)
    # It was not taken for a deadline that breaks its batch, to be looked for one by one.
    assert calls == [1]
