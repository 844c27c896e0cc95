"""The coordinators' door to what was given up, or got lost at a participant: count it, and have it sent once more."""

from fastapi import APIRouter

from service.actions import replay_dispatches
from service.schemas.replays import ReplayAnswer, ReplayPreview, ReplaySelection
from service.web.doors import Caller, HubDep

router = APIRouter(prefix="/v1/replays", tags=["tasks"])


@router.post("", operation_id="replayDispatches", status_code=201)
async def post_replay(hub: HubDep, caller: Caller, body: ReplaySelection) -> ReplayAnswer:
    """Put the oldest dispatches of a selection back into the queue, under the ids that they had."""
    return await replay_dispatches.run(hub, caller, body)


@router.post("/previews", operation_id="previewReplay", status_code=200)
async def post_preview(hub: HubDep, caller: Caller, body: ReplaySelection) -> ReplayPreview:
    """Count what a replay of a selection would send; nothing changes."""
    return await replay_dispatches.preview(hub, caller, body)
