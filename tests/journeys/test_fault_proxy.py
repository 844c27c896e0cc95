"""The fault proxy does what the bench believes of it: a fault that never strikes would prove nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from journey_faults import Fault, FaultProxy, Kind
from journey_processes import until


class Echo:
    """Answers each line with itself, and keeps what it got."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.connections = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                self.lines.append(line)
                writer.write(line)
                await writer.drain()
        writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, FaultProxy]]:
    behind = Echo()
    server = await asyncio.start_server(behind.answer, "127.0.0.1", 0)
    async with FaultProxy(target=server.sockets[0].getsockname()[1]).running() as proxy:
        yield behind, proxy
    server.close()


async def say(proxy: FaultProxy, line: bytes = b"hello\n") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        async with asyncio.timeout(20):
            writer.write(line)
            return await reader.readline()
    finally:
        writer.transport.abort()


async def test_without_a_fault_everything_passes(echo: tuple[Echo, FaultProxy]) -> None:
    behind, proxy = echo
    assert await say(proxy) == b"hello\n"
    assert behind.lines == [b"hello\n"]


async def test_a_delay_holds_up_the_connection_the_way_there_and_the_way_back(echo: tuple[Echo, FaultProxy]) -> None:
    behind, _ = echo
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async with FaultProxy(target=echo[1].target, sleep=sleep).running() as proxy:
        proxy.fault = Fault(Kind.DELAY, 0.1)
        assert await say(proxy) == b"hello\n"
    assert waits == [0.1] * 3 and behind.lines == [b"hello\n"]


async def test_an_answer_is_cut_after_so_many_bytes_though_all_was_heard(echo: tuple[Echo, FaultProxy]) -> None:
    behind, proxy = echo
    proxy.fault = Fault(Kind.CUT, 3)
    assert await say(proxy) == b"hel"
    proxy.fault = Fault(Kind.CUT, 0)
    assert await say(proxy) == b""
    assert behind.lines == [b"hello\n"] * 2


async def test_a_reset_ends_old_and_new_connections(echo: tuple[Echo, FaultProxy]) -> None:
    behind, proxy = echo
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"first\n")
    assert await reader.readline() == b"first\n"
    proxy.fault = Fault(Kind.RESET)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.transport.abort()
    with pytest.raises(ConnectionResetError):
        await say(proxy)
    proxy.fault = Fault()
    assert await say(proxy) == b"hello\n"
    assert behind.lines == [b"first\n", b"hello\n"]


async def test_what_a_black_hole_swallowed_arrives_when_it_is_over(echo: tuple[Echo, FaultProxy]) -> None:
    behind, proxy = echo
    proxy.fault = Fault(Kind.BLACK_HOLE)
    saying = asyncio.create_task(say(proxy))
    # Another connection, made later and answered at once, shows that the first one had its time.
    async with FaultProxy(target=proxy.target).running() as beside:
        assert await say(beside, b"beside\n") == b"beside\n"
    assert not saying.done() and behind.lines == [b"beside\n"]
    proxy.fault = Fault()
    assert await saying == b"hello\n"


async def test_what_was_asked_comes_twice_and_is_answered_once(echo: tuple[Echo, FaultProxy]) -> None:
    behind, proxy = echo
    proxy.fault = Fault(Kind.DUPLICATE)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello\n")
    assert await reader.readline() == b"hello\n"

    async def twice() -> bool:
        return behind.lines == [b"hello\n"] * 2 and behind.connections == 2

    await until(twice, 10, "the second time")
    writer.write(b"bye\n")
    assert await reader.readline() == b"bye\n"
    writer.transport.abort()
