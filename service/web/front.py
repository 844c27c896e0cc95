"""The server's end of a connection: absolute times for head, body and reading the answer; problems instead of texts."""

import asyncio
import errno
import logging
import os
import socket
import sys
from http import HTTPStatus
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from service import metrics
from service.errors import HeadTooLarge, HubError, MalformedInput, TooSlow
from service.web import guards, heads, problems
from service.web.connections import Gate

# In seconds: between two calls, and for the calls under way when the server is told to stop.
_KEEP_ALIVE, _FINISH_WITHIN = 5, 25
# What the end of a connection is awaited with is thrown away, but not for ever.
_MOST_DISCARDED = 1_048_576  # bytes

# Uvicorn's own protocol warns of every malformed line that a stranger sends; the metrics count them.
_quiet = logging.getLogger("hoatoc.front")
_quiet.setLevel(logging.ERROR)


def protocol(gate: Gate) -> type["Front"]:
    """Return the protocol of one server, whose connections all pass its gate."""
    return type("GatedFront", (Front,), {"gate": gate})


def config(app: ASGIApp, gate: Gate, host: str, port: int, *, keep_alive: int = _KEEP_ALIVE) -> uvicorn.Config:
    """Return how a server is run: what it is told here it is told everywhere (PROMISES 8.5)."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=protocol(gate),
        ws="none",
        lifespan="on",
        h11_max_incomplete_event_size=heads.LARGEST_HEAD,
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=_FINISH_WITHIN,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
    )


class PortTaken(OSError):
    """The server cannot have its address: told in one sentence that names the settings."""


def bound(host: str, port: int, setting: str = "HOATOC_PORT") -> socket.socket:
    """Return a socket that holds the address and does not listen yet; Uvicorn lets it listen once the hub is up.

    Raises ``PortTaken``, which names the port's ``setting``, where somebody listens there already, or where the address
    is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError as failed:
        made.close()
        if failed.errno == errno.EADDRINUSE:
            taken = f"port {port} of {host} is taken, by another hub perhaps"
            raise PortTaken(f"{taken}: stop that one, or set {setting} to another port") from None
        reason = os.strerror(failed.errno) if failed.errno and failed.errno > 0 else str(failed)
        raise PortTaken(f"cannot listen on {host}:{port} (HOATOC_HOST, {setting}): {reason}") from None
    return made


class Front(H11Protocol):
    """Cuts a client that is slow in any way: deadlines are absolute, so that a byte now and then prolongs nothing."""

    gate: Gate

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.logger = _quiet
        self._socket: asyncio.Transport | None = None
        self._is_in = False
        self._is_over = False
        self._discarded = 0
        self._phase: tuple[str, object] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let the connection in, or tell it why not."""
        self._socket = transport
        super().connection_made(_Closing(transport, self))  # type: ignore[arg-type]
        refused = self.gate.enter(self._address)
        if refused is not None:
            self._say(refused)
            self._is_over = True
            transport.close()
            return
        self._is_in = True
        self._allow("head", self.gate.patience.head)
        self.gate.waits(self)

    def data_received(self, data: bytes) -> None:
        """Read on, unless this connection is over: then what still comes is thrown away."""
        if self._is_over:
            self._discarded += len(data)
            if self._discarded > _MOST_DISCARDED:
                self.cut("discarded")
            return
        super().data_received(data)
        if not self._is_over:
            self._watch(begun=True)

    def pause_writing(self) -> None:
        """Begin to count the seconds in which the client does not read."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """Stop counting them."""
        super().resume_writing()
        self._unread = _cancelled(self._unread)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._leave()
        super().connection_lost(exc)

    # What Uvicorn calls

    def on_response_complete(self) -> None:
        """Wait for the next call."""
        super().on_response_complete()
        if not self._is_over:
            self._watch(begun=bool(self.conn.trailing_data[0]))

    def shutdown(self) -> None:
        """Finish the call that is under way, if there is one, and close."""
        if not self._is_over:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Answer what h11 refused to read with a problem (it is called where the refusal was caught)."""
        status = getattr(sys.exception(), "error_status_hint", 400)
        metrics.CONNECTIONS_CUT.labels(why="malformed").inc()
        if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            self.refuse(HeadTooLarge("head.too_large", max=heads.LARGEST_HEAD))
        else:
            self.refuse(MalformedInput("head.malformed"))

    # Endings

    def finish(self) -> None:
        """Close once the answer was read, or in the end anyway.

        A client that is still sending would get a reset, and with it lose the answer that tells it why.
        """
        if self._is_over or self._socket is None:
            return
        still_sending = self.conn.their_state in (h11.SEND_BODY, h11.ERROR)
        self._end()
        self.gate.waits(self)  # it has its answer: in a crowd it goes first
        if still_sending and self._socket.can_write_eof():
            self._socket.write_eof()
            self._socket.resume_reading()
            self._deadline = self.loop.call_later(self.gate.patience.linger, self._socket.close)
        else:
            self._socket.close()
        self._expect_reading()

    def refuse(self, error: HubError) -> None:
        """Say what is wrong and finish. Where an answer has begun there is nothing left to say."""
        cycle = self.cycle
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.cut("malformed")
            return
        if cycle is not None:
            # Whoever works on the call learns that its client has gone, and writes no second answer.
            cycle.disconnected = True
            cycle.message_event.set()
        self._say(error)
        self.finish()

    def cut(self, why: str) -> None:
        """End the connection without a word."""
        metrics.CONNECTIONS_CUT.labels(why=why).inc()
        self._leave()  # at once: its place is wanted
        if self._socket is not None:
            self._socket.abort()

    @property
    def is_over(self) -> bool:
        """Whether nothing that comes from the client counts any more."""
        return self._is_over

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _watch(self, *, begun: bool) -> None:
        state = self.conn.their_state
        if state is h11.IDLE:
            self.gate.waits(self)
            # Between two calls Uvicorn's own time for an idle connection runs, until the first byte of the next one.
            if begun:
                self._allow("head", self.gate.patience.head)
            elif self._phase != ("head", self.cycle):
                self._allow("head", None)
        else:
            self.gate.works(self)
            self._allow("body", self.gate.patience.body if state is h11.SEND_BODY else None)

    def _allow(self, part: str, seconds: float | None) -> None:
        if seconds is None:
            self._phase, self._deadline = None, _cancelled(self._deadline)
        elif self._phase != (part, self.cycle):
            _cancelled(self._deadline)
            self._phase = (part, self.cycle)
            self._deadline = self.loop.call_later(seconds, self._is_late, part)

    def _is_late(self, part: str) -> None:
        if part == "head" and self.conn.trailing_data[0]:
            metrics.CONNECTIONS_CUT.labels(why="head").inc()
            self.refuse(TooSlow("head.incomplete", seconds=int(self.gate.patience.head)))
        else:
            self.cut(part)

    def _expect_reading(self) -> None:
        if self._unread is None and self._socket is not None:
            self._unread = self.loop.call_later(self.gate.patience.answer, self.cut, "answer")

    def _say(self, error: HubError) -> None:
        assert self._socket is not None
        answer = problems.answer(error, {**guards.HEADERS, "Cache-Control": "no-store", "Connection": "close"})
        status = HTTPStatus(answer.status_code)
        lines = [
            f"HTTP/1.1 {status.value} {status.phrase}".encode(),
            *(b": ".join(pair) for pair in (*self.server_state.default_headers, *answer.raw_headers)),
        ]
        self._socket.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))

    def _end(self) -> None:
        self._is_over = True
        self._deadline = _cancelled(self._deadline)
        self._unread = _cancelled(self._unread)
        self._unset_keepalive_if_required()

    def _leave(self) -> None:
        self._end()
        if self._is_in:
            self._is_in = False
            self.gate.leave(self, self._address)


class _Closing:
    """A transport whose ``close`` is the connection's ``finish``; everything else is the transport's own."""

    def __init__(self, transport: asyncio.Transport, connection: Front) -> None:
        self._transport = transport
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """Finish."""
        self._connection.finish()

    def is_closing(self) -> bool:
        """Tell whether nothing more will be answered."""
        return self._connection.is_over or self._transport.is_closing()


def _cancelled(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    if timer is not None:
        timer.cancel()
    return None
