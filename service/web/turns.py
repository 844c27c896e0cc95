"""Who is worked on at a time: so many calls of a kind, and of those that stand in line the urgent ones first."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

from service import metrics

# Half of what a participant's client waits for its answer: the rest is for the work itself.
PATIENCE = 5.0
# After so many urgent ones in a row one that can wait has its turn: it was let in, too.
_IN_A_ROW = 3


class WaitedTooLong(Exception):
    """No turn came within the patience of whoever waited."""


class Turns:
    """Gives so many turns at a time; ``of`` says for a metric whose they are.

    A node has one processor. More calls under way at one time finish no sooner, and what sends to the participants
    stands in line behind each of them.
    """

    def __init__(self, at_once: int, of: str, patience: float = PATIENCE) -> None:
        self._free = at_once
        self._of = of
        self._patience = patience
        self._urgent_in_a_row = 0
        self._waiting: dict[bool, deque[asyncio.Future[None]]] = {True: deque(), False: deque()}

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return sum(map(len, self._waiting.values()))

    @contextlib.asynccontextmanager
    async def turn(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """Wait for a turn, hold it, and give it to the next one: who is urgent first, then who came first.

        Of four turns one is for who can wait. Raises ``WaitedTooLong`` after ``patience`` seconds.
        """
        began = asyncio.get_running_loop().time()
        try:
            if self._free:
                self._free -= 1
            else:
                await self._wait(urgent)
        finally:
            metrics.TURN_WAIT.labels(self._of).observe(asyncio.get_running_loop().time() - began)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, urgent: bool) -> None:
        mine = asyncio.get_running_loop().create_future()
        self._waiting[urgent].append(mine)
        try:
            async with asyncio.timeout(self._patience):
                await mine
        except BaseException as ended:
            # Whoever goes away may have been given a turn at this very instant.
            if mine.done() and not mine.cancelled():
                self._pass_on()
            else:
                with contextlib.suppress(ValueError):
                    self._waiting[urgent].remove(mine)
            if isinstance(ended, TimeoutError):
                raise WaitedTooLong from None
            raise

    def _pass_on(self) -> None:
        urgent_first = self._urgent_in_a_row < _IN_A_ROW
        for urgent in (urgent_first, not urgent_first):
            while self._waiting[urgent]:
                following = self._waiting[urgent].popleft()
                if not following.done():
                    self._urgent_in_a_row = self._urgent_in_a_row + 1 if urgent else 0
                    following.set_result(None)
                    return
        self._free += 1
