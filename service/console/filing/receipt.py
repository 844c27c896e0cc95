"""The receipt of a filed request: its number, a code that leads a camera to its page, and what happens next."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from adapters.letter import barcode
from service import errors
from service.console import approving, doors, lanes, rendering
from service.console.filing import steps
from service.queries import board, requests
from service.security.scopes import Scope
from service.web.doors import HubDep
from workflows.terms import Stage

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)


@router.get("/requests/{request_id}/receipt")
async def receipt(request: Request, hub: HubDep, seat: doors.SeatDep, request_id: UUID) -> Response:
    """Show what was filed and where it is followed; no target and no name of a person stands on it."""
    principal = seat.principal
    principal.require(Scope.REQUESTS_READ)
    async with hub.database.read(principal.reach) as conn:
        detail = await requests.one(conn, hub.vault, principal, request_id)
        if detail is None:
            raise errors.NotFound
        behind = await board.background(
            conn,
            principal,
            request_id,
            officers={detail.officer_id},
            participants={order.participant_id for order in detail.order_list},
        )
        pressing = (await board.pressure(conn, principal, [request_id], seat.now))[request_id]
    if behind is None:
        raise errors.NotFound
    lang = rendering.language(request)
    address = f"{hub.settings.address}/requests/{request_id}"
    return rendering.page(
        request,
        "filing/receipt.html",
        detail=detail,
        agency=behind.names[behind.tenant].short,
        officer=approving.officer_names(behind, lang)(detail.officer_id),
        reached=sorted({behind.names[order.participant_id].short for order in detail.order_list}),
        due_at=pressing.due_at if pressing.stage is Stage.APPROVAL else None,
        address=address,
        code=Markup(barcode.scalable(address)),  # noqa: S704 - drawn here, of an address of our own
        begins=steps.PATH,
        files=Scope.REQUESTS_WRITE in principal.scopes,
        looks=lanes.LOOKS,
        now=seat.now,
    )
