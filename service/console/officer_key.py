"""The page on which an officer sees his signing keys and makes a new one in the browser; it registers nothing."""

import base64
import hashlib

from fastapi import APIRouter, Request, Response

from service.console import doors, rendering
from service.queries import approvals
from service.security import passkeys
from service.web.doors import HubDep

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)


@router.get("/officer/key")
async def show(request: Request, hub: HubDep, seat: doors.SeatDep) -> Response:
    """Show the keys that count now, and two ways to make one; an administrator registers its public half."""
    principal = seat.principal
    async with hub.database.read(principal.reach) as conn:
        signer = await approvals.signer(conn, principal, seat.now)
    return rendering.page(
        request,
        "officer_key.html",
        signer=signer,
        agency=principal.tenant,
        # What an authenticator keeps as the owner of a passkey: the same for all of an officer's, and no name in it.
        handle=_handle(principal.tenant, principal.client_id),
        site=passkeys.site_of(hub.settings.address),
        now=seat.now,
    )


def _handle(tenant: str, officer_id: str) -> str:
    digest = hashlib.sha256(f"{tenant}\x00{officer_id}".encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
