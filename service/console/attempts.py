"""The page of one order: its clocks and rungs, what was sent when, over what, what came back and whose signature."""

from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from service import errors
from service.actions import escalate_order, note_reading, write_letter
from service.console import doors, lanes, rendering
from service.queries import attempts, board, requests
from service.security.scopes import Scope
from service.web.doors import HubDep
from workflows.replay import Replayed
from workflows.terms import DispatchState, Door, View

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

# A number of the database has fewer digits than this.
_LONGEST_NUMBER = 19


@router.get("/orders/{order_id}")
async def show(
    request: Request, hub: HubDep, seat: doors.SeatDep, order_id: UUID, content: Literal["", "1"] = ""
) -> Response:
    """Show an order's clocks and attempts; with ``content`` also what was sent and answered, and that is on record."""
    principal = seat.principal
    principal.require(write_letter.scope(principal))
    async with hub.database.read(principal.reach) as conn:
        story = await attempts.tell(conn, hub.vault, principal, order_id, opens=bool(content))
        if story is None:
            raise errors.NotFound
        names = await board.names(conn, {story.participant_id, story.tenant})
        deadlines = await requests.deadlines_of(conn, [order_id])
        raised, coming = await board.climbed(conn, story.request_id, order_id)
    if content:
        about = {"order_id": str(order_id)}
        await note_reading.opened(hub, principal, Door.CONSOLE, View.ORDER, story.shows_targets_of(), **about)
    return rendering.page(
        request,
        "attempts.html",
        keeps=("content",),
        now=seat.now,
        story=story,
        names=names,
        is_open=bool(content),
        looks=lanes.LOOKS,
        clocks=lanes.clocks_of(
            story.state, story.is_to_let_go, deadlines.get(order_id, []), seat.now, rendering.language(request)
        ),
        raised=raised.get(order_id, []),
        coming=coming.get(order_id),
        sees_request=Scope.REQUESTS_READ in principal.scopes,
        sees_escalations=Scope.ESCALATIONS_READ in principal.scopes,
        works_at_desk=Scope.TASKS_RESOLVE in principal.scopes,
        which=_replayed(story),
    )


def _replayed(story: attempts.Story) -> Replayed | None:
    """Return what of the order could be sent once more: what was given up, else what arrived and may have got lost."""
    states = {sent.state for sent in story.sent}
    if DispatchState.DEAD in states:
        return Replayed.DEAD
    return Replayed.DELIVERED if DispatchState.DELIVERED in states else None


@router.post("/orders/{order_id}/escalations")
async def escalate(request: Request, hub: HubDep, seat: doors.SeatDep, form: doors.FormDep, order_id: UUID) -> Response:
    """Let the rung that the form shows fire now and go back to the page that it was on."""
    number = form.get("deadline_id", "")
    if not (number.isascii() and number.isdigit() and len(number) < _LONGEST_NUMBER):
        raise errors.MalformedInput("form.malformed")
    try:
        back = f"/requests/{UUID(form.get('request_id', ''))}{'/ladders' if form.get('back') == 'ladders' else ''}"
    except ValueError:
        back = f"/orders/{order_id}"
    doors.stood_on(request, back)
    await escalate_order.escalate(hub, seat.principal, order_id, int(number))
    return RedirectResponse(back, 303)
