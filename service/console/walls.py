"""The screens on the walls: the board that one shows without a person, its pairing, and the coordinators' list."""

import functools
from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from service import db, errors
from service.actions import displays as verbs
from service.console import doors, live, rendering
from service.engine.hub import Hub
from service.queries import displays
from service.queries.displays import Screen
from service.queries.sessions import Seat
from service.security import console_session
from service.security.scopes import Scope
from service.web import bodies, refusals
from service.web.doors import HubDep, RawBody

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

# Read by the two routes of the wall and by nothing else: no other page knows that there is such a cookie.
_COOKIE = "hoatoc_display"
_NOTE_EVERY = timedelta(minutes=1)


@router.get("/wall")
async def show(request: Request, hub: HubDep) -> Response:
    """Show the wall's board at a screen that is paired, and the question for its code at any other."""
    screen = await _screen(request, hub)
    if screen is None:
        return rendering.page(request, "wall.html", wrong=False)
    if screen.now - screen.seen_at >= _NOTE_EVERY:
        await verbs.note(hub, screen.id, screen.now)
    return await live.board(request, hub, screen.principal, screen.now, live.WALL)


@router.get("/wall/events")
async def tell(request: Request, hub: HubDep) -> Response:
    """Tell a screen what of the board changes."""
    screen = await _screen(request, hub)
    if screen is None:
        raise doors.SessionMissing
    token = _presented(request)
    return live.events(request, screen.principal, live.WALL, lambda: _is_alive(hub, token))


@router.post("/wall")
async def pair(request: Request, hub: HubDep, raw: RawBody) -> Response:
    """Take the code that somebody types at the screen."""
    doors.same_site(request)
    code = bodies.read_form(raw).get("code", "")
    try:
        token = await verbs.pair(
            hub, code, functools.partial(refusals.sign_in, request), browser=doors.browser(request)
        )
    except errors.Unauthenticated:
        return rendering.page(request, "wall.html", status=401, here="/wall", wrong=True)
    response = RedirectResponse("/wall", 303)
    doors.keep(request, response, token, console_session.DISPLAY_LIFETIME, name=_COOKIE)
    return response


@router.get("/displays")
async def listed(request: Request, hub: HubDep, seat: doors.SeatDep) -> Response:
    """Show the coordinators which screens hang, and when each was last seen."""
    return await _page(request, hub, seat, None)


@router.post("/displays")
async def prepare(request: Request, hub: HubDep, seat: doors.SeatDep, form: doors.FormDep) -> Response:
    """Make a code for one more screen and show it, this once."""
    made = await verbs.prepare(hub, seat.principal, form.get("name", ""))
    return await _page(request, hub, seat, made)


@router.post("/displays/ends")
async def end(request: Request, hub: HubDep, seat: doors.SeatDep, form: doors.FormDep) -> Response:
    """End a screen."""
    try:
        display_id = UUID(form.get("which", ""))
    except ValueError:
        raise errors.NotFound from None
    await verbs.end(hub, seat.principal, display_id)
    return RedirectResponse("/displays", 303)


async def _page(request: Request, hub: Hub, seat: Seat, made: verbs.Prepared | None) -> Response:
    principal = seat.principal
    principal.require(Scope.TASKS_RESOLVE)
    async with hub.database.read(principal.reach) as conn:
        screens = await displays.listed(conn, principal, seat.now)
    return rendering.page(
        request,
        "displays.html",
        here="/displays",
        screens=screens,
        made=made,
        longest=verbs.LONGEST_NAME,
        place=f"{hub.settings.address}/wall",
    )


async def _screen(request: Request, hub: Hub) -> Screen | None:
    token = _presented(request)
    if not token:
        return None
    async with hub.database.read(db.HUB) as conn:
        screen = await displays.find(conn, token)
    if screen is None or screen.browser != doors.browser(request):
        return None
    return screen


async def _is_alive(hub: Hub, token: str) -> bool:
    async with hub.database.read(db.HUB) as conn:
        return await displays.find(conn, token) is not None


def _presented(request: Request) -> str:
    return request.cookies.get(doors.cookie_name(request, _COOKIE), "")
