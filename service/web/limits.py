"""How often one member or address may knock: two token buckets each, kept in this process's memory."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from service.errors import TooManyRequests

PER_SECOND = 20  # both as X-Road starts; the proxy in front holds the same per address
PER_MINUTE = 600
# A participant answers a hundred orders in one burst; an agency files one at a time. All systems of one share it.
_OTHERS_PER_SECOND, _OTHERS_PER_MINUTE = 200, 6_000
# Before any token is looked at, so for everybody behind one address together: two participants at full speed.
PER_ADDRESS = 400
# Refusals that become facts, one each: beyond them they are counted. A flood of bad tokens must not fill the audit.
_REFUSALS_PER_MINUTE = 30
_REFUSALS_OF_ALL_PER_MINUTE = 600


@dataclass(slots=True)
class _Bucket:
    size: float
    refill: float  # tokens a second
    level: float
    at: float

    def wait(self, now: float) -> float:
        """Fill up to ``now`` and return the seconds until there is a token (0: there is one)."""
        self.level = min(self.size, self.level + (now - self.at) * self.refill)
        self.at = now
        return max(0.0, (1 - self.level) / self.refill)


class Limits:
    """Counts the requests of each client; the one that has been quiet longest is forgotten first."""

    def __init__(
        self,
        per_second: int = PER_SECOND,
        per_minute: int = PER_MINUTE,
        *,
        clients: int = 10_000,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sizes = ((per_second, float(per_second)), (per_minute, per_minute / 60))
        self._clients = clients
        self._now = now
        self._buckets: OrderedDict[str, tuple[_Bucket, ...]] = OrderedDict()

    def take(self, client: str) -> None:
        """Count one request of ``client``. Raises TooManyRequests with the seconds to wait; that one is not counted."""
        now = self._now()
        buckets = self._buckets.get(client)
        if buckets is None:
            buckets = tuple(_Bucket(size, refill, size, now) for size, refill in self._sizes)
            self._buckets[client] = buckets
            if len(self._buckets) > self._clients:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(client)
        wait = max(bucket.wait(now) for bucket in buckets)
        if wait > 0:
            raise TooManyRequests("rate.exceeded", retry_after=math.ceil(wait))
        for bucket in buckets:
            bucket.level -= 1


def shipped(per_address: int = PER_ADDRESS) -> dict[str, Limits]:
    """Return the budgets of one node, by what they are for; nodes share none of them."""
    return {
        "agency": Limits(),
        "other": Limits(_OTHERS_PER_SECOND, _OTHERS_PER_MINUTE),
        "stranger": Limits(),
        "address": Limits(per_address, per_address * 30),
        "refusals": Limits(_REFUSALS_PER_MINUTE, _REFUSALS_PER_MINUTE),
        "refusals of all": Limits(_REFUSALS_OF_ALL_PER_MINUTE, _REFUSALS_OF_ALL_PER_MINUTE, clients=1),
    }
