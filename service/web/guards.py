"""The guards in front of every route, as pure ASGI middleware, and the order in which they stand."""

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.web import admission, limits, problems
from service.web.addresses import AddressGuard, Network
from service.web.admission import Admission
from service.web.bodies import BodyGuard
from service.web.crowd import CrowdGuard
from service.web.request_log import RequestLog

STATIC = "/static/"
# On every answer of a drill's hub, whoever asks, whatever for, and on none of the real one's (ADR 0064).
DRILL = "Hoatoc-Drill"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityHeaders:
    """Adds the security headers to every answer; a route that sets one of them itself keeps its own.

    Nothing is cached but the files under ``/static/`` and what a route marks as cacheable. In a ``drill`` every answer
    says that it is one's.
    """

    def __init__(self, app: ASGIApp, *, drill: bool = False) -> None:
        self.app = app
        self._headers = HEADERS | {DRILL: "true"} if drill else HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message["headers"]))
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith(STATIC):
                    headers.setdefault("Cache-Control", "no-store")
                message = {**message, "headers": headers.raw}
            await send(message)

        await self.app(scope, receive, with_headers)


def install(
    app: FastAPI,
    proxies: Sequence[Network] = (),
    per_address: int = limits.PER_ADDRESS,
    *,
    connections: int = 10,
    drill: bool = False,
) -> None:
    """Put the guards, the budgets and the problem answers in front of ``app``'s routes.

    From outside to inside: headers (every answer gets them, the 500 too), the log, the address, the bodies, the crowd:
    a call takes a place in it once it has been received whole, so that slow bodies take none. ``connections`` to the
    database are what the turns of filings and answers are counted by.
    """
    problems.install(app)
    app.state.limits = limits.shipped(per_address)
    app.state.admission = Admission(at_once=admission.at_once(connections))
    # The last one added stands outermost.
    app.add_middleware(CrowdGuard)
    app.add_middleware(BodyGuard)
    app.add_middleware(AddressGuard, proxies=proxies)
    app.add_middleware(RequestLog)
    app.add_middleware(SecurityHeaders, drill=drill)
