"""A stream that brings an open page what changes of it, for as long as its reader's session lasts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service.console import doors
from service.console.watching import Watch
from service.engine.hub import Hub
from service.errors import TooManyRequests
from service.security.principals import Principal
from service.web import problems

# How often a stream that has nothing to tell says that it is alive: the page renews itself once it does not.
ALIVE = 5.0

News = Callable[[], Awaitable[str]]


class Events(StreamingResponse):
    """One reader's stream; no connection to the database waits with it.

    It lasts for as long as ``is_alive``. ``news`` is asked whenever something was recorded, and every few seconds: it
    returns the parts of the page that differ from what it returned before, as HTML, or an empty text.
    """

    media_type = "text/event-stream"

    def __init__(self, request: Request, principal: Principal, is_alive: Callable[[], Awaitable[bool]], news: News):
        self._watch: Watch = request.app.state.watch
        self._hub: Hub = request.app.state.hub
        self._person = f"{principal.tenant} {principal.client_id}"
        content = _events(self._hub, self._watch, is_alive, news)
        super().__init__(content, headers={"X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, if there is a place for it."""
        try:
            with self._watch.place(self._hub, self._person):
                await super().__call__(scope, receive, send)
        except TooManyRequests as error:
            await problems.answer(error)(scope, receive, send)


def of_session(request: Request, hub: Hub) -> Callable[[], Awaitable[bool]]:
    """Return what tells whether the reader's session lasts: it ends for a stream as it does for every page."""
    token = doors.presented(request)

    async def is_alive() -> bool:
        return await doors.seated(hub, token) is not None

    return is_alive


async def _events(hub: Hub, watch: Watch, is_alive: Callable[[], Awaitable[bool]], news: News) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    while not hub.writer.doorbell.is_closed:
        moved = watch.next_move
        if not await is_alive():
            yield "event: over\ndata:\n\n"
            return
        html = await news()
        if html:
            data = "".join(f"data: {line}\n" for line in html.splitlines() if line.strip())
            yield f"{data}\n"
        yield "event: alive\ndata:\n\n"
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(moved.wait(), ALIVE)
