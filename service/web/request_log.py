"""One log line and one figure a request, with its route and never its content; the 500 of what nobody expected."""

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import clock, log, metrics
from service.web import problems

REQUEST_ID = "X-Request-Id"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_log = log.get("hoatoc.web")


class BrokenOff(Exception):
    """An exception came after the answer had begun; the connection ends, and its cause is in the log without values."""


class RequestLog:
    """Logs method, route template, status, duration and request id: no path, query, header, token or body (R14).

    The same, but for the id, goes to the metrics; the status of a client that left before its answer is ``none``.

    An exception that no handler knows becomes a 500 whose incident is the request id; ``service.log`` writes its type
    and the lines it passed, not its message, which may quote the values it failed on.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = str(clock.new_id())
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.perf_counter()
        status: int | None = None

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {
                    **message,
                    "headers": [*message["headers"], (REQUEST_ID.lower().encode(), request_id.encode())],
                }
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, watched)
            except Exception as error:
                _log.error("request.failed", exc_info=error)
                if status is not None:
                    raise BrokenOff(request_id) from None
                await problems.internal(request_id)(scope, receive, watched)
            finally:
                took = time.perf_counter() - began
                method = scope["method"] if scope["method"] in _METHODS else "other"
                route = _route(scope)
                metrics.HTTP_SECONDS.labels(method, route, status or "none").observe(took)
                _log.info("request", method=method, route=route, status=status, milliseconds=round(took * 1000, 1))


def _route(scope: Scope) -> str:
    """Return the route's template; an address that no route takes is never logged, it may hold anything."""
    template = getattr(scope.get("route"), "path", None)
    if template is None:
        return "unmatched"
    # A route of an included router knows its own part only; what precedes it has no parameters in it.
    path, own = scope["path"].split("/"), template.split("/")
    prefix = path[1 : len(path) - len(own) + 1]
    return "/".join(["", *prefix, *own[1:]]) if "path" not in scope.get("path_params", {}) else template
