"""A registered server and canaries around it, on real sockets of the loopback: who is connected to is counted there."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import wire_servers
from wire_servers import Answer, Authority, says

from adapters.base import DeliveryFailed, Endpoint
from adapters.transport import Transport

NAME = "bank.example"
GOOD = "127.0.0.1"
NETWORK = "127.0.0.1/32"


@dataclass
class Site:
    """The registered server at 127.0.0.1:``port``, and how often each canary was connected to.

    ``dialled`` is every address that the transport asked the system to connect to. What is not on the loopback leads to
    the registered server if it stands in ``mapped``, and is refused and counted as a hit if it does not: whatever a
    broken transport tries, no packet leaves the machine.
    """

    authority: Authority
    port: int = 0
    other: int = 0
    answer: Answer = field(default_factory=lambda: says("200 OK"))
    requests: list[str] = field(default_factory=list)
    hits: Counter[str] = field(default_factory=Counter)
    dialled: list[tuple[str, int]] = field(default_factory=list)
    mapped: set[tuple[str, int]] = field(default_factory=set)
    looked_up: list[str] = field(default_factory=list)

    def spell(self, text: str) -> str:
        """Put the ports into a vector."""
        return text.replace("{port}", str(self.port)).replace("{other}", str(self.other))

    def endpoint(self, url: str, network: str | None = NETWORK, port: int | None = None, **more: Any) -> Endpoint:
        """Return an endpoint with this URL, as if it had been registered and approved."""
        more = {"ca_pem": self.authority.pem, **more}
        return wire_servers.endpoint(url, network=network, port=port or self.port, **more)

    async def lookup(self, name: str, port: int) -> Sequence[str]:
        """Resolve on the attacker's side: every spelling is read, every unknown name leads to a canary."""
        self.looked_up.append(name)
        if name == NAME:
            return [GOOD]
        with contextlib.suppress(OSError):
            return [socket.inet_ntoa(socket.inet_aton(name))]
        with contextlib.suppress(ValueError):
            return [str(ipaddress.ip_address(name))]
        return ["127.0.0.2", "::1", "127.0.0.3"]


async def post(transport: Transport, to: Endpoint, url: str | None = None) -> str:
    """Send a message and return ``reached``, or the code of the failure."""
    try:
        # A broken deadline must turn a test red, not hang it.
        async with asyncio.timeout(10):
            await transport.post(to.url if url is None else url, content=b"{}", headers={}, endpoint=to)
    except DeliveryFailed as failed:
        return failed.code
    return "reached"


@contextlib.asynccontextmanager
async def site(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """Start the server and the canaries; all of their certificates are good for every name that a vector may use."""
    made = Site(Authority(folder, "authority of the site"))
    names = (NAME, "localhost", "evil.example", *("127.0.0.1", "127.0.0.2", "127.0.0.3", "::1"))
    files = made.authority.issue(*names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    async with contextlib.AsyncExitStack() as stack:
        await _listen(made, context, stack)
        _watch(made, monkeypatch)
        yield made


async def _listen(made: Site, context: ssl.SSLContext, stack: contextlib.AsyncExitStack) -> None:
    tasks: set[asyncio.Task[None]] = set()

    def reading(writer: asyncio.StreamWriter) -> asyncio.ReadTransport:
        assert isinstance(writer.transport, asyncio.ReadTransport)
        return writer.transport

    def door(name: str, tls: ssl.SSLContext | None) -> Any:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if name != GOOD:
                # Counted when the connection is accepted, whatever is said on it.
                made.hits[name] += 1
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                if tls is None:
                    reading(writer).resume_reading()
                else:
                    await writer.start_tls(tls)
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    await reader.readexactly(2)
                    if name == GOOD:
                        made.requests.append(head)
                    await made.answer(writer)
            writer.close()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # A greeting that comes before TLS is begun here would be lost.
            reading(writer).pause_reading()
            task = asyncio.ensure_future(serve(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        return accept

    async def listen(name: str, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        server = await asyncio.start_server(door(name, tls), host, port)
        stack.callback(server.close)
        return int(server.sockets[0].getsockname()[1])

    async def hang_up() -> None:
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    stack.push_async_callback(hang_up)
    made.port = await listen(GOOD, GOOD, 0, context)
    # The very port of the registered one, so that no check of ports hides what the check of addresses lets pass.
    await listen("127.0.0.2", "127.0.0.2", made.port, context)
    await listen("127.0.0.3", "127.0.0.3", made.port, None)
    made.other = await listen("another port", GOOD, 0, context)
    if socket.has_ipv6:
        with contextlib.suppress(OSError):
            await listen("::1", "::1", made.port, context)


def _watch(made: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = asyncio.BaseEventLoop.create_connection

    async def dial(loop: Any, factory: Any, host: str, port: int, **more: Any) -> Any:
        made.dialled.append((host, port))
        if (host, port) in made.mapped:
            return await connect(loop, factory, GOOD, made.port, **more)
        if not ipaddress.ip_address(host).is_loopback:
            made.hits[host] += 1
            raise OSError("nothing leaves this machine")
        return await connect(loop, factory, host, port, **more)

    # What every client of the loop comes to, whichever library it is.
    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", dial)
