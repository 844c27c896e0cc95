"""Where a filing begins: what will be asked, and the draft that lies there, to go on with or to throw away."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from service import errors
from service.actions import keep_draft
from service.console import doors, rendering
from service.console.filing import desk, steps
from service.console.filing.steps import Step
from service.queries import requests
from service.security.scopes import Scope
from service.web.doors import HubDep
from workflows.terms import Action

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
        waits=request.query_params.get("waits") == "1",
        now=seat.now,
    )


@router.post("/requests/{request_id}/follow-ups")
async def follow_up(
    request: Request, hub: HubDep, seat: doors.SeatDep, fields: doors.FormDep, request_id: UUID
) -> Response:
    """Begin a lift or an extension of a request; a draft of something else is left, and has to be ended first."""
    principal = seat.principal
    principal.require(Scope.REQUESTS_WRITE)
    chosen = fields.get("action")
    if chosen not in set(steps.FOLLOW_UPS):
        raise errors.MalformedInput("form.malformed")
    async with hub.database.read(principal.reach) as conn:
        table = await desk.lay(conn, request, hub, seat)
        original = await requests.line(conn, principal, request_id)
    if original is None:
        raise errors.NotFound
    about = {"action": chosen, "original_request_id": str(request_id)}
    known = {"case_number": original.case_number, "legal_basis": str(original.legal_basis)}
    return await desk.begin(hub, seat, table, about, known, steps.order(Action(chosen))[0])


@router.post(steps.PATH)
async def begin_anew(hub: HubDep, seat: doors.SeatDep, _: doors.FormDep) -> Response:
    """Throw the draft away and ask the first question."""
    await keep_draft.discard(hub, seat.principal)
    return RedirectResponse(f"{steps.PATH}/{Step.ACTION}", 303)
