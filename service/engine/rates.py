"""How many calls may begin to an endpoint now: those of its rate that did not begin within the time that they take."""

from collections import defaultdict, deque
from uuid import UUID

# As many as the highest rate that an endpoint may say.
_KEPT = 1_000


class Rates:
    """When calls to each endpoint began; instants are seconds of one clock that never goes back."""

    def __init__(self) -> None:
        self._begun: defaultdict[UUID, deque[float]] = defaultdict(lambda: deque(maxlen=_KEPT))

    def left(self, endpoint_id: UUID, per_second: float, at: float) -> int:
        """Return how many calls may begin at ``at``, so that in no second more begin; a rest is not saved up.

        Below one a second one begins, and the next when its time has passed.
        """
        most = max(1, int(per_second))
        within = most / per_second
        return max(0, most - sum(each > at - within for each in self._begun[endpoint_id]))

    def take(self, endpoint_id: UUID, at: float) -> None:
        """Keep that a call begins, also one that nobody asked about here (a breaker's probe)."""
        self._begun[endpoint_id].append(at)
