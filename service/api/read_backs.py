"""The door by which an agency or a coordinator asks a participant what it holds now."""

from uuid import UUID

from fastapi import APIRouter

from service.actions import read_back_order
from service.schemas.read_backs import NewReadBack, ReadBackAsked
from service.web.doors import Caller, HubDep

router = APIRouter(prefix="/v1/orders", tags=["requests"])


@router.post("/{order_id}/read-backs", operation_id="readBackOrder", status_code=201)
async def read_back(hub: HubDep, principal: Caller, order_id: UUID, body: NewReadBack) -> ReadBackAsked:
    """Ask the participant what it holds now of an executed freeze; it answers by an acknowledgement."""
    return await read_back_order.ask(hub, principal, order_id)
