"""The page's form for a call-back: what a person at the console heard about a held request."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from service import errors
from service.actions import answer_callback
from service.console import doors
from service.schemas.callbacks import CallbackAnswer
from service.web.doors import Activating, HubDep

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)


@router.post("/requests/{request_id}/callbacks", dependencies=[Activating])
async def answer(request: Request, hub: HubDep, seat: doors.SeatDep, form: doors.FormDep, request_id: UUID) -> Response:
    """Record the answer of a call-back and go back to the request."""
    # A text area sends its line ends as CR LF (HTML, 4.10.21.4).
    note = form.get("note", "").replace("\r\n", "\n").strip() or None
    try:
        body = CallbackAnswer.model_validate({"outcome": form.get("outcome"), "note": note})
    except ValidationError:
        raise errors.MalformedInput("form.malformed") from None
    await answer_callback.answer(hub, seat.principal, request_id, body)
    return RedirectResponse(f"/requests/{request_id}", 303)
