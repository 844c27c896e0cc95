"""The public page of an appeal: how far it is, for whoever has its reference, without signing in."""

from fastapi import APIRouter, Request, Response

from service import db
from service.console import doors, rendering
from service.queries import appeals
from service.web.doors import HubDep
from service.web.strangers import Stranger

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)


@router.get("/appeals/{reference}")
async def show(request: Request, hub: HubDep, _: Stranger, reference: str) -> Response:
    """Show the state and the instants of an appeal; a reference that was never given gets a page that says so."""
    async with hub.database.read(db.HUB) as conn:
        found = await appeals.state(conn, reference)
    return rendering.page(request, "appeal.html", status=200 if found else 404, appeal=found)
