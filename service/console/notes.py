"""The form for a note on a request's page, and the note that one shift hands over to the next."""

from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from service import errors
from service.actions import note_reading, write_note
from service.console import doors, lanes, live, rendering
from service.queries import board, dispatch_health, escalations, live_board, notes, tasks
from service.queries.board_lines import Filter, Group
from service.schemas.common import ERASED
from service.schemas.notes import NewNote
from service.security.scopes import Scope
from service.web.doors import HubDep
from workflows.terms import Door, View

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

PATH = "/handover"
# A shift at the duty desk, and somewhat more.
SHIFT = timedelta(hours=12)
_MOST = 100
# What the next shift finds in its hands.
_PRESSING = (Group.BREACHED, Group.QUARTER)


@router.post("/requests/{request_id}/notes")
async def write(request: Request, hub: HubDep, seat: doors.SeatDep, form: doors.FormDep, request_id: UUID) -> Response:
    """Keep a note and go back to the request, or on to the hand-over in which it stands."""
    doors.stood_on(request, f"/requests/{request_id}#notes")
    # A text area sends its line ends as CR LF (HTML, 4.10.21.4).
    text = form.get("text", "").replace("\r\n", "\n").strip()
    try:
        body = NewNote.model_validate({"text": text})
    except ValidationError:
        raise errors.MalformedInput("form.malformed") from None
    await write_note.write(hub, seat.principal, request_id, body)
    hands_over = form.get("to") == "handover" and Scope.TASKS_READ in seat.principal.scopes
    return RedirectResponse(PATH if hands_over else f"/requests/{request_id}#notes", 303)


@router.get(PATH)
async def hand_over(request: Request, hub: HubDep, seat: doors.SeatDep) -> Response:
    """Show what the next shift must know: what is overdue or soon is, what is to be done, who was not reached."""
    principal = seat.principal
    principal.require(Scope.TASKS_READ)
    since = seat.now - SHIFT
    async with hub.database.read(principal.reach) as conn:
        found = await live_board.load(conn, principal, Filter(), now=seat.now, limit=_MOST, groups=_PRESSING)
        open_tasks = await tasks.page(conn, hub.vault, principal, tasks.Filter(), after=None, limit=_MOST)
        fired = await escalations.page(conn, principal, unreachable=True, since=since, after=None, limit=_MOST)
        health = await dispatch_health.load(conn, principal, seat.now, tripped=True)
        written = await notes.since(conn, hub.vault, principal, since)
        about = {each.request_id for each in open_tasks.items} | {each.request_id for each in fired.items}
        lines = [each for group in _PRESSING for each in found.lines[group]]
        members = {each.participant_id for each in lines} | {each.participant_id or "" for each in fired.items}
        references = await board.references(conn, principal, about)
        names = await board.names(conn, members)
    await note_reading.opened(hub, principal, Door.CONSOLE, View.NOTE, {each.request_id for each in written})
    return rendering.page(
        request,
        "handover.html",
        now=seat.now,
        since=since,
        totals=found.totals,
        groups=live.LOOKS,
        lines=lines,
        tasks=open_tasks.items,
        more_tasks=open_tasks.next is not None,
        unheard=fired.items,
        more_unheard=fired.next is not None,
        more_lines=any(group in found.next for group in _PRESSING),
        more_notes=len(written) == notes.MOST,
        tripped=health.lanes,
        notes=written,
        erased=ERASED,
        references=references,
        names=names,
        looks=lanes.LOOKS,
    )
