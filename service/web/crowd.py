"""How many calls one node works on at a time: what comes on top is told to come back, at once."""

from starlette.types import ASGIApp, Receive, Scope, Send

from service import metrics
from service.errors import Unavailable
from service.web import problems

MOST_AT_ONCE = 1_000
_COME_BACK = 2  # seconds


class CrowdGuard:
    """Answers 503 with ``Retry-After`` to whatever would be one too many.

    Counted here and not per connection: a client that has hung up may leave its call behind.
    """

    def __init__(self, app: ASGIApp, most: int = MOST_AT_ONCE) -> None:
        self.app = app
        self.most = most
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.inside >= self.most:
            metrics.SHED.labels("crowd").inc()
            error = Unavailable("overloaded", retry_after=_COME_BACK)
            await problems.answer(error, {"Connection": "close"})(scope, receive, send)
            return
        self.inside += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.inside -= 1
