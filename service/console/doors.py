"""What each page asks for: the person behind the cookie, a form with its token, and errors told as pages."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.types import Scope

from service import db, errors, i18n
from service.actions.note_presence import note_presence
from service.actions.sign_out import sign_out
from service.console import forms, places, rendering
from service.engine.hub import Hub
from service.queries import sessions
from service.queries.sessions import Seat
from service.security import browsers, console_session
from service.security.console_session import SessionToken
from service.security.principals import ScopeMissing
from service.web import bodies, multipart, problems, refusals
from service.web.doors import HubDep, RawBody
from workflows.entry_terms import SessionEnd

# The prefix binds a cookie to this host and to TLS (RFC 6265bis, 4.1.3); browsers refuse it without TLS.
_COOKIE = "hoatoc_session"
_SECURE = "__Host-"

# A page that renews itself says whether anybody moved since the last time: a screen left alone signs itself out.
PRESENCE = "Hoatoc-Presence"
_NOTE_EVERY = timedelta(minutes=1)
# A hundred targets with six fields each, and what stands around them.
MOST_ANSWERS = 700


class SessionMissing(Exception):
    """There is no cookie, or its session is over: the page says how to get a link."""


class FormForged(Exception):
    """A form came without this session's token, or from another site."""


class PageRoute(APIRoute):
    """A route that answers errors with a page; the same errors are JSON problems at the door for machines."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with the errors around it."""
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await answer(request)
            except SessionMissing:
                return refuse(request, 401, "no_session")
            except FormForged:
                return refuse(request, 403, "forged")
            except ScopeMissing:
                return refuse(request, 403, "forbidden")
            except (errors.NotFound, RequestValidationError):
                return refuse(request, 404, "not_found")
            except errors.HubError as error:
                page = refuse(request, error.status, "error", detail=told(error, rendering.language(request)))
                if error.retry_after:
                    page.headers["Retry-After"] = str(error.retry_after)
                return page

        return handler


async def seat(request: Request, hub: HubDep) -> Seat:
    """Return who sits behind the cookie. Raises SessionMissing."""
    token = presented(request)
    if not token:
        raise SessionMissing
    found = await seated(hub, token)
    if found is None:
        raise SessionMissing
    if found.browser != browser(request):
        # The cookie has left the browser that it was given to: whoever has it now, the session is over for both.
        await sign_out(hub, token, SessionEnd.MOVED)
        await refusals.sign_in(request, hub, "session.moved")
        raise SessionMissing
    request.state.csrf_token = console_session.csrf_token(SessionToken(token))
    is_alone = request.headers.get(PRESENCE) == "away" or "wall" in request.query_params
    if found.now - found.seen_at >= _NOTE_EVERY and not is_alone:
        await note_presence(hub, token, found.now)
        found = replace(found, seen_at=found.now)
    request.state.seat = found
    return found


async def seated(hub: Hub, token: str) -> Seat | None:
    """Return who sits behind a cookie's text; None once that session is over."""
    async with hub.database.read(db.HUB) as conn:
        return await sessions.find(conn, token)


async def form(request: Request, raw: RawBody) -> dict[str, str]:
    """Return the fields of a form that this site sent with this session's token. Raises FormForged."""
    same_site(request)
    fields = bodies.read_form(raw)
    _check_token(request, fields)
    return fields


async def answers(request: Request, raw: RawBody) -> dict[str, str]:
    """Return the fields of a long form, as ``form`` does; what nobody sees in a pasted text is taken out of it."""
    same_site(request)
    fields = bodies.read_form(raw, most=MOST_ANSWERS, cleans=True)
    _check_token(request, fields)
    return fields


async def files(request: Request, raw: RawBody) -> multipart.Form:
    """Return a form with a file that this site sent with this session's token. Raises FormForged."""
    same_site(request)
    found = multipart.read(raw, request.headers.get("content-type", "").encode("latin-1"))
    _check_token(request, found.fields)
    return found


def _check_token(request: Request, fields: dict[str, str]) -> None:
    if not console_session.csrf_matches(SessionToken(presented(request)), fields.get("csrf_token", "")):
        raise FormForged


def same_site(request: Request) -> None:
    """Refuse what another site's page sent (Fetch Metadata; older browsers say nothing). Raises FormForged."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise FormForged


def presented(request: Request) -> str:
    """Return the session cookie's text, or an empty one."""
    return request.cookies.get(cookie_name(request), "")


async def leave_behind(request: Request, hub: Hub) -> None:
    """End the session that this browser has, if any: it comes in anew, and nothing of before stays open."""
    if token := presented(request):
        await sign_out(hub, token, SessionEnd.REPLACED)


def browser(request: Request) -> str:
    """Return which kind of browser calls."""
    return browsers.kind(request.headers.get("user-agent", ""))


def cookie_name(request: Request, name: str = _COOKIE) -> str:
    """Return the name of the session's cookie, or of another one, which tells whether it needs TLS."""
    return f"{_SECURE}{name}" if is_secure(request) else name


def keep(
    request: Request,
    response: Response,
    value: str,
    lasts: timedelta,
    *,
    name: str = _COOKIE,
    same_site: Literal["strict", "lax"] = "strict",
) -> None:
    """Give the browser a cookie that no script reads and no other host gets; ``timedelta(0)`` takes it back."""
    response.set_cookie(
        cookie_name(request, name),
        value,
        max_age=int(lasts.total_seconds()),
        path="/",
        httponly=True,
        samesite=same_site,
        secure=is_secure(request),
    )


def is_secure(request: Request) -> bool:
    """Tell whether this hub's cookies travel over TLS alone."""
    return forms.needs_secure_cookie(request.app.state.hub.settings.address)


def refuse(request: Request, status: int, kind: str, *, here: str | None = None, detail: str | None = None) -> Response:
    """Return the page ``console.<kind>`` of an error."""
    base = here or (None if request.method == "GET" else places.start(getattr(request.state, "seat", None)))
    # What is unknown is not led back to: there is no such page for who asks.
    back = getattr(request.state, "stood_on", None) if status != 404 else None
    return rendering.page(request, "refused.html", status=status, here=base, kind=kind, detail=detail, back=back)


def stood_on(request: Request, path: str) -> None:
    """Note the page that a form stood on, without anything typed in it: a refusal of the form leads back there."""
    request.state.stood_on = path


def page_of(scope: Scope, error: errors.HubError, headers: Mapping[str, str]) -> Response:
    """Return the page of an error that stopped a form before any route saw it, in the person's language."""
    request = Request(scope)
    page = refuse(request, error.status, "error", detail=told(error, rendering.language(request)))
    page.headers.update(headers)
    if error.retry_after:
        page.headers["Retry-After"] = str(error.retry_after)
    return page


def told(error: errors.HubError, lang: str) -> str:
    """Return in words what is wrong: of wrong fields what is wrong with each, for a page has no list of them."""
    if error.fields:
        return " ".join(dict.fromkeys(problems.field_message(each, lang) for each in error.fields))
    key = f"errors.{error.code}.detail"
    return i18n.text(key if i18n.has(key) else "errors.unknown.detail", lang, **error.params)


SeatDep = Annotated[Seat, Depends(seat)]
FormDep = Annotated[dict[str, str], Depends(form)]
AnswersDep = Annotated[dict[str, str], Depends(answers)]
FilesDep = Annotated[multipart.Form, Depends(files)]
