"""The server cuts whoever is slow, refuses what is no HTTP with a problem, and lets no address take all its places."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from front_servers import HEAD, POST, Served, serving, small_app, until
from starlette.types import Receive, Scope, Send

from service import clock
from service.web import addresses, bodies
from service.web.connections import Gate, Patience

SOON = Patience(head=0.2, body=0.2, answer=0.2, linger=0.2)
# A deadline that is absolute ends the slowest client well before this.
AT_ONCE = 3.0
HELLO = b"GET /v1/hello HTTP/1.1\r\n" + HEAD + b"\r\n"
LATER = b"GET /v1/later HTTP/1.1\r\n" + HEAD + b"\r\n"


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """The small application on a server without patience."""
    async with serving(small_app(), Gate(SOON)) as running:
        yield running
        running.app.state.gone_on.set()


async def test_a_head_that_drips_is_answered_408_and_cut(served: Served) -> None:
    line = await served.connect()
    began = clock.monotonic()
    dripping = asyncio.create_task(line.drip(b"GET /v1/hello HTTP/1.1\r\nX-Slow: " + b"x" * 5_000))
    answer = await line.answer()
    assert answer.code == "408 head.incomplete" and answer.headers["connection"] == "close"
    await line.rest()
    await dripping
    assert clock.monotonic() - began < AT_ONCE
    assert served.app.state.calls == []


async def test_who_asks_nothing_is_cut_without_a_word(served: Served) -> None:
    line = await served.connect()
    began = clock.monotonic()
    assert await line.rest() == b""
    assert clock.monotonic() - began < AT_ONCE and served.gate.open == 0


async def test_the_head_of_a_second_call_has_no_more_time_than_the_first(served: Served) -> None:
    line = await served.connect()
    await line.send(HELLO)
    assert (await line.answer()).status == 200
    dripping = asyncio.create_task(line.drip(b"GET /v1/hello HTTP/1.1\r\nX-Slow: " + b"x" * 5_000))
    assert (await line.answer()).code == "408 head.incomplete"
    await line.rest()
    await dripping


@pytest.mark.parametrize("before", [b"", HELLO], ids=["at first", "between two calls"])
async def test_empty_lines_hold_no_place(served: Served, before: bytes) -> None:
    line = await served.connect()
    if before:
        await line.send(before)
        await line.answer()
    await line.send(b"\r\n")
    assert (await line.answer()).code == "400 head.malformed"
    await line.rest()


async def test_a_body_that_drips_is_refused_in_time(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_WITHIN", 0.1)
    line = await served.connect()
    await line.send(POST + b"Content-Length: 1000\r\n\r\n")
    dripping = asyncio.create_task(line.drip(b" "))
    assert (await line.answer()).code == "400 body.incomplete"
    await line.rest()
    await dripping
    assert served.app.state.calls == []


@pytest.mark.parametrize("framing", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
async def test_a_body_that_nobody_reads_is_cut_too(framing: bytes) -> None:
    async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        while (await receive())["type"] != "http.disconnect":
            pass

    async with serving(deaf, Gate(SOON)) as running:
        line = await running.connect()
        began = clock.monotonic()
        await line.send(POST + framing + b"\r\n\r\n")
        dripping = asyncio.create_task(line.drip(b"1\r\nx\r\n"))
        assert await line.rest() == b""
        assert clock.monotonic() - began < AT_ONCE
        await dripping


async def test_who_does_not_read_the_answer_is_cut(served: Served) -> None:
    line = await served.connect(receive_buffer=4_096)
    line.writer.transport.pause_reading()
    await line.send(b"GET /v1/large HTTP/1.1\r\n" + HEAD + b"\r\n")
    await until(lambda: served.gate.open == 1)
    await until(lambda: served.gate.open == 0)
    line.close()


async def test_an_idle_connection_is_closed_between_two_calls() -> None:
    async with serving(small_app(), Gate(), keep_alive=0) as running:
        line = await running.connect()
        await line.send(HELLO)
        assert (await line.answer()).status == 200
        assert await line.rest() == b""


async def test_a_call_that_takes_long_is_not_cut(served: Served) -> None:
    line = await served.connect()
    await line.send(LATER)
    await until(lambda: bool(served.app.state.calls))
    # As long as somebody else needs to be cut, the long call goes on.
    assert await (await served.connect()).rest() == b""
    served.app.state.gone_on.set()
    assert (await line.answer()).body == b'"done"'


async def test_a_body_too_large_is_answered_while_its_sender_still_sends(served: Served) -> None:
    line = await served.connect()
    await line.send(POST + b"Content-Length: 100000000\r\n\r\n" + b" " * 200_000)
    answer = await line.answer()
    assert answer.code == "413 body.too_large" and answer.headers["connection"] == "close"
    await line.rest()
    assert served.app.state.calls == []


async def test_a_stream_without_a_length_is_cut_after_64_kib(served: Served) -> None:
    line = await served.connect()
    await line.send(POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"4000\r\n" + b" " * 0x4000 + b"\r\n")
    for _ in range(5):
        await line.send(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
    assert (await line.answer()).code == "413 body.too_large"
    await line.rest()
    assert served.app.state.calls == []


NO_HTTP = [
    ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400 head.malformed"),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400 head.malformed"),
    ("no host", b"GET /v1/hello HTTP/1.1\r\n\r\n", "400 head.malformed"),
    ("two hosts", b"GET /v1/hello HTTP/1.1\r\n" + HEAD + HEAD + b"\r\n", "400 head.malformed"),
    ("a raw byte in the path", b"GET /v1/\xc4\x83 HTTP/1.1\r\n" + HEAD + b"\r\n", "400 head.malformed"),
    ("a raw byte in the query", b"GET /v1/hello?q=\xff HTTP/1.1\r\n" + HEAD + b"\r\n", "400 head.malformed"),
    ("not UTF-8", b"GET /v1/%ff HTTP/1.1\r\n" + HEAD + b"\r\n", "400 url.malformed"),
    ("NUL in the path", b"GET /v1/%00 HTTP/1.1\r\n" + HEAD + b"\r\n", "400 url.malformed"),
    ("bidi in the query", b"GET /v1/hello?q=%E2%80%8F HTTP/1.1\r\n" + HEAD + b"\r\n", "400 url.malformed"),
    ("a surrogate", b"GET /v1/hello?q=%ED%A0%80 HTTP/1.1\r\n" + HEAD + b"\r\n", "400 url.malformed"),
    ("a folded header", b"GET /v1/hello HTTP/1.1\r\n" + HEAD + b"X: 1\r\n 2\x00\r\n\r\n", "400 head.malformed"),
    ("NUL in a header", b"GET /v1/hello HTTP/1.1\r\n" + HEAD + b"X: \x00\r\n\r\n", "400 head.malformed"),
    ("a space before a colon", b"GET /v1/hello HTTP/1.1\r\n" + HEAD + b"X : 1\r\n\r\n", "400 head.malformed"),
    ("two lengths", POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "400 head.malformed"),
    ("a length below zero", POST + b"Content-Length: -2\r\n\r\n{}", "400 head.malformed"),
    ("another coding", POST + b"Transfer-Encoding: gzip\r\n\r\n", "400 head.malformed"),
    ("two codings", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "400 head.malformed"),
    (
        "a length and a coding",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400 head.transfer_coding",
    ),
    ("a broken chunk", POST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n", "400 head.malformed"),
    ("a head in one piece", POST + b"X: " + b"x" * 17_000 + b"\r\n\r\n", "431 head.too_large"),
    ("a head without an end", POST + b"X: " + b"x" * 200_000, "431 head.too_large"),
    ("a head of many", POST + b"X: 1\r\n" * 70 + b"\r\n", "431 head.too_many"),
    ("a long address", b"GET /v1/" + b"a" * 5_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n", "414 url.too_long"),
    ("many parameters", b"GET /?" + b"&".join([b"a=1"] * 40) + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
     "400 url.too_many_parameters"),
    ("a key twice", POST + b"Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 2\r\n\r\n{}",
     "400 head.repeated"),
    ("a body of a GET", b"GET /v1/hello HTTP/1.1\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}", "400 body.not_expected"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "code"), [case[1:] for case in NO_HTTP], ids=[case[0] for case in NO_HTTP])
async def test_what_is_no_request_gets_a_problem_and_no_route_sees_it(served: Served, raw: bytes, code: str) -> None:
    answer = await served.ask(raw)
    assert answer.code == code
    assert answer.headers["connection"] == "close" and answer.headers["x-content-type-options"] == "nosniff"
    assert served.app.state.calls == []


async def test_calls_in_one_packet_are_answered_one_after_the_other(served: Served) -> None:
    line = await served.connect()
    raw = json.dumps({"n": 1}).encode()
    await line.send(HELLO + POST + b"Content-Length: %d\r\n\r\n" % len(raw) + raw + HELLO)
    assert [(await line.answer()).status for _ in range(3)] == [200, 200, 200]
    assert served.app.state.calls == ["hello", "echo", "hello"]


async def test_who_hangs_up_leaves_nothing_behind(served: Served) -> None:
    for part in (b"", b"GET /v1", HELLO[:-2], POST + b"Content-Length: 10\r\n\r\n{", LATER):
        line = await served.connect()
        await line.send(part)
        line.close()
    served.app.state.gone_on.set()
    assert (await served.ask(HELLO)).status == 200
    await until(lambda: not served.gate.open)
    assert not served.gate.by_address


async def test_one_address_has_its_places_and_no_more() -> None:
    async with serving(small_app(), Gate(most_per_address=2)) as running:
        mine = [await running.connect("127.0.0.2") for _ in range(2)]
        for line in mine:
            await line.send(HELLO)
            assert (await line.answer()).status == 200
        third = await (await running.connect("127.0.0.2")).answer()
        assert third.code == "429 connections.too_many" and third.headers["retry-after"] == "2"
        assert (await running.ask(HELLO, "127.0.0.3")).status == 200
        mine[0].close()
        await until(lambda: running.gate.by_address["127.0.0.2"] == 1)
        assert (await running.ask(HELLO, "127.0.0.2")).status == 200


async def test_a_trusted_proxy_has_as_many_connections_as_it_needs() -> None:
    gate = Gate(most_per_address=1, proxies=addresses.networks(["127.0.0.2/32"]))
    async with serving(small_app(), gate) as running:
        for _ in range(3):
            line = await running.connect("127.0.0.2")
            await line.send(HELLO)
            assert (await line.answer()).status == 200


async def test_when_all_places_are_taken_the_one_that_asked_nothing_goes() -> None:
    async with serving(small_app(), Gate(most=3)) as running:
        working = await running.connect()
        await working.send(LATER)
        await until(lambda: bool(running.app.state.calls))
        idle = [await running.connect("127.0.0.2") for _ in range(2)]
        await until(lambda: running.gate.open == 3)
        assert (await running.ask(HELLO, "127.0.0.3")).status == 200
        assert await idle[0].rest() == b""
        running.app.state.gone_on.set()
        assert (await working.answer()).body == b'"done"'


async def test_when_everybody_works_the_next_one_is_told_to_come_back() -> None:
    async with serving(small_app(), Gate(most=1)) as running:
        working = await running.connect()
        await working.send(LATER)
        await until(lambda: bool(running.app.state.calls))
        refused = await (await running.connect()).answer()
        assert refused.code == "503 overloaded" and refused.headers["retry-after"] == "2"
        running.app.state.gone_on.set()
        assert (await working.answer()).status == 200
