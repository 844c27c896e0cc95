"""What one node takes in at a time: under overload what can wait is told to come back, before what cannot."""

import contextlib
from collections.abc import AsyncIterator, Iterator

from service import metrics
from service.errors import Unavailable
from service.web.turns import PATIENCE, Turns, WaitedTooLong

# A filing is a dozen statements, and four are worked on at a time: beyond forty, a normal one would wait for seconds.
MOST_NORMAL = 40
# Below the crowd's thousand by far: whoever is let in is answered, whatever knocks behind him.
MOST = 160
# When whoever is turned away is told to come back, in seconds.
_COMES_BACK = {"urgent": 2, "answer": 2, "normal": 10}


class Admission:
    """Counts the requests that are being filed; a place is given at once or not at all, nobody queues for one.

    Whoever has a place is worked on when it is his turn. Answers need no place: they end work that was let in.
    """

    def __init__(
        self, most: int = MOST, most_normal: int = MOST_NORMAL, at_once: int = 4, patience: float = PATIENCE
    ) -> None:
        self._most = {True: most, False: most_normal}
        self._filings, self._answers = (Turns(at_once, of, patience) for of in ("filings", "answers"))
        self.inside = 0

    @contextlib.asynccontextmanager
    async def filing(self, *, urgent: bool) -> AsyncIterator[None]:
        """Hold a place and a turn while one request is filed. Raises ``Unavailable`` (503): nothing was written."""
        with self.place(urgent=urgent):
            async with _turn(self._filings, _name(urgent)):
                yield

    @contextlib.asynccontextmanager
    async def activating(self) -> AsyncIterator[None]:
        """Hold a turn of the filings while a second signature or a call-back goes on with one of before.

        It cannot wait, and needs no place. Raises ``Unavailable`` (503): nothing was written.
        """
        async with _turn(self._filings, "urgent"):
            yield

    @contextlib.asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """Hold a turn while one answer is taken in. Raises ``Unavailable`` (503): nothing was written.

        Whoever would stand behind as many as there are places is told so at once.
        """
        if self._answers.waiting >= self._most[True]:
            raise _turned_away("answer")
        async with _turn(self._answers, "answer"):
            yield

    @contextlib.contextmanager
    def place(self, *, urgent: bool) -> Iterator[None]:
        """Hold a place while one request is filed. Raises ``Unavailable`` (503, ``Retry-After``): nothing was written.

        A normal request finds one only while few are inside, so that an urgent one still does in the rush.
        """
        if self.inside >= self._most[urgent]:
            raise _turned_away(_name(urgent))
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1


def at_once(connections: int) -> int:
    """Return how many filings, and how many answers, are worked on at a time by a node with so many connections.

    At least one of each; from four connections on two are left to whoever reads or signs on.
    """
    return max(1, (connections - 2) // 2)


@contextlib.asynccontextmanager
async def _turn(turns: Turns, what: str) -> AsyncIterator[None]:
    try:
        async with turns.turn(urgent=what == "urgent"):
            yield
    except WaitedTooLong:
        raise _turned_away(what) from None


def _name(urgent: bool) -> str:
    return "urgent" if urgent else "normal"


def _turned_away(what: str) -> Unavailable:
    metrics.SHED.labels(what).inc()
    return Unavailable("overloaded", retry_after=_COMES_BACK[what])
