"""The page of escalations: which rungs fired, for whose silence, whom they reached, and those that reached nobody."""

from typing import Literal

from fastapi import APIRouter, Request, Response

from service.console import doors, rendering
from service.queries import board, escalations
from service.security.scopes import Scope
from service.web.doors import After, HubDep

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

PATH = "/escalations"
_PAGE = 50


@router.get(PATH)
async def show(
    request: Request,
    hub: HubDep,
    seat: doors.SeatDep,
    unreachable: Literal["", "1"] = "",
    after: After = None,
) -> Response:
    """List the rungs that fired, newest first: all, of the own requests, of the own silence, or of whom one watches."""
    principal = seat.principal
    principal.require(Scope.ESCALATIONS_READ)
    async with hub.database.read(principal.reach) as conn:
        found = await escalations.page(
            conn,
            principal,
            unreachable=True if unreachable else None,
            after=after,
            limit=_PAGE,
        )
        references = await board.references(conn, principal, {each.request_id for each in found.items})
        called = {str(entry["participant_id"]) for each in found.items for entry in each.reached}
        silent = {each.participant_id for each in found.items if each.participant_id is not None}
        names = await board.names(conn, called | silent)
    return rendering.page(
        request,
        "escalations.html",
        keeps=("unreachable",),
        now=seat.now,
        escalations=found.items,
        next=found.next,
        is_first=after is None,
        unreachable=unreachable,
        references=references,
        names=names,
        sees_orders=Scope.ORDERS_READ in principal.scopes,
    )
