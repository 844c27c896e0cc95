"""Signing in by a single-use link, the page of the ways there are, and signing out."""

import functools

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from adapters.openid.provider import Provider
from service import db, errors
from service.actions.entering import SignedIn
from service.actions.sign_in import sign_in
from service.actions.sign_out import sign_out
from service.console import doors, places, rendering
from service.engine.hub import Hub
from service.queries import sessions
from service.security import passkeys
from service.security.console_session import SESSION_LIFETIME
from service.web import refusals
from service.web.doors import HubDep
from workflows.entry_terms import Way

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)


@router.get("/sign-in")
async def ways(request: Request, hub: HubDep) -> Response:
    """Show the ways in that are configured; without JavaScript the page says which of them works."""
    chosen = hub.settings
    by_passkey = chosen.takes_passkeys and passkeys.site_of(chosen.address) is not None
    return rendering.page(
        request,
        "ways.html",
        by_provider=request.app.state.provider is not None,
        by_passkey=by_passkey,
        by_link=chosen.sign_in_by_links,
    )


@router.get("/sign-in/{token}")
async def ask(request: Request, hub: HubDep, token: str) -> Response:
    """Show the one button: whatever fetches the page ahead of the person does not spend the link."""
    async with hub.database.read(db.HUB) as conn:
        is_open = await sessions.link_is_open(conn, token)
    if not is_open or not hub.settings.sign_in_by_links:
        return doors.refuse(request, 401, "link_over")
    return rendering.page(request, "sign_in.html")


@router.post("/sign-in/{token}")
async def spend(request: Request, hub: HubDep, token: str) -> Response:
    """Spend the link, set the cookie and go to the first place of the role."""
    doors.same_site(request)
    keep = functools.partial(refusals.sign_in, request)
    try:
        signed_in = await sign_in(hub, token, keep, user_agent=request.headers.get("user-agent", ""))
    except errors.Unauthenticated:
        return doors.refuse(request, 401, "link_over", here=request.url.path)
    return await arrive(request, hub, signed_in)


async def arrive(request: Request, hub: Hub, signed_in: SignedIn) -> Response:
    """Give the browser its session, in the place of one it had, and send it to the first place of the role."""
    await doors.leave_behind(request, hub)
    response = RedirectResponse(places.landing(signed_in.role), 303)
    doors.keep(request, response, signed_in.session, SESSION_LIFETIME)
    return response


@router.post("/sign-out")
async def leave(request: Request, hub: HubDep, _: doors.FormDep) -> Response:
    """End the session and forget its cookie; whoever came from the provider signs out there too."""
    way = await sign_out(hub, doors.presented(request))
    response: Response = RedirectResponse("/", 303)
    provider: Provider | None = request.app.state.provider
    if way is Way.PROVIDER and provider is not None:
        place = await provider.leaving(f"{hub.settings.address}/sign-in", rendering.language(request))
        if place is not None:
            response = rendering.page(request, "left.html", here="/", place=place)
    name, secure = doors.cookie_name(request), doors.is_secure(request)
    response.delete_cookie(name, path="/", httponly=True, samesite="strict", secure=secure)
    return response
