"""The door for police systems: file a request, have it approved or reviewed, withdraw it, follow it."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response

from service import errors
from service.actions import approve_request, note_reading, submit_request, withdraw_request
from service.queries import disclosures, movements, reads, requests, timeline
from service.schemas.common import Instant
from service.schemas.demands import SubmitRequest
from service.schemas.disclosures import DisclosureList
from service.schemas.movements import MovementList
from service.schemas.reads import ReadPage
from service.schemas.requests import (
    OfficerSays,
    OfficerSigns,
    RequestAccepted,
    RequestDetail,
    RequestPage,
    TimelineAnswer,
)
from service.security.scopes import Scope
from service.web.doors import Activating, After, Caller, Filing, HubDep, PageSize, RawBody, Signature
from workflows.terms import Action, Door, RequestState, View

router = APIRouter(prefix="/v1/requests", tags=["requests"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=8,
        max_length=128,
        pattern=r"^[A-Za-z0-9._~-]+$",
        description="yours, new for each request; the same key with the same body is answered with the first result",
    ),
]

# Not the shape of a request: re-serialised it would be another text, and nobody signed that.
_AS_RECEIVED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bytes as they were received.",
        "content": {"application/json": {"schema": {"type": "object", "description": "as in submitRequest"}}},
    }
}


@router.post("", operation_id="submitRequest", status_code=201, dependencies=[Filing])
async def submit(
    hub: HubDep,
    principal: Caller,
    body: SubmitRequest,
    raw: RawBody,
    response: Response,
    key: IdempotencyKey = None,
    signature: Signature = None,
) -> RequestAccepted:
    """File a freeze, lift, extend, takedown, preserve, recall, disclose or trace; 201 comes after it is durable."""
    if key is None:
        raise errors.MalformedInput("idempotency_key.missing")
    submitted = await submit_request.submit(hub, principal, key, body, raw, signature)
    response.headers["Location"] = f"/v1/requests/{submitted.answer.id}"
    if submitted.repeated:
        response.headers["Idempotency-Replayed"] = "true"
    return submitted.answer


@router.get("", operation_id="listRequests")
async def list_requests(
    hub: HubDep,
    principal: Caller,
    state: RequestState | None = None,
    action: Action | None = None,
    case_number: Annotated[str | None, Query(max_length=64)] = None,
    reference: Annotated[str | None, Query(max_length=24)] = None,
    submitted_from: Instant | None = None,
    submitted_to: Instant | None = None,
    after: After = None,
    limit: PageSize = 50,
) -> RequestPage:
    """List requests, newest first."""
    principal.require(Scope.REQUESTS_READ)
    wanted = requests.Filter(state, action, case_number, reference, submitted_from, submitted_to)
    async with hub.database.read(principal.reach) as conn:
        found = await requests.page(conn, principal, wanted, after=after, limit=limit)
    if case_number is not None:
        await note_reading.searched(hub, principal, Door.API, "case_number", case_number, len(found.items))
    return found


@router.get("/{request_id}", operation_id="getRequest")
async def get_request(hub: HubDep, principal: Caller, request_id: UUID) -> RequestDetail:
    """Return a request with its targets, orders, deadlines and the participants that cannot be reached."""
    principal.require(Scope.REQUESTS_READ)
    found = await _detail(hub, principal, request_id)
    await note_reading.opened(hub, principal, Door.API, View.REQUEST, found.shows_targets_of())
    return found


@router.get("/{request_id}/timeline", operation_id="getTimeline")
async def get_timeline(hub: HubDep, principal: Caller, request_id: UUID) -> TimelineAnswer:
    """Return the facts of a request in order, as codes and as a sentence in each language."""
    principal.require(Scope.REQUESTS_READ)
    async with hub.database.read(principal.reach) as conn:
        told = await timeline.tell(conn, principal, request_id)
    if told is None:
        raise errors.NotFound
    return told


@router.get("/{request_id}/reads", operation_id="listReads")
async def list_reads(
    hub: HubDep, principal: Caller, request_id: UUID, after: After = None, limit: PageSize = 50
) -> ReadPage:
    """Return who was shown what the request says of persons, newest first."""
    principal.require(Scope.REQUESTS_READ)
    async with hub.database.read(principal.reach) as conn:
        found = await reads.page(conn, principal, request_id, after=after, limit=limit)
    if found is None:
        raise errors.NotFound
    return found


@router.get("/{request_id}/disclosures", operation_id="listDisclosures")
async def list_disclosures(hub: HubDep, principal: Caller, request_id: UUID) -> DisclosureList:
    """Return what participants disclosed about the targets of your own request, oldest first."""
    principal.require(Scope.DISCLOSURES_READ)
    async with hub.database.read(principal.reach) as conn:
        found = await disclosures.of_request(conn, hub.vault, principal, request_id)
    if found is None:
        raise errors.NotFound
    if not found.erased:
        await note_reading.opened(hub, principal, Door.API, View.DISCLOSURE, [request_id])
    return found


@router.get("/{request_id}/movements", operation_id="listMovements")
async def list_movements(hub: HubDep, principal: Caller, request_id: UUID) -> MovementList:
    """Return what participants answered to your own trace, oldest first, each answer's largest movement first."""
    principal.require(Scope.DISCLOSURES_READ)
    async with hub.database.read(principal.reach) as conn:
        found = await movements.of_request(conn, hub.vault, principal, request_id)
    if found is None:
        raise errors.NotFound
    if not found.erased:
        await note_reading.opened(hub, principal, Door.API, View.MOVEMENTS, [request_id])
    return found


@router.get("/{request_id}/body", operation_id="getRequestBody", response_class=Response, responses=_AS_RECEIVED)
async def get_request_body(hub: HubDep, principal: Caller, request_id: UUID) -> Response:
    """Return the request's body byte for byte as it was received: what the second officer signs too."""
    principal.require(Scope.REQUESTS_READ)
    async with hub.database.read(principal.reach) as conn:
        received = await requests.body(conn, hub.vault, principal, request_id)
    if received is None:
        raise errors.NotFound
    await note_reading.opened(hub, principal, Door.API, View.BODY, [request_id])
    return Response(received, media_type="application/json")


@router.post("/{request_id}/approvals", operation_id="approveRequest", status_code=201, dependencies=[Activating])
async def approve(hub: HubDep, principal: Caller, request_id: UUID, body: OfficerSigns) -> RequestDetail:
    """Approve a request as its second officer: it becomes active and its orders are placed."""
    await approve_request.approve(hub, principal, request_id, body.officer_id, body.signature)
    return await _detail(hub, principal, request_id)


@router.post("/{request_id}/reviews", operation_id="reviewRequest", status_code=201, dependencies=[Activating])
async def review(hub: HubDep, principal: Caller, request_id: UUID, body: OfficerSigns) -> RequestDetail:
    """Confirm an emergency hold as its second officer, before it lifts itself."""
    await approve_request.review(hub, principal, request_id, body.officer_id, body.signature)
    return await _detail(hub, principal, request_id)


@router.post("/{request_id}/withdrawals", operation_id="withdrawRequest", status_code=201)
async def withdraw(
    hub: HubDep, principal: Caller, request_id: UUID, body: OfficerSays, raw: RawBody, signature: Signature = None
) -> RequestDetail:
    """Withdraw a request that awaits its approval, signed by the officer who takes it back."""
    await withdraw_request.withdraw(hub, principal, request_id, body.officer_id, raw, signature)
    return await _detail(hub, principal, request_id)


async def _detail(hub: HubDep, principal: Caller, request_id: UUID) -> RequestDetail:
    async with hub.database.read(principal.reach) as conn:
        found = await requests.one(conn, hub.vault, principal, request_id)
    if found is None:
        raise errors.NotFound
    return found
