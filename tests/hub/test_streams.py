"""Waiting at the inbox: a poll and a stream are woken by the commit, hold no connection, and end when they have to."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
import registry_forms as forms
import sqlalchemy as sa
import world as worlds
from apis import Api, System
from builders import table
from front_servers import HEAD, Line, Served, serving, until
from registry_forms import ADMIN
from rigs import FastForward

from service.actions import suspend
from service.api import orders as door
from service.models import Endpoint
from service.queries import inbox
from service.schemas.orders import InboxItem, InboxPage
from service.schemas.registry import SuspendedKind
from service.web import streams
from service.web.connections import Gate, Patience
from workflows.terms import Role

pytest_plugins = ["api_fixtures"]

STREAM, POLL = "/v1/orders/stream", "/v1/orders?wait=25"
# What is never waited for in a test: whoever sleeps that long is woken, or the test fails.
NEVER = 1_000.0


@pytest.fixture
async def pulling(api: Api) -> Api:
    """The application; one bank pulls its orders."""
    endpoints = table(Endpoint)
    pulls = sa.update(endpoints).where(endpoints.c.id == api.world.endpoints["vietcombank"]).values(channel="pull")
    await api.hub.writer.run(lambda conn: conn.execute(pulls))
    return api


@pytest.fixture
async def served(pulling: Api) -> AsyncIterator[Served]:
    """The application on the server of production, which listens to what other nodes commit."""
    async with serving(pulling.app, Gate()) as running:
        yield running
        # As a server that is told to stop does first of all.
        pulling.hub.writer.doorbell.close()


@pytest.fixture
def looks_never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks again by himself."""
    monkeypatch.setattr(door, "_LOOK_AGAIN", NEVER)
    monkeypatch.setattr(streams, "LOOK_AGAIN", NEVER)


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody looks again all the time."""
    monkeypatch.setattr(door, "_LOOK_AGAIN", 0.02)
    monkeypatch.setattr(streams, "LOOK_AGAIN", 0.02)


def call(api: Api, path: str, who: System, **headers: str) -> bytes:
    """The bytes of a call with its token and a fresh proof."""
    request = api.http.build_request("GET", path, headers=who.headers)
    [proven] = list(api.http.auth.auth_flow(request))  # type: ignore[union-attr]
    given = {name: proven.headers[name] for name in ("Authorization", "DPoP")} | headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"GET {path} HTTP/1.1\r\n".encode() + HEAD + lines.encode() + b"\r\n"


class Stream:
    """One reader of a stream."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.head = ""

    async def lines(self) -> AsyncIterator[str]:
        """The lines of the body, as they come, without the frames of the transfer coding."""
        while True:
            async with asyncio.timeout(10):
                size = int(await self.line.reader.readline() or b"0", 16)
                chunk = await self.line.reader.readexactly(size + 2)
            if size == 0:
                return
            for text in chunk[:-2].decode().split("\n"):
                yield text

    async def events(self, count: int) -> list[tuple[int, dict[str, Any]]]:
        """The next events: their ids and what they carry."""
        found: list[tuple[int, dict[str, Any]]] = []
        position = 0
        async for text in self.lines():
            if text.startswith("id: "):
                position = int(text.removeprefix("id: "))
            elif text.startswith("data: "):
                found.append((position, json.loads(text.removeprefix("data: "))))
            if len(found) == count:
                break
        return found

    async def ended(self) -> list[str]:
        """All that still comes before the end."""
        return [text async for text in self.lines() if text]


@contextlib.asynccontextmanager
async def reading(served: Served, api: Api, who: System | None = None, **headers: str) -> AsyncIterator[Stream]:
    """Open a stream."""
    line = await served.connect()
    try:
        await line.send(call(api, STREAM, who or api.bank, **headers))
        async with asyncio.timeout(10):
            head = (await line.reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 200"), head
        assert "content-type: text/event-stream" in head.lower()
        yield Stream(line)
    finally:
        line.close()


def waiting(api: Api) -> bool:
    """Whether somebody waits at an inbox, without a connection to the database."""
    doorbell = api.hub.writer.doorbell
    return bool(doorbell._bells) and api.hub.database._reader.pool.checkedout() == 0


async def freeze(api: Api, number: int = 1) -> UUID:
    """An active freeze; returns its order."""
    filed = await api.world.active(worlds.freeze(case_number=f"{number}/2026/CA"))
    [order] = await api.world.orders(filed.id)
    return UUID(str(order["id"]))


async def test_a_poll_that_waits_holds_no_connection_and_is_woken_by_the_commit(
    pulling: Api, served: Served, looks_never: None
) -> None:
    polling = asyncio.create_task(served.ask(call(pulling, POLL, pulling.bank)))
    await until(lambda: waiting(pulling))
    order = await freeze(pulling)
    answer = await polling
    assert answer.status == 200
    assert [item["subject"] for item in json.loads(answer.body)["items"]] == [str(order)]


async def test_a_ring_that_is_lost_costs_a_moment_and_no_order(pulling: Api, looks_often: None) -> None:
    # Nobody listens to other nodes here, and this one says nothing.
    pulling.hub.writer.doorbell.ring_all = lambda: None  # type: ignore[method-assign]
    polling = asyncio.create_task(pulling.get("/v1/orders", pulling.bank, wait=25))
    await until(lambda: waiting(pulling))
    order = await freeze(pulling)
    assert [item["subject"] for item in (await polling).json()["items"]] == [str(order)]


async def test_a_hub_that_leaves_sends_away_who_waits(pulling: Api, served: Served, looks_never: None) -> None:
    polling = asyncio.create_task(served.ask(call(pulling, POLL, pulling.bank)))
    await until(lambda: waiting(pulling))
    async with reading(served, pulling) as stream:
        await until(lambda: len(pulling.app.state.streams) == 1)
        pulling.hub.writer.doorbell.close()
        assert json.loads((await polling).body) == {"items": [], "next": 0}
        assert await stream.ended() == ["retry: 2000", ": leaving"]


async def test_a_stream_gives_what_waits_and_then_what_comes_and_confirms_nothing(
    pulling: Api, served: Served, looks_never: None
) -> None:
    before = await freeze(pulling, 1)
    async with reading(served, pulling) as stream:
        [(first, item)] = await stream.events(1)
        assert (first, item["subject"]) == (1, str(before))
        await until(lambda: waiting(pulling))
        after = await freeze(pulling, 2)
        [(second, item)] = await stream.events(1)
        assert (second, item["subject"]) == (2, str(after))
    # It broke. Whoever goes on begins behind what he has; whoever lost it all is given all of it once more.
    async with reading(served, pulling, **{"Last-Event-ID": "1"}) as stream:
        assert [position for position, _ in await stream.events(1)] == [2]
    assert await pulling.facts("dispatch.pulled") == []
    page = (await pulling.get("/v1/orders", pulling.bank)).json()
    assert [each["subject"] for each in page["items"]] == [str(before), str(after)]
    assert page["items"][1] == item
    # The cursor is the receipt, here too.
    assert (await pulling.get("/v1/orders", pulling.bank, after=1)).status_code == 200
    async with reading(served, pulling) as stream:
        assert [position for position, _ in await stream.events(1)] == [2]


async def test_a_stream_shows_nobody_anothers_orders(pulling: Api, served: Served, looks_often: None) -> None:
    other = await pulling.enroll(System("tcb-system"), "techcombank", Role.PARTICIPANT_OPERATOR)
    await freeze(pulling)
    async with reading(served, pulling, other) as theirs, reading(served, pulling) as ours:
        await ours.events(1)
        pulling.hub.writer.doorbell.close()
        assert await theirs.ended() == ["retry: 2000", ": leaving"]
    refused = await served.ask(call(pulling, STREAM, pulling.police))
    assert refused.code == "403 scope.missing"
    unproven = b"GET " + STREAM.encode() + b" HTTP/1.1\r\n" + HEAD + b"\r\n"
    assert (await served.ask(unproven)).code == "401 token.missing"


async def suspended(api: Api, kind: SuspendedKind, subject: object) -> None:
    tenant = "vietcombank"
    await suspend.suspend(api.hub, ADMIN, tenant, forms.stop(kind, subject))


@pytest.mark.parametrize("kind", [SuspendedKind.CLIENT, SuspendedKind.PARTICIPANT], ids=str)
async def test_who_is_suspended_while_he_waits_is_given_nothing_any_more(
    pulling: Api, served: Served, looks_often: None, kind: SuspendedKind
) -> None:
    polling = asyncio.create_task(served.ask(call(pulling, POLL, pulling.bank)))
    async with reading(served, pulling) as stream:
        await until(lambda: len(pulling.hub.writer.doorbell._bells.get("vietcombank", ())) == 2)
        await suspended(pulling, kind, pulling.bank.id if kind is SuspendedKind.CLIENT else "vietcombank")
        assert (await polling).code == "401 token.refused"
        assert await stream.ended() == ["retry: 2000"]


def test_a_stream_looks_at_its_caller_more_often_than_a_suspension_may_take() -> None:
    assert streams.LOOK_AGAIN < 10 and door._LOOK_AGAIN < 10


async def test_a_stream_ends_with_its_token(
    pulling: Api, served: Served, looks_often: None, fast_forward: FastForward
) -> None:
    async with reading(served, pulling) as stream:
        await until(lambda: waiting(pulling))
        await fast_forward(minutes=6)
        assert await stream.ended() == ["retry: 2000", ": the token has ended"]
    assert (await served.ask(call(pulling, STREAM, pulling.bank))).code == "401 token.refused"


async def test_a_stream_that_has_nothing_to_say_says_so_now_and_then(
    pulling: Api, served: Served, looks_often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_HEARTBEAT", 0.0)
    async with reading(served, pulling) as stream:
        beats = 0
        async for text in stream.lines():
            beats += text == ":"
            if beats == 3:
                break


async def test_a_member_has_two_streams_and_a_closed_one_makes_room(pulling: Api, served: Served) -> None:
    opened = pulling.app.state.streams
    async with reading(served, pulling):
        async with reading(served, pulling):
            await until(lambda: len(opened) == 2)
            third = await served.ask(call(pulling, STREAM, pulling.bank))
            assert third.code == "429 streams.too_many" and third.headers["retry-after"] == "5"
            other = await pulling.enroll(System("tcb-system"), "techcombank", Role.PARTICIPANT_OPERATOR)
            async with reading(served, pulling, other):
                await until(lambda: len(opened) == 3)
        await until(lambda: len(opened) == 1)
        async with reading(served, pulling):
            await until(lambda: len(opened) == 2)


@pytest.mark.parametrize("last", ["x", "-1", "1e3", "\u0661", "1", "9007199254740993"])
async def test_a_place_that_was_never_given_is_refused(pulling: Api, served: Served, last: str) -> None:
    raw = call(pulling, STREAM, pulling.bank, **{"Last-Event-ID": last})
    answer = await served.ask(raw)
    assert answer.code == "422 input.invalid"
    assert answer.problem["errors"][0]["field"] == "Last-Event-ID"


async def test_a_reader_that_does_not_read_is_cut_and_little_is_kept_for_it(
    pulling: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = 0

    async def endless(*_: Any, after: int, limit: int) -> InboxPage:
        """An inbox that never ends."""
        nonlocal given
        given += limit
        items = [_item(after + number) for number in range(1, limit + 1)]
        return InboxPage(items=items, next=after + limit)

    monkeypatch.setattr(inbox, "page", endless)
    async with serving(pulling.app, Gate(Patience(answer=0.2))) as served:
        line = await served.connect(receive_buffer=4_096)
        line.writer.transport.pause_reading()
        await line.send(call(pulling, STREAM, pulling.bank))
        await until(lambda: served.gate.open == 1)
        await until(lambda: served.gate.open == 0)
        await until(lambda: len(pulling.app.state.streams) == 0)
        line.close()
    # What the sockets hold, 10 MB at the very most, and one page: the rest was never read from the database.
    assert 0 < given * 10_000 < 10_000_000


def _item(position: int) -> InboxItem:
    return InboxItem(
        position=position,
        id=f"msg_{uuid4().hex}",
        type="vn.hoatoc.order.freeze",
        subject=str(uuid4()),
        occurred_at=datetime(2026, 11, 23, tzinfo=UTC),
        sequence=1,
        body={"padding": "x" * 10_000},
        signature=None,
    )
