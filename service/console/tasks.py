"""The page of tasks: what a person must do, the earliest due first, whom to call, and that it was done."""

from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from service import errors, i18n
from service.actions import note_reading, resolve_task
from service.console import doors, rendering
from service.queries import board, tasks
from service.schemas.common import ERASED
from service.schemas.tasks import TaskResolution
from service.security.scopes import Scope
from service.web.doors import After, HubDep
from workflows.terms import Door, TaskKind

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

PATH = "/tasks"
_PAGE = 50
_STATES = {"open": False, "resolved": True}


@router.get(PATH)
async def show(
    request: Request,
    hub: HubDep,
    seat: doors.SeatDep,
    state: Literal["open", "resolved"] = "open",
    kind: TaskKind | Literal[""] = "",
    after: After = None,
) -> Response:
    """List the tasks of the duty desk; the notes of those that are done are opened by it, and that is on record."""
    principal = seat.principal
    principal.require(Scope.TASKS_READ)
    wanted = tasks.Filter(_STATES[state], kind or None, latest=_STATES[state])
    async with hub.database.read(principal.reach) as conn:
        found = await tasks.page(conn, hub.vault, principal, wanted, after=after, limit=_PAGE)
        references = await board.references(conn, principal, {each.request_id for each in found.items})
        names = await board.names(conn, {each.tenant for each in found.items})
    await note_reading.opened_notes(hub, principal, Door.CONSOLE, found.items)
    return rendering.page(
        request,
        "tasks.html",
        keeps=("state", "kind"),
        now=seat.now,
        erased=ERASED,
        tasks=found.items,
        next=found.next,
        is_first=after is None,
        state=state,
        kind=kind,
        kinds=_kinds(rendering.language(request)),
        references=references,
        names=names,
        may_resolve=Scope.TASKS_RESOLVE in principal.scopes,
    )


@router.post(f"{PATH}/{{task_id}}/resolutions")
async def resolve(request: Request, hub: HubDep, seat: doors.SeatDep, form: doors.FormDep, task_id: UUID) -> Response:
    """Record that a task is done and go back to the list."""
    doors.stood_on(request, PATH)
    # A text area sends its line ends as CR LF (HTML, 4.10.21.4).
    note = form.get("note", "").replace("\r\n", "\n").strip() or None
    try:
        body = TaskResolution.model_validate({"note": note})
    except ValidationError:
        raise errors.MalformedInput("form.malformed") from None
    await resolve_task.resolve(hub, seat.principal, task_id, body)
    return RedirectResponse(PATH, 303)


def _kinds(lang: str) -> list[tuple[str, str]]:
    return [(kind, i18n.sentence_case(i18n.text(f"terms.task_kind.{kind}", lang))) for kind in TaskKind]
