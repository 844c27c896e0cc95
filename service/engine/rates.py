"""How many calls may begin to an endpoint now: a bucket that fills at its rate and holds a second's worth."""

from uuid import UUID


class Rates:
    """One bucket an endpoint; instants are seconds of one clock that never goes back."""

    def __init__(self) -> None:
        # What is in it, and since when that is so.
        self._buckets: dict[UUID, tuple[float, float]] = {}

    def left(self, endpoint_id: UUID, per_second: float, at: float) -> int:
        """Return how many calls may begin at ``at``; however rarely something is sent, no more than a second's worth.

        A rate below one a second lets one begin, and the next when a whole one has flown in.
        """
        most = max(1.0, per_second)
        held, since = self._buckets.get(endpoint_id, (most, at))
        held = min(most, held + (at - since) * per_second)
        self._buckets[endpoint_id] = held, at
        return max(0, int(held))

    def take(self, endpoint_id: UUID) -> None:
        """Count a call that begins; one that nobody asked about here (a breaker's probe) is owed."""
        if endpoint_id in self._buckets:
            held, since = self._buckets[endpoint_id]
            self._buckets[endpoint_id] = held - 1, since
