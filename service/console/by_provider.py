"""Signing in at the identity provider: the way there, the way back, and its word that somebody has left."""

import functools
from datetime import timedelta

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from adapters.base import DeliveryFailed
from adapters.openid.provider import Provider
from adapters.openid.tokens import LEEWAY, Refused
from service import clock, errors, log
from service.actions import end_by_provider, sign_in_by_provider
from service.console import doors, places, providers, rendering
from service.security.console_session import SESSION_LIFETIME
from service.security.single_use import SingleUse
from service.security.trips import LIFETIME, Trip
from service.web import bodies, refusals
from service.web.doors import HubDep, RawBody

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

TRIP = "hoatoc_trip"
_LOGOUT_KEPT = timedelta(hours=1)
_log = log.get("hoatoc.console")


@router.get("/sign-in/provider")
async def go(request: Request, hub: HubDep) -> Response:
    """Send the browser to the provider, with a cookie that only its return fits.

    It is a link and no form: a policy for forms would have to name each address that a provider leads on to.
    """
    doors.same_site(request)
    provider = _provider(request)
    trip = Trip.begin(clock.utc_now())
    try:
        place = await provider.address(
            state=trip.state, nonce=trip.nonce, verifier=trip.verifier, lang=rendering.language(request)
        )
    except (DeliveryFailed, Refused) as failed:
        return _down(request, failed)
    # Here and not on the way back, on which the browser does not show its session.
    await doors.leave_behind(request, hub)
    response = RedirectResponse(place, 303)
    # The way back begins at the provider: a strict cookie would not come along.
    doors.keep(request, response, trip.cookie, LIFETIME, name=TRIP, same_site="lax")
    return response


@router.get(providers.BACK)
async def come_back(request: Request, hub: HubDep) -> Response:
    """Take the answer that the browser brings, exchange it, and start a session for whom it is about."""
    provider, now, given = _provider(request), clock.utc_now(), request.query_params
    trip = Trip.read(request.cookies.get(doors.cookie_name(request, TRIP), ""), now)
    keep = functools.partial(refusals.sign_in, request)
    if trip is None:
        # Any page can send a browser here: without a trip under way there is nothing to keep, and nothing to end.
        return doors.refuse(request, 401, "trip_over", here="/sign-in")
    if not trip.is_of(given.get("state", "")):
        await keep(hub, "trip.foreign")
        return doors.refuse(request, 401, "trip_over", here="/sign-in")
    try:
        await provider.check_issuer(given.get("iss"))
        if not given.get("code"):
            raise Refused("provider.said_no")
        vouched = await provider.exchange(given["code"], verifier=trip.verifier, nonce=trip.nonce, now=now)
    except DeliveryFailed as failed:
        return _down(request, failed)
    except Refused as refused:
        await keep(hub, refused.reason)
        return _over(request, "provider_refused")
    try:
        signed_in = await sign_in_by_provider.sign_in(
            hub,
            trip,
            keep,
            issuer=provider.registered.issuer,
            name=vouched.name,
            subject=vouched.subject,
            session=vouched.session,
            browser=doors.browser(request),
        )
    except errors.Unauthenticated:
        return _over(request, "provider_refused")
    # The browser came here from elsewhere, and takes its strict cookie along only on a way that begins here.
    page = rendering.page(request, "arrived.html", here="/", place=places.landing(signed_in.role))
    doors.keep(request, page, signed_in.session, SESSION_LIFETIME)
    _forget(request, page)
    return page


@router.post("/sign-in/provider/ended")
async def ended(request: Request, hub: HubDep, raw: RawBody) -> Response:
    """Hear from the provider itself that a session is over (Back-Channel Logout 1.0): the answer is 200 or 400."""
    provider, now = _provider(request), clock.utc_now()
    try:
        said = await provider.ended(bodies.read_form(raw).get("logout_token", ""), now)
        # Its identifier is kept for an hour: what is older could be said twice.
        if now.timestamp() - said.issued_at > _LOGOUT_KEPT.total_seconds():
            raise Refused("provider.logout_old")
    except Refused as refused:
        await refusals.sign_in(request, hub, f"logout.{refused.reason}")
        return Response(status_code=400)
    except DeliveryFailed:
        # Its keys cannot be read just now: it may say so again.
        return Response(status_code=503)
    kept = now + _LOGOUT_KEPT + timedelta(seconds=LEEWAY)
    issuer = provider.registered.issuer
    single = SingleUse("console.logout", f"{issuer} {said.token}", kept)
    await end_by_provider.end(hub, issuer=issuer, subject=said.subject, session=said.session, token=single)
    return Response(status_code=200)


def _provider(request: Request) -> Provider:
    found: Provider | None = request.app.state.provider
    if found is None:
        raise errors.NotFound
    return found


def _down(request: Request, failed: DeliveryFailed | Refused) -> Response:
    _log.warning("provider.unreachable", code=failed.code if isinstance(failed, DeliveryFailed) else failed.reason)
    return _over(request, "provider_down", status=503)


def _over(request: Request, kind: str, status: int = 401) -> Response:
    # Nothing of the address is repeated: there is a code in it.
    page = doors.refuse(request, status, kind, here="/sign-in")
    _forget(request, page)
    return page


def _forget(request: Request, page: Response) -> None:
    doors.keep(request, page, "", timedelta(0), name=TRIP, same_site="lax")
