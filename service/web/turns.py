"""Who is worked on at a time: so many calls of a kind, and of those that wait the ones that cannot wait go first."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

from service import metrics
from service.errors import Unavailable

# As long as a client may still wait for its answer; a connection to the database is waited for no longer either.
PATIENCE = 10.0
_COME_BACK = 2  # seconds


class Turns:
    """Gives so many turns at a time; ``of`` says for a metric whose they are.

    A node has one processor. More calls under way at one time finish no sooner, and what sends to the participants
    stands in line behind each of them.
    """

    def __init__(self, at_once: int, of: str, patience: float = PATIENCE) -> None:
        self._free = at_once
        self._waits = metrics.TURN_WAIT.labels(of)
        self._patience = patience
        self._waiting: dict[bool, deque[asyncio.Future[None]]] = {True: deque(), False: deque()}

    @contextlib.asynccontextmanager
    async def turn(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """Wait for a turn, hold it, and give it to the next one: who is urgent first, then who came first.

        Raises ``Unavailable`` (503, ``Retry-After``) after ten seconds: nothing was written.
        """
        began = asyncio.get_running_loop().time()
        if self._free:
            self._free -= 1
        else:
            await self._wait(urgent)
        self._waits.observe(asyncio.get_running_loop().time() - began)
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
                metrics.SHED.labels("urgent" if urgent else "normal").inc()
                raise Unavailable("overloaded", retry_after=_COME_BACK) from None
            raise

    def _pass_on(self) -> None:
        for waiting in (self._waiting[True], self._waiting[False]):
            while waiting:
                following = waiting.popleft()
                if not following.done():
                    following.set_result(None)
                    return
        self._free += 1
