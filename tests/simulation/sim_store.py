"""What both stores of the simulation share: the connections that are open, and who waits for one of them to let go."""

import asyncio
from collections.abc import Callable
from typing import Any


class Connections:
    """The open connections of all processes; ``before`` and ``after`` are told of what each does."""

    def __init__(self) -> None:
        self.open: dict[Any, None] = {}
        self.before: Callable[[Any, str], Any] | None = None
        self.after: Callable[[Any, str], Any] | None = None
        self._freed = asyncio.Event()

    def cut(self, owner: Any) -> None:
        """End the connections of a process that is gone: what it had not committed has never been."""
        for each in [each for each in self.open if each.owner is owner]:
            each.cut()

    def free(self) -> None:
        """Let those that wait for a lock, or for the one writer's place, look again."""
        self._freed.set()
        self._freed = asyncio.Event()

    async def wait(self) -> None:
        """Wait until somebody may have let go."""
        await self._freed.wait()

    def close(self) -> None:
        """End whatever is open."""
        for each in list(self.open):
            each.cut()
