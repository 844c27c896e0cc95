"""Which failures of the database are an outage, to be waited out, and which are a fault of what was asked of it."""

import contextlib
import socket
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, InvalidRequestError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock

# Serialization failure, deadlock, idle in a transaction for too long, admin shutdown, crash shutdown, cannot connect
# now; 08xxx is a lost connection.
_TRY_AGAIN = frozenset({"40001", "40P01", "25P03", "57P01", "57P02", "57P03"})
# Beyond those: no room on the disk or for a connection, and a server that has become, or still is, a standby.
_DOWN = _TRY_AGAIN | {"25006", "53100", "53200", "53300"}
# What the driver says of a connection that the server has ended, or said that it ends and has not closed yet.
_ENDED = (asyncpg.InterfaceError, asyncpg.InternalClientError)
# What an outage can arrive as: the driver's own classes where a connection is ended while it is being set up.
MAY_BE = (DBAPIError, PoolTimeout, InvalidRequestError, OSError, asyncpg.PostgresError, *_ENDED)
_RESTED = 1.0  # seconds
# What the pool says when a connection that it made anew was ended as well, before it could be given out.
_EACH_WAS_CLOSED = "This connection is closed"
# PROMISES 8.2: a peer that says nothing for about ten seconds is gone, whether it is asked or waited for.
_NOTICED = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000),
)
# The same the other way round, asked of the server for each session (ADR 0067): a node that lost its power, or stands
# still, holds the heads of chains until the server ends its transaction, and by itself that one waits for two hours.
LETS_GO = {
    "idle_in_transaction_session_timeout": "8s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
# Not every platform can do it, so it is no condition of the connection as the above are.
_LOOKS_FOR_US = "SELECT set_config('client_connection_check_interval', '5s', false)"
_TAKE_TIME = sa.text("SELECT set_config('idle_in_transaction_session_timeout', '0', true)")


async def take_time(conn: AsyncConnection) -> None:
    """Let this transaction lie idle for as long as it takes: for work on whole tables, from which nobody waits."""
    if conn.dialect.name == "postgresql":
        await conn.execute(_TAKE_TIME)


async def stands(conn: AsyncConnection) -> None:
    """Raise, as a lost connection does, where the server has ended this one: its transaction had no effect."""
    driver = (await conn.get_raw_connection()).driver_connection if conn.dialect.name == "postgresql" else None
    if driver is not None and driver.is_closed():
        await conn.invalidate()
        raise DBAPIError("COMMIT", {}, ConnectionResetError("the server ended it"), connection_invalidated=True)


def attend(engine: sa.Engine) -> None:
    """Let both ends of each PostgreSQL connection notice when the other one is gone."""

    @sa.event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        driver = connection.driver_connection
        try:
            if driver.is_closed():
                raise asyncpg.InterfaceError("connection is closed")
            # asyncpg has no door to its socket.
            notice_a_dead_peer(driver._transport.get_extra_info("socket"))
            with contextlib.suppress(asyncpg.PostgresError):
                connection.run_async(lambda driver: driver.execute(_LOOKS_FOR_US))
        except _ENDED as gone:
            # By a server that went down this very moment: nobody here makes an outage of what the driver says.
            raise ConnectionResetError("the server ended the connection as it was made") from gone

    ask_after_a_rest(engine)


def notice_a_dead_peer(peer: socket.socket) -> None:
    """Let the kernel end a TCP connection whose other machine has died: that one sends nothing, not even a reset.

    Without this a connection waits for two hours, and a node hangs on it long after the standby has taken over.
    """
    if peer.family != socket.AF_UNIX:
        for level, option, value in _NOTICED:
            peer.setsockopt(level, option, value)


def ask_after_a_rest(engine: sa.Engine) -> None:
    """Ask a PostgreSQL connection whether it still stands before it is given out, if it has rested for a while.

    Asking costs three trips to the server and back: what was answered on a moment ago, and has not been closed since,
    is given out as it is. One that is gone takes the others with it, which were opened to the same server.
    """

    @sa.event.listens_for(engine, "checkin")
    def on_checkin(_connection: Any, record: Any) -> None:
        record.info["rests_since"] = clock.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def on_checkout(connection: Any, record: Any, _proxy: object) -> None:
        rested = clock.monotonic() - record.info.pop("rests_since", clock.monotonic())
        try:
            if connection.driver_connection.is_closed():
                raise InvalidatePoolError
            if rested > _RESTED:
                connection.ping()
        except connection.dbapi.Error as gone:
            raise InvalidatePoolError from gone


def may_repeat(error: DBAPIError) -> bool:
    """Tell whether a unit that failed before its commit may simply run again, at once."""
    code = _code(error)
    if code is None:
        # Whoever finds his connection ended, and not by this statement, is told so by the driver alone.
        return error.connection_invalidated or (
            isinstance(error, OperationalError) and "database is locked" in str(error.orig)
        )
    return code in _TRY_AGAIN or code.startswith("08")


def is_outage(error: BaseException) -> bool:
    """Tell whether the database is away, full, or has no connection left: nothing is wrong with what was asked.

    The driver's own classes do not say it: of a server that starts anew, asyncpg's errors arrive as plain
    ``DBAPIError`` with SQLSTATE 57P03.
    """
    if isinstance(error, InvalidRequestError):
        return _EACH_WAS_CLOSED in str(error)
    if isinstance(error, OSError):
        # Of a name with several addresses a plain one says that none answers; what names a file is no network's.
        return error.filename is None
    if isinstance(error, asyncpg.PostgresError):
        return _is_down(error.sqlstate)
    if not isinstance(error, DBAPIError):
        return isinstance(error, (PoolTimeout, *_ENDED))
    if error.connection_invalidated or isinstance(error, OperationalError | InterfaceError):
        return True
    return _is_down(_code(error))


def _is_down(code: str | None) -> bool:
    return code is not None and (code in _DOWN or code.startswith("08"))


def _code(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
