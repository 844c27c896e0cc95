"""A commit that no standby holds: PostgreSQL reports it as done, and says in a warning only that it may be lost."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class NotReplicated(OSError):
    """A commit took effect, and whether a standby has it is unknown: it is not acknowledged, and asking again tells."""


async def replicated(connection: Any, end: Callable[[], Awaitable[None]], within: float | None) -> None:
    """Await ``end``, the commit on an asyncpg connection, for at most ``within`` seconds.

    Raises ``NotReplicated`` when it took longer, and when the server warned of it: whoever cancels a session that waits
    for its synchronous standby makes the server report success, with the warning "canceling wait for synchronous
    replication due to user request" (PostgreSQL, src/backend/replication/syncrep.c). Its text is in the server's
    language and its SQLSTATE is the general 01000; a COMMIT has no other warning.
    """
    heard: list[str] = []

    def hear(_connection: object, message: Any) -> None:
        if message.severity_en == "WARNING":
            heard.append(message.sqlstate)

    if not connection.is_closed():
        connection.add_log_listener(hear)
    try:
        async with asyncio.timeout(within):
            # Broken off, it leaves the pool: the driver ends the server's waiting and closes the connection.
            await end()
    except TimeoutError:
        raise NotReplicated(f"no answer to a commit within {within} s") from None
    finally:
        connection.remove_log_listener(hear)
    if heard:
        raise NotReplicated(f"the server warned of the commit: {', '.join(heard)}")
