"""The page of a request's documents: each with its digest and the hands that it went through, by audit number."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from service import errors
from service.console import doors, rendering
from service.queries import board, custody
from service.security.scopes import Scope
from service.web.doors import HubDep
from workflows.terms import Door

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)


@router.get("/requests/{request_id}/custody")
async def show(request: Request, hub: HubDep, seat: doors.SeatDep, request_id: UUID) -> Response:
    """Show the documents of one request and their custody; an unknown one and another's get the same page."""
    principal = seat.principal
    principal.require(Scope.REQUESTS_READ)
    async with hub.database.read(principal.reach) as conn:
        found = await custody.of_request(conn, principal, request_id)
        if found is None:
            raise errors.NotFound
        hands = [hand for document in found.documents for hand in document.hands]
        members = {hand.actor["tenant"] for hand in hands} | {hand.participant_id for hand in hands}
        members |= {document.participant_id for document in found.documents}
        names = await board.names(conn, {member for member in members if member})
    return rendering.page(
        request,
        "custody.html",
        now=seat.now,
        request_id=request_id,
        custody=found,
        names=names,
        doors=set(Door),
        sees_audit=Scope.AUDIT_READ in principal.scopes,
    )
