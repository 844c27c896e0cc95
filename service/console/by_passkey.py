"""Signing in with a passkey: a challenge for the browser, and the answer of its authenticator."""

import functools
from datetime import timedelta

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from service import clock, errors
from service.actions import sign_in_by_passkey
from service.console import doors, session
from service.security import compact, passkeys
from service.security.trips import LIFETIME, Trip
from service.web import bodies, refusals
from service.web.doors import HubDep, RawBody

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

TRIP = "hoatoc_passkey"
_LONGEST = 4096


@router.post("/sign-in/passkey/begin")
async def begin(request: Request, hub: HubDep) -> Response:
    """Give the browser something to sign that is its own and counts once; nothing is stored."""
    doors.same_site(request)
    site = passkeys.site_of(hub.settings.address)
    if site is None or not hub.settings.takes_passkeys:
        raise errors.NotFound
    trip = Trip.begin(clock.utc_now())
    response = JSONResponse({"site": site, "challenge": passkeys.challenge(trip.challenge)})
    doors.keep(request, response, trip.cookie, LIFETIME, name=TRIP)
    return response


@router.post("/sign-in/passkey")
async def answer(request: Request, hub: HubDep, raw: RawBody) -> Response:
    """Check what the authenticator signed and start a session of whose passkey it is."""
    doors.same_site(request)
    fields, keep = bodies.read_form(raw), functools.partial(refusals.sign_in, request)
    trip = begun(request)
    said, client_data, signature = (decoded(fields, name) for name in ("data", "client_data", "signature"))
    try:
        if trip is None:
            await keep(hub, "trip.missing")
            raise errors.Unauthenticated("sign_in.refused")
        signed_in = await sign_in_by_passkey.sign_in(
            hub,
            trip,
            keep,
            credential_id=fields.get("credential_id", ""),
            said=said + client_data,
            signature=signature,
            browser=doors.browser(request),
        )
    except errors.Unauthenticated:
        page = doors.refuse(request, 401, "passkey_refused", here="/sign-in")
    else:
        page = await session.arrive(request, hub, signed_in)
    forget(request, page)
    return page


def begun(request: Request) -> Trip | None:
    """Return what this browser began, if it is not too long ago."""
    return Trip.read(request.cookies.get(doors.cookie_name(request, TRIP), ""), clock.utc_now())


def forget(request: Request, page: Response) -> None:
    """Take the browser's cookie of the ceremony back."""
    doors.keep(request, page, "", timedelta(0), name=TRIP)


def decoded(fields: dict[str, str], name: str) -> bytes:
    """Return the bytes of a field in unpadded base64url; none for what is no such text."""
    text = fields.get(name, "")
    return (compact.canonical_base64url(text) if len(text) <= _LONGEST else None) or b""
