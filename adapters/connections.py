"""The kept connections to one endpoint: HTTP/1.1, the one that was used last goes first."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import h11
import httpx

from adapters.targets import HTTP, HTTPS

_Headers = Sequence[tuple[bytes, bytes]]

# What may lie here unread: of a peer that sends more, no more is taken from the system until this is read.
_UNREAD_MOST = 64 * 1024
# Status line and headers at most.
_LARGEST_HEAD = 64 * 1024
# These announce an answer and are none; 101 is one: nobody asked for another protocol.
_ANNOUNCE = frozenset(range(100, 200)) - {101}


@dataclass(frozen=True, slots=True)
class _Peer:
    """Whom a connection leads to: an address and a port, and the name that its certificate is for."""

    address: str
    port: int
    name: str


class _Connection(asyncio.Protocol):
    """One connection with at most one call under way; every fault is an ``OSError`` or an ``h11.ProtocolError``."""

    def __init__(self, peer: _Peer) -> None:
        self.peer = peer
        self.idle_since: float | None = None
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._unread = 0
        self._is_paused = False
        self._fault: Exception | None = None
        self.is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what writes; which class that is of is the loop's own affair."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take what came; what nobody asked for is no answer, and whoever sends it is not called again."""
        if self.idle_since is not None:
            self.hang_up()
            return
        self._http.receive_data(data)
        self._unread += len(data)
        if self._unread > _UNREAD_MOST and self._transport is not None and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Note that no more will come."""
        self._end(None)

    def connection_lost(self, fault: Exception | None) -> None:
        """Note that it is over, and why."""
        self._end(fault)

    def hang_up(self) -> None:
        """End it at once; a goodbye could be waited for."""
        self.is_over = True
        if self._transport is not None:
            self._transport.abort()

    async def ask(self, method: bytes, path: bytes, headers: _Headers, content: bytes) -> tuple[int, _Headers]:
        """Call, and return the status and the headers of the answer, once they are here."""
        assert self._transport is not None
        if self.is_over:
            # Hung up on right after the greeting; writing to what is closed is an error of its own on some loops.
            raise self._fault or ConnectionAbortedError("hung up")
        self.idle_since = None
        call = h11.Request(method=method, target=path, headers=list(headers))
        # As one piece: a head that travels alone costs a record and a system call of its own.
        parts = [self._http.send(each) for each in (call, h11.Data(content), h11.EndOfMessage())]
        self._transport.write(b"".join(filter(None, parts)))
        while True:
            event = await self._event()
            if isinstance(event, h11.Response | h11.InformationalResponse) and event.status_code not in _ANNOUNCE:
                return event.status_code, event.headers.raw_items()

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the body of the answer as it comes."""
        while True:
            event = await self._event()
            if not isinstance(event, h11.Data):
                return
            yield bytes(event.data)

    def is_free_again(self) -> bool:
        """Tell whether the call is over on both sides and another one may follow; it is prepared for then."""
        # One that reads no further would not hear what comes unasked, and take it for the next answer.
        if self.is_over or self._is_paused or self._http.trailing_data[0]:
            return False
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def _event(self) -> object:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._fault is not None:
                raise self._fault
            if self.is_over:
                raise ConnectionAbortedError("hung up")
            self._unread = 0
            if self._is_paused and self._transport is not None:
                self._is_paused = False
                self._transport.resume_reading()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def _end(self, fault: Exception | None) -> None:
        self._fault = self._fault or fault
        if not self.is_over and fault is None:
            # The end of an answer without a length, or of one that is cut off.
            self._http.receive_data(b"")
        self.is_over = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Connections:
    """Opens connections, ``most`` at a time, keeps each for ``idle`` seconds after its last call, and shares none."""

    def __init__(self, context: ssl.SSLContext | None, most: int, idle: float) -> None:
        self._context, self._idle = context, idle
        self._most = most
        self._room = asyncio.Semaphore(most)
        # The one that was used last is at the end; those at the beginning get old and are closed.
        self._kept: list[_Connection] = []
        self._under_way: set[_Connection] = set()
        self._opening = 0
        self._is_closed = False

    async def take(self, peer: _Peer, within: float | None) -> _Connection:
        """Return a connection to ``peer``, a kept one or a new one; whoever takes it gives it back.

        Raises ``TimeoutError`` where opening one takes more than ``within`` seconds, and ``OSError``.
        """
        await self._room.acquire()
        try:
            connection = self._last(peer) or await self._opened(peer, within)
        except BaseException:
            self._room.release()
            raise
        self._under_way.add(connection)
        return connection

    def give_back(self, connection: _Connection) -> None:
        """Keep it for the next call if nothing of this one is left on it; otherwise hang up."""
        self._under_way.remove(connection)
        self._room.release()
        if self._is_closed or not connection.is_free_again():
            connection.hang_up()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        self._kept.append(connection)

    def close(self) -> None:
        """Hang up on everybody, and keep nothing any more of a call that ends later."""
        self._is_closed = True
        for connection in (*self._kept, *self._under_way):
            connection.hang_up()
        self._kept.clear()

    def _last(self, peer: _Peer) -> _Connection | None:
        oldest = asyncio.get_running_loop().time() - self._idle
        kept: list[_Connection] = []
        for each in self._kept:
            if each.is_over or each.idle_since is None or each.idle_since < oldest:
                each.hang_up()
            else:
                kept.append(each)
        self._kept = kept
        for at in range(len(kept) - 1, -1, -1):
            if kept[at].peer == peer:
                return kept.pop(at)
        return None

    async def _opened(self, peer: _Peer, within: float | None) -> _Connection:
        # Never more than ``most``, those that are kept for another address among them.
        while self._kept and len(self._kept) + len(self._under_way) + self._opening >= self._most:
            self._kept.pop(0).hang_up()
        self._opening += 1
        try:
            async with asyncio.timeout(within):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(peer),
                    peer.address,
                    peer.port,
                    ssl=self._context,
                    server_hostname=peer.name if self._context else None,
                )
        except ConnectionResetError as error:
            # A reset that no system call reported: the peer hung up amidst the greeting, as one does over a version.
            raise error if error.errno else ssl.SSLEOFError("the greeting was broken off") from None
        finally:
            self._opening -= 1
        return connection


class _Answer(httpx.AsyncByteStream):
    """The body of an answer; its connection is given back when it is closed."""

    def __init__(self, connections: _Connections, connection: _Connection) -> None:
        self._connections, self._connection = connections, connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _faults():
            async for chunk in self._connection.body():
                yield chunk

    async def aclose(self) -> None:
        self._connections.give_back(self._connection)


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except (OSError, h11.ProtocolError) as error:
        raise httpx.ReadError("") from error


class Kept(httpx.AsyncBaseTransport):
    """What is under httpx for one endpoint: at most ``most`` connections, each kept for ``idle`` seconds after a call.

    They lead where the URL of a request says, under its name (``sni_hostname``), and nowhere else: there is nothing
    here that the environment or an answer could turn. A call that is broken off, at whatever point, leaves none taken.
    """

    def __init__(self, context: ssl.SSLContext | None, most: int, idle: float) -> None:
        """Take what TLS is spoken with; ``None`` speaks plain HTTP, which only a sandbox does with its hub."""
        self._scheme, self._port = ("http", HTTP) if context is None else ("https", HTTPS)
        self._connections = _Connections(context, most, idle)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the address that its URL names, and return the answer when its head is here."""
        if request.url.scheme != self._scheme:
            raise httpx.UnsupportedProtocol(request.url.scheme, request=request)
        how = request.extensions
        host = request.url.host
        peer = _Peer(host, request.url.port or self._port, how.get("sni_hostname", host))
        try:
            connection = await self._connections.take(peer, how["timeout"]["connect"])
        except TimeoutError as error:
            raise httpx.ConnectTimeout("", request=request) from error
        except OSError as error:
            raise httpx.ConnectError("", request=request) from error
        answer = _Answer(self._connections, connection)
        try:
            with _faults():
                method, path = request.method.encode(), request.url.raw_path
                status, headers = await connection.ask(method, path, request.headers.raw, request.content)
        except BaseException:
            await answer.aclose()
            raise
        return httpx.Response(status, headers=list(headers), stream=answer, request=request)

    async def aclose(self) -> None:
        """Hang up."""
        self._connections.close()
