"""The page of a request's ladders: what each rung did, the next one, and who stands on it, by name for who calls."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from service import errors
from service.actions import note_reading
from service.console import doors, rendering
from service.engine import rungs
from service.queries import board
from service.security.scopes import Scope
from service.web.doors import HubDep
from workflows.terms import Door

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)


@router.get("/requests/{request_id}/ladders")
async def show(request: Request, hub: HubDep, seat: doors.SeatDep, request_id: UUID) -> Response:
    """Show the ladders of one request; an unknown one and another's get the same page. Shown names are read."""
    principal = seat.principal
    principal.require(Scope.REQUESTS_READ)
    principal.require(Scope.ESCALATIONS_READ)
    async with hub.database.read(principal.reach) as conn:
        reference = (await board.references(conn, principal, [request_id])).get(request_id)
        if reference is None:
            raise errors.NotFound
        ladders = await rungs.of_request(conn, hub, principal, request_id)
        places = [place for ladder in ladders for rung in ladder.rungs for place in rung.places]
        houses = {place.house for place in places if place.house} | {each.participant_id for each in ladders}
        names = await board.names(conn, {house for house in houses if house})
    for house in sorted({place.house for place in places if place.house and place.people}):
        await note_reading.opened_roster(hub, principal, Door.CONSOLE, house)
    return rendering.page(
        request,
        "ladders.html",
        now=seat.now,
        request_id=request_id,
        reference=reference,
        ladders=ladders,
        names=names,
        may_escalate=Scope.TASKS_RESOLVE in principal.scopes,
        sees_members=Scope.REGISTRY_READ in principal.scopes,
    )
