"""The forms on a member's page by which a coordinator announces a maintenance for it, or ends one."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from service import errors, i18n
from service.actions import announce_maintenance, end_maintenance
from service.console import doors, forms, participants, rendering
from service.console.participants import MemberId
from service.schemas.maintenance import MaintenanceEnd, NewMaintenance
from service.security.scopes import Scope
from service.web.doors import HubDep

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

_ONE = f"{participants.PATH}/{{participant_id}}"
_NAMES = ("endpoint_id", "starts_at", "ends_at", "reason")


@router.post(f"{_ONE}/maintenance")
async def announce(
    request: Request, hub: HubDep, seat: doors.SeatDep, form: doors.FormDep, participant_id: MemberId
) -> Response:
    """Announce what the member said on the telephone; what is wrong is said above the form, and stays in it."""
    seat.principal.require(Scope.TASKS_RESOLVE)
    said = {name: form.get(name, "").strip() for name in _NAMES}
    try:
        body = NewMaintenance.model_validate(_body(said))
        await announce_maintenance.announce(hub, seat.principal, participant_id, body)
    except (ValidationError, ValueError, OverflowError):
        wrong = i18n.text("console.maintenance.wrong", rendering.language(request))
        return await participants.page(request, hub, seat, participant_id, said=said, wrong=wrong, status=422)
    except errors.NotFound:
        raise
    except (errors.InvalidInput, errors.Conflict) as error:
        wrong = doors.told(error, rendering.language(request))
        return await participants.page(request, hub, seat, participant_id, said=said, wrong=wrong, status=error.status)
    return RedirectResponse(f"{participants.PATH}/{participant_id}#maintenance", 303)


@router.post(f"{_ONE}/maintenance-ends")
async def end(
    request: Request, hub: HubDep, seat: doors.SeatDep, form: doors.FormDep, participant_id: MemberId
) -> Response:
    """End a window now, or call it off; one that is over already is what was wanted."""
    seat.principal.require(Scope.TASKS_RESOLVE)
    try:
        body = MaintenanceEnd.model_validate({"window_id": form.get("window_id", "")})
    except ValidationError:
        raise errors.MalformedInput("form.malformed") from None
    try:
        await end_maintenance.end(hub, seat.principal, participant_id, body)
    except errors.Conflict as error:
        wrong = doors.told(error, rendering.language(request))
        return await participants.page(request, hub, seat, participant_id, wrong=wrong, status=error.status)
    return RedirectResponse(f"{participants.PATH}/{participant_id}#maintenance", 303)


def _body(said: Mapping[str, str]) -> dict[str, Any]:
    given: dict[str, Any] = {"reason": said["reason"], "endpoint_id": said["endpoint_id"] or None}
    return given | {name: forms.written(said[name]).isoformat() for name in ("starts_at", "ends_at") if said[name]}
