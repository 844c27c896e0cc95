"""What one node takes in at a time: under overload what can wait is told to come back, before what cannot."""

import contextlib
from collections.abc import AsyncIterator, Iterator

from service import metrics
from service.errors import Unavailable
from service.web.turns import PATIENCE, Turns

# Of ten connections; what is left is for those who read, and a node's own work is never behind more than these.
AT_ONCE = 4
# A filing is a dozen statements, and four are worked on at a time: beyond forty, a normal one would wait for seconds.
MOST_NORMAL = 40
# Below the crowd's thousand by far: whoever is let in is answered, whatever knocks behind him.
MOST = 160
_NORMAL_COMES_BACK = 10  # seconds
_URGENT_COMES_BACK = 2


class Admission:
    """Counts the requests that are being filed; a place is given at once or not at all, nobody queues for one.

    Whoever has a place is worked on when it is his turn. Answers need no place: they end work that was let in.
    """

    def __init__(
        self, most: int = MOST, most_normal: int = MOST_NORMAL, at_once: int = AT_ONCE, patience: float = PATIENCE
    ) -> None:
        self._most = {True: most, False: most_normal}
        self._filings, self._answers = (Turns(at_once, of, patience) for of in ("filings", "answers"))
        self.inside = 0

    @contextlib.asynccontextmanager
    async def filing(self, *, urgent: bool) -> AsyncIterator[None]:
        """Hold a place and a turn while one request is filed. Raises ``Unavailable`` (503): nothing was written."""
        with self.place(urgent=urgent):
            async with self._filings.turn(urgent=urgent):
                yield

    @contextlib.asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """Hold a turn while one answer is taken in. Raises ``Unavailable`` (503): nothing was written."""
        async with self._answers.turn():
            yield

    @contextlib.contextmanager
    def place(self, *, urgent: bool) -> Iterator[None]:
        """Hold a place while one request is filed. Raises ``Unavailable`` (503, ``Retry-After``): nothing was written.

        A normal request finds one only while few are inside, so that an urgent one still does in the rush.
        """
        if self.inside >= self._most[urgent]:
            metrics.SHED.labels("urgent" if urgent else "normal").inc()
            raise Unavailable("overloaded", retry_after=_URGENT_COMES_BACK if urgent else _NORMAL_COMES_BACK)
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1
