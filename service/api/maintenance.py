"""The door by which a participant says when it does not serve an endpoint, and that it does again."""

from fastapi import APIRouter

from service import db, errors
from service.actions import announce_maintenance, end_maintenance
from service.api.registry import ParticipantId
from service.queries import maintenance
from service.schemas.maintenance import MaintenanceAnswer, MaintenanceEnd, MaintenanceList, NewMaintenance
from service.web.doors import Caller, HubDep

router = APIRouter(prefix="/v1/participants/{participant_id}", tags=["registry"])


@router.post("/maintenance-windows", operation_id="announceMaintenance", status_code=201)
async def post_window(
    hub: HubDep, caller: Caller, participant_id: ParticipantId, body: NewMaintenance
) -> MaintenanceAnswer:
    """Announce when an endpoint, or none, is served: the next channel is tried at once as well, and no clock waits."""
    return await announce_maintenance.announce(hub, caller, participant_id, body)


@router.get("/maintenance-windows", operation_id="listMaintenance")
async def list_windows(hub: HubDep, caller: Caller, participant_id: ParticipantId) -> MaintenanceList:
    """List what is announced and not over."""
    announce_maintenance.allow(caller, participant_id)
    async with hub.database.read(caller.reach) as conn:
        found = await maintenance.announced(conn, caller, participant_id, await db.now(conn))
    if found is None:
        raise errors.NotFound
    return MaintenanceList(items=found)


@router.post("/maintenance-ends", operation_id="endMaintenance")
async def post_end(
    hub: HubDep, caller: Caller, participant_id: ParticipantId, body: MaintenanceEnd
) -> MaintenanceAnswer:
    """End a window early, or call it off."""
    return await end_maintenance.end(hub, caller, participant_id, body)
