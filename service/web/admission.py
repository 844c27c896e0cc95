"""How many requests one node files at a time: under overload what can wait is told to come back, before what cannot."""

import contextlib
from collections.abc import Iterator

from service import metrics
from service.errors import Unavailable

# A filing is some twenty statements on one of ten connections: beyond forty, a normal one would wait for seconds.
MOST_NORMAL = 40
# Below the crowd's thousand by far: whoever is let in is answered, whatever knocks behind him.
MOST = 160
_NORMAL_COMES_BACK = 10  # seconds
_URGENT_COMES_BACK = 2


class Admission:
    """Counts the requests that are being filed; a place is given at once or not at all, nobody queues for one."""

    def __init__(self, most: int = MOST, most_normal: int = MOST_NORMAL) -> None:
        self._most = {True: most, False: most_normal}
        self.inside = 0

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
