"""The door for participants: the pull inbox, one order, and the acknowledgements that answer it."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from service import clock, errors
from service.actions import acknowledge_order, note_reading, receive_inbox
from service.queries import inbox
from service.schemas.orders import AcknowledgementAccepted, AcknowledgementBody, InboxPage, ParticipantOrder
from service.security.scopes import Scope
from service.web.doors import Caller, HubDep, PageSize, RawBody, Signature
from workflows.terms import Door, View

router = APIRouter(prefix="/v1/orders", tags=["orders"])

# How often a long poll looks again; a commit on this node wakes it earlier through the writer.
_LOOK_AGAIN = 0.25
_LAST_POSITION = 2**53 - 1


@router.get("", operation_id="listOrders")
async def list_orders(
    hub: HubDep,
    principal: Caller,
    after: Annotated[
        int, Query(ge=0, le=_LAST_POSITION, description="`next` of the page before; it confirms what came up to there")
    ] = 0,
    wait: Annotated[int, Query(ge=0, le=25, description="seconds to wait for something new")] = 0,
    limit: PageSize = 50,
) -> InboxPage:
    """Pull what waits for you; coming back with `next` confirms what you were given, until then it is given again."""
    principal.require(Scope.ORDERS_READ)
    await receive_inbox.receive(hub, principal, after)
    until = clock.monotonic() + wait
    while True:
        async with hub.database.read(principal.reach) as conn:
            page = await inbox.page(conn, hub.vault, principal, after=after, limit=limit)
        if page.items or clock.monotonic() >= until:
            return page
        await asyncio.sleep(_LOOK_AGAIN)


@router.get("/{order_id}", operation_id="getOrder")
async def get_order(hub: HubDep, principal: Caller, order_id: UUID) -> ParticipantOrder:
    """Return one order addressed to you, with the answers that you gave."""
    principal.require(Scope.ORDERS_READ)
    async with hub.database.read(principal.reach) as conn:
        found = await inbox.order(conn, hub.vault, principal, order_id)
    if found is None:
        raise errors.NotFound
    # Of an erased one nothing is left to be read.
    if not found.erased:
        about = {"order_id": str(order_id)}
        await note_reading.opened(hub, principal, Door.API, View.ORDER, [UUID(found.body["request_id"])], **about)
    return found


@router.post("/{order_id}/acknowledgements", operation_id="acknowledgeOrder", status_code=201)
async def acknowledge(
    hub: HubDep,
    principal: Caller,
    order_id: UUID,
    body: AcknowledgementBody,
    raw: RawBody,
    signature: Signature = None,
) -> AcknowledgementAccepted:
    """Answer an order: received, executed (with the amount held), refused, not mine or ported, lifted."""
    return await acknowledge_order.acknowledge(hub, principal, order_id, body, raw, signature)
