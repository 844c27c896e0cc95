"""The page on which a person sees where he is signed in and by which passkeys, ends sessions, and stays."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse, RedirectResponse

from service import errors
from service.actions import end_sessions, enroll_passkey
from service.console import by_passkey, doors, rendering
from service.queries import sessions
from service.security import browsers, passkey_making, passkeys
from service.security.passkeys import AssertionRefused
from service.web.doors import HubDep

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

PATH = "/sessions"


@router.get(PATH)
async def show(request: Request, hub: HubDep, seat: doors.SeatDep) -> Response:
    """Show the sessions and the passkeys of whoever asks, and of nobody else."""
    principal = seat.principal
    async with hub.database.read(principal.reach) as conn:
        mine = await sessions.open_of(conn, principal, seat.now)
        held = await sessions.passkeys_of(conn, principal)
    chosen = hub.settings
    return rendering.page(
        request,
        "sessions.html",
        mine=mine,
        browser_names=browsers.NAMES,
        held=held,
        most=enroll_passkey.MOST,
        site=passkeys.site_of(chosen.address) if chosen.takes_passkeys else None,
        origin=passkeys.origin_of(chosen.address),
        now=seat.now,
    )


@router.post(f"{PATH}/ends")
async def end(request: Request, hub: HubDep, seat: doors.SeatDep, form: doors.FormDep) -> Response:
    """End one session of one's own, or all but this one."""
    which = form.get("which", "")
    if which == "others":
        await end_sessions.end_others(hub, seat.principal, seat.id)
    else:
        await end_sessions.end_one(hub, seat.principal, _id(which))
    return RedirectResponse(PATH, 303)


@router.post(f"{PATH}/passkeys")
async def enroll(request: Request, hub: HubDep, seat: doors.SeatDep, form: doors.FormDep) -> Response:
    """Keep a passkey that this browser has just made."""
    enroll_passkey.check(hub, seat)
    trip = by_passkey.begun(request)
    if trip is None:
        raise errors.Conflict("passkey.again")
    data, client_data = (by_passkey.decoded(form, name) for name in ("data", "client_data"))
    try:
        made = passkey_making.read(
            data, client_data, origin=passkeys.origin_of(hub.settings.address) or "", wanted=trip.challenge
        )
    except AssertionRefused:
        raise errors.Conflict("passkey.again") from None
    await enroll_passkey.enroll(hub, seat, made, trip)
    response = RedirectResponse(PATH, 303)
    by_passkey.forget(request, response)
    return response


@router.post(f"{PATH}/passkeys/removals")
async def remove(request: Request, hub: HubDep, seat: doors.SeatDep, form: doors.FormDep) -> Response:
    """Remove a passkey of one's own."""
    await enroll_passkey.remove(hub, seat.principal, _id(form.get("which", "")))
    return RedirectResponse(PATH, 303)


@router.get(f"{PATH}/left")
async def left(seat: doors.SeatDep) -> Response:
    """Say in how many seconds this session ends, and whether it can be prolonged; asking prolongs nothing."""
    return _left(seat)


@router.post(f"{PATH}/stays")
async def stay(seat: doors.SeatDep, _: doors.FormDep) -> Response:
    """Stay: somebody is there, which the door has noted."""
    return _left(seat)


def _left(seat: sessions.Seat) -> Response:
    return JSONResponse({"seconds": seat.ends_within, "last": seat.is_last})


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise errors.NotFound from None
