"""The door to the rungs that fired."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from service.queries import escalations
from service.schemas.escalations import EscalationPage
from service.security.scopes import Scope
from service.web.doors import After, Caller, HubDep, PageSize

router = APIRouter(prefix="/v1/escalations", tags=["escalations"])


@router.get("", operation_id="listEscalations")
async def list_escalations(
    hub: HubDep,
    principal: Caller,
    request_id: UUID | None = None,
    participant_id: Annotated[str | None, Query(max_length=64)] = None,
    unreachable: bool | None = None,
    after: After = None,
    limit: PageSize = 50,
) -> EscalationPage:
    """List escalations, newest first: of your requests, of your own silence, or of whom you supervise."""
    principal.require(Scope.ESCALATIONS_READ)
    async with hub.database.read(principal.reach) as conn:
        return await escalations.page(
            conn,
            principal,
            request_id=request_id,
            participant_id=participant_id,
            unreachable=unreachable,
            after=after,
            limit=limit,
        )
