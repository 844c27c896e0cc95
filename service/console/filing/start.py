"""Where a filing begins: what will be asked, and the draft that lies there, to go on with or to throw away."""

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from service.actions import keep_draft
from service.console import doors, rendering
from service.console.filing import desk, steps
from service.console.filing.steps import Step
from service.web.doors import HubDep

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)


@router.get(steps.PATH)
async def begin(request: Request, hub: HubDep, seat: doors.SeatDep) -> Response:
    """Say what is needed, and offer the draft that was left."""
    async with hub.database.read(seat.principal.reach) as conn:
        table = await desk.lay(conn, request, hub, seat)
    reason = None
    if table.signer is None:
        reason = "not_officer"
    elif not table.signer.serves:
        reason = "inactive"
    elif not table.signer.keys:
        reason = "no_key"
    return rendering.page(
        request,
        "filing/start.html",
        begun=table.begun,
        action=table.action,
        first=f"{steps.PATH}/{Step.ACTION}",
        goes_on=f"{steps.PATH}/{Step.CHECK if table.action else Step.ACTION}",
        reason=reason,
        now=seat.now,
    )


@router.post(steps.PATH)
async def begin_anew(hub: HubDep, seat: doors.SeatDep, _: doors.FormDep) -> Response:
    """Throw the draft away and ask the first question."""
    await keep_draft.discard(hub, seat.principal)
    return RedirectResponse(f"{steps.PATH}/{Step.ACTION}", 303)
