"""The inbox as server-sent events: bounded in number and memory, and over with the caller's token, key or standing."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import datetime

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service import clock
from service.engine.hub import Hub
from service.errors import TooManyRequests
from service.queries import clients, inbox
from service.security.principals import Principal
from service.web import problems

# One for a participant's system and one for its successor; and far fewer than a node has connections.
PER_PARTICIPANT = 2
MOST = 200
_COME_BACK = 5  # seconds
# At most so many orders are in memory for a stream; the next ones are read once its reader has taken these.
_PAGE = 20
# How often a stream looks again, at its caller too; the commit that lays something into the inbox wakes it earlier.
LOOK_AGAIN = 2.0
# A proxy that hears nothing for a while takes the stream for dead.
_HEARTBEAT = 10.0


class Streams:
    """How many streams one node has open, in all and by whose they are: a participant's, or a person's."""

    def __init__(self, most: int = MOST, of_one: int = PER_PARTICIPANT) -> None:
        self._most = most
        self._of_one = of_one
        self._open: Counter[str] = Counter()

    @contextlib.contextmanager
    def place(self, whose: str) -> Iterator[None]:
        """Hold a place for one stream. Raises ``TooManyRequests`` where there is none."""
        if self._open[whose] >= self._of_one or self._open.total() >= self._most:
            raise TooManyRequests("streams.too_many", retry_after=_COME_BACK)
        self._open[whose] += 1
        try:
            yield
        finally:
            self._open[whose] -= 1
            self._open += Counter()  # forgets who has none

    def __len__(self) -> int:
        """How many are open."""
        return self._open.total()


class Events(StreamingResponse):
    """One stream. Nobody's connection to the database waits with it."""

    media_type = "text/event-stream"

    def __init__(self, streams: Streams, hub: Hub, principal: Principal, after: int, ends_at: datetime) -> None:
        super().__init__(_events(hub, principal, after, ends_at), headers={"X-Accel-Buffering": "no"})
        self._streams = streams
        self._participant_id = principal.tenant

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, if there is a place for it."""
        try:
            place = contextlib.ExitStack()
            place.enter_context(self._streams.place(self._participant_id))
        except TooManyRequests as error:
            await problems.answer(error)(scope, receive, send)
            return
        with place:
            await super().__call__(scope, receive, send)


async def _events(hub: Hub, principal: Principal, after: int, ends_at: datetime) -> AsyncIterator[str]:
    doorbell = hub.writer.doorbell
    yield "retry: 2000\n\n"
    spoke_at = clock.monotonic()
    with doorbell.waiting(principal.tenant) as bell:
        while True:
            left = (ends_at - clock.utc_now()).total_seconds()
            if doorbell.is_closed or left <= 0:
                yield f": {'leaving' if doorbell.is_closed else 'the token has ended'}\n\n"
                return
            async with hub.database.read(principal.reach) as conn:
                # The switch that stops a system, its key or its house stops what it reads within this look.
                if await clients.find(conn, principal.client_id, key=principal.jkt) is None:
                    return
                page = await inbox.page(conn, hub.vault, principal, after=after, limit=_PAGE)
            for item in page.items:
                yield f"id: {item.position}\ndata: {item.model_dump_json()}\n\n"
            after = page.next
            if page.items:
                spoke_at = clock.monotonic()
                continue
            if clock.monotonic() - spoke_at >= _HEARTBEAT:
                yield ":\n\n"
                spoke_at = clock.monotonic()
            await bell.wait(min(LOOK_AGAIN, left))
