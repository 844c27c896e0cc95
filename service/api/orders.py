"""The door for participants: the pull inbox, one order, and the acknowledgements that answer it."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response

from service import clock, errors
from service.actions import acknowledge_order, note_reading, receive_inbox, write_letter
from service.queries import clients, inbox
from service.schemas.orders import AcknowledgementAccepted, AcknowledgementBody, InboxPage, ParticipantOrder
from service.security.scopes import Scope
from service.web import streams
from service.web.doors import Answering, Caller, HubDep, PageSize, RawBody, Signature, TokenEnds
from workflows.terms import Door, View

router = APIRouter(prefix="/v1/orders", tags=["orders"])

_FILE = {"schema": {"type": "string", "format": "binary"}}
_PDF: dict[int | str, dict[str, Any]] = {
    200: {"description": "the sealed letter", "content": {"application/pdf": _FILE}}
}
# How often a long poll looks again; the commit that lays something into the inbox wakes it earlier.
_LOOK_AGAIN = 1.0
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
    doorbell = hub.writer.doorbell
    with doorbell.waiting(principal.tenant) as bell:
        while True:
            async with hub.database.read(principal.reach) as conn:
                # Whoever was suspended while it waited is given nothing any more.
                if await clients.find(conn, principal.client_id, key=principal.jkt) is None:
                    raise errors.Unauthenticated("token.refused")
                page = await inbox.page(conn, hub.vault, principal, after=after, limit=limit)
            left = until - clock.monotonic()
            if page.items or left <= 0 or doorbell.is_closed:
                return page
            await bell.wait(min(_LOOK_AGAIN, left))


# OpenAPI 3.1 has no words for a stream of events; the handbook has them (quickstart-participant).
@router.get("/stream", include_in_schema=False)
async def stream_orders(
    request: Request,
    hub: HubDep,
    principal: Caller,
    ends_at: TokenEnds,
    last: Annotated[str | None, Header(alias="Last-Event-ID", max_length=16)] = None,
) -> Response:
    """Send what waits for you as server-sent events, from behind ``Last-Event-ID`` on, and then what comes.

    It confirms nothing: what was given counts as delivered once ``listOrders`` is asked with its position as ``after``.
    """
    principal.require(Scope.ORDERS_READ)
    after = _position(last)
    async with hub.database.read(principal.reach) as conn:
        if after > await inbox.newest(conn, principal):
            raise errors.InvalidInput.of("Last-Event-ID", "cursor.invalid")
    return streams.Events(request.app.state.streams, hub, principal, after, ends_at)


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


@router.get("/{order_id}/letter", operation_id="getOrderLetter", response_class=Response, responses=_PDF)
async def get_order_letter(
    hub: HubDep,
    principal: Caller,
    order_id: UUID,
    lang: Annotated[Literal["vi", "en"], Query(description="the language of the letter")] = "vi",
) -> Response:
    """Return an order as a letter: a sealed PDF/A in the form of Decree 30/2020/NĐ-CP, for people and for archives."""
    made = await write_letter.write(hub, principal, Door.API, order_id, lang)
    headers = {"Content-Disposition": f'inline; filename="{order_id}.pdf"'}
    return Response(made, media_type="application/pdf", headers=headers)


@router.post("/{order_id}/acknowledgements", operation_id="acknowledgeOrder", status_code=201, dependencies=[Answering])
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


def _position(text: str | None) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise errors.InvalidInput.of("Last-Event-ID", "cursor.invalid")
    return int(text)
