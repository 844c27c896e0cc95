"""Signing in by a single-use link, and signing out."""

import functools

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from service import db, errors
from service.actions.sign_in import sign_in
from service.actions.sign_out import sign_out
from service.console import doors, places, rendering
from service.queries import sessions
from service.security.console_session import SESSION_LIFETIME
from service.web import refusals
from service.web.doors import HubDep

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)


@router.get("/sign-in/{token}")
async def ask(request: Request, hub: HubDep, token: str) -> Response:
    """Show the one button: whatever fetches the page ahead of the person does not spend the link."""
    async with hub.database.read(db.HUB) as conn:
        is_open = await sessions.link_is_open(conn, token)
    if not is_open:
        return doors.refuse(request, 401, "link_over")
    return rendering.page(request, "sign_in.html")


@router.post("/sign-in/{token}")
async def spend(request: Request, hub: HubDep, token: str) -> Response:
    """Spend the link, set the cookie and go to the first place of the role."""
    doors.same_site(request)
    try:
        signed_in = await sign_in(hub, token, functools.partial(refusals.sign_in, request))
    except errors.Unauthenticated:
        return doors.refuse(request, 401, "link_over", here=request.url.path)
    response = RedirectResponse(places.landing(signed_in.role), 303)
    response.set_cookie(
        doors.cookie_name(request),
        signed_in.session,
        max_age=int(SESSION_LIFETIME.total_seconds()),
        path="/",
        httponly=True,
        samesite="strict",
        secure=doors.is_secure(request),
    )
    return response


@router.post("/sign-out")
async def leave(request: Request, hub: HubDep, _: doors.FormDep) -> Response:
    """End the session and forget its cookie."""
    await sign_out(hub, doors.presented(request))
    response = RedirectResponse("/", 303)
    name, secure = doors.cookie_name(request), doors.is_secure(request)
    response.delete_cookie(name, path="/", httponly=True, samesite="strict", secure=secure)
    return response
