"""The coordinators' door: what a person must do, that it was done, and what a call-back brought."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query

from service.actions import answer_callback, note_reading, resolve_task
from service.queries import tasks
from service.schemas.callbacks import CallbackAnswer, CallbackAnswered
from service.schemas.tasks import TaskAnswer, TaskPage, TaskResolution
from service.security.scopes import Scope
from service.web.doors import Activating, After, Caller, HubDep, PageSize
from workflows.terms import Door, TaskKind

router = APIRouter(prefix="/v1", tags=["tasks"])

_RESOLVED = {"open": False, "resolved": True, "all": None}
Participant = Annotated[str | None, Query(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


@router.get("/tasks", operation_id="listTasks")
async def list_tasks(
    hub: HubDep,
    caller: Caller,
    state: Literal["open", "resolved", "all"] = "open",
    kind: TaskKind | None = None,
    participant_id: Participant = None,
    after: After = None,
    limit: PageSize = 50,
) -> TaskPage:
    """List tasks, the earliest due first."""
    caller.require(Scope.TASKS_READ)
    wanted = tasks.Filter(_RESOLVED[state], kind, participant_id)
    async with hub.database.read(caller.reach) as conn:
        found = await tasks.page(conn, hub.vault, caller, wanted, after=after, limit=limit)
    await note_reading.opened_notes(hub, caller, Door.API, found.items)
    return found


@router.post("/tasks/{task_id}/resolutions", operation_id="resolveTask", status_code=201)
async def post_resolution(hub: HubDep, caller: Caller, task_id: UUID, body: TaskResolution) -> TaskAnswer:
    """Say that a task is done, with a note that is sealed."""
    return await resolve_task.resolve(hub, caller, task_id, body)


@router.post(
    "/requests/{request_id}/callbacks", operation_id="answerCallback", status_code=201, dependencies=[Activating]
)
async def post_callback(hub: HubDep, caller: Caller, request_id: UUID, body: CallbackAnswer) -> CallbackAnswered:
    """Say what the agency said when it was called back about a held request."""
    return await answer_callback.answer(hub, caller, request_id, body)
