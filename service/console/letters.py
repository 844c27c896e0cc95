"""The letter of an order for a person who is signed in: what is printed, filed, or carried to a bank by hand."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from service.actions import write_letter
from service.console import doors, rendering
from service.web.doors import HubDep
from workflows.terms import Door

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)


@router.get("/orders/{order_id}/letter.pdf")
async def letter(request: Request, hub: HubDep, seat: doors.SeatDep, order_id: UUID) -> Response:
    """Return the letter in the reader's language; an unknown order and another's get the same page."""
    made = await write_letter.write(hub, seat.principal, Door.CONSOLE, order_id, rendering.language(request))
    headers = {"Content-Disposition": rendering.attachment(hub.settings, f"{order_id}.pdf", "inline")}
    return Response(made, media_type="application/pdf", headers=headers)
