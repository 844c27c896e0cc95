"""All connections of one server: how many there may be, from where, how long each may take, and which only wait."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service import metrics
from service.errors import HubError, TooManyRequests, Unavailable
from service.web import addresses
from service.web.addresses import Network

MOST = 1_000
MOST_PER_ADDRESS = 200
_COME_BACK = 2  # seconds


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client may take, in seconds, each counted from the beginning of its part and never prolonged."""

    head: float = 10.0  # from the first byte, or from the connection on
    body: float = 21.0  # the guard of bodies answers after 20; this is for what does not get that far
    answer: float = 20.0  # until what we wrote was read
    linger: float = 1.0  # after an answer that came before all was sent


class Waiting(Protocol):
    """A connection, as the gate sees it."""

    def cut(self, why: str) -> None:
        """End it without a word."""


class Gate:
    """Lets connections in, by address and in all.

    Where all places are taken, whoever has been waiting longest without having asked anything has to go: a client that
    means it has sent its head long since.
    """

    def __init__(
        self,
        patience: Patience | None = None,
        *,
        most: int = MOST,
        most_per_address: int = MOST_PER_ADDRESS,
        proxies: Sequence[Network] = (),
    ) -> None:
        self.patience = patience or Patience()
        self.most = most
        self.most_per_address = most_per_address
        self.proxies = proxies
        self.open = 0
        self.by_address: Counter[str] = Counter()
        self._waiting: dict[Waiting, None] = {}  # in the order in which they began to wait

    def enter(self, address: str) -> HubError | None:
        """Count a connection in, or return why it may not come in. A trusted proxy counts its own clients."""
        counted = addresses.counted_as(address)
        if self.by_address[counted] >= self.most_per_address and not addresses.is_in(address, self.proxies):
            metrics.CONNECTIONS_CUT.labels(why="address").inc()
            return TooManyRequests("connections.too_many", retry_after=_COME_BACK)
        if self.open >= self.most:
            oldest = next(iter(self._waiting), None)
            if oldest is None:
                metrics.CONNECTIONS_CUT.labels(why="crowd").inc()
                return Unavailable("overloaded", retry_after=_COME_BACK)
            oldest.cut("crowd")
        self.open += 1
        self.by_address[counted] += 1
        return None

    def leave(self, connection: Waiting, address: str) -> None:
        """Count a connection out that was let in."""
        counted = addresses.counted_as(address)
        self.open -= 1
        self.by_address[counted] -= 1
        if not self.by_address[counted]:
            del self.by_address[counted]
        self._waiting.pop(connection, None)

    def waits(self, connection: Waiting) -> None:
        """Note that a connection has asked nothing yet; one that waits already keeps its place."""
        self._waiting.setdefault(connection)

    def works(self, connection: Waiting) -> None:
        """Note that a connection's call is under way."""
        self._waiting.pop(connection, None)
