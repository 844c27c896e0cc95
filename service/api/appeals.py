"""The door to appeals: contest a hold, answer, decide, follow; and how far one is, for anybody with its reference."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path

from service import db, errors
from service.actions import answer_appeal, decide_appeal, file_appeal, note_reading
from service.queries import appeals
from service.schemas.appeals import (
    AppealDecision,
    AppealDetail,
    AppealPage,
    AppealReply,
    AppealStateAnswer,
    NewAppeal,
    WrongfulHoldsAnswer,
)
from service.security.scopes import Scope
from service.web.doors import After, Caller, HubDep, PageSize, RawBody, Signature
from service.web.strangers import Stranger
from workflows.terms import AppealState, Door, View

router = APIRouter(prefix="/v1", tags=["appeals"])


@router.post("/appeals", operation_id="fileAppeal", status_code=201)
async def post_appeal(hub: HubDep, principal: Caller, body: NewAppeal) -> AppealDetail:
    """Contest what an order, or all orders of a request, hold now; both clocks of the appeal start."""
    return await file_appeal.file(hub, principal, body)


@router.get("/appeals", operation_id="listAppeals")
async def list_appeals(
    hub: HubDep,
    principal: Caller,
    state: AppealState | None = None,
    request_id: UUID | None = None,
    after: After = None,
    limit: PageSize = 50,
) -> AppealPage:
    """List appeals, newest first: against your requests, or those that you filed."""
    principal.require(Scope.APPEALS_READ)
    async with hub.database.read(principal.reach) as conn:
        return await appeals.page(conn, principal, appeals.Filter(state, request_id), after=after, limit=limit)


@router.get("/appeals/{appeal_id}", operation_id="getAppeal")
async def get_appeal(hub: HubDep, principal: Caller, appeal_id: UUID) -> AppealDetail:
    """Return an appeal whole, to the agency and to whoever filed it."""
    principal.require(Scope.APPEALS_READ)
    async with hub.database.read(principal.reach) as conn:
        found = await appeals.one(conn, hub.vault, principal, appeal_id)
    if found is None:
        raise errors.NotFound
    if found.statement is not None:
        about = {"appeal_id": str(appeal_id)}
        await note_reading.opened(hub, principal, Door.API, View.APPEAL, [found.request_id], **about)
    return found


@router.get("/appeals/{reference}/state", operation_id="getAppealState")
async def get_state(
    hub: HubDep, _: Stranger, reference: Annotated[str, Path(description="as the appellant was given it")]
) -> AppealStateAnswer:
    """Return how far an appeal is, to anybody who has its reference: no token, and nothing about anybody."""
    # Whoever has the reference is nobody's tenant: it opens a state and two instants, and no row is found without it.
    async with hub.database.read(db.HUB) as conn:
        found = await appeals.state(conn, reference)
    if found is None:
        raise errors.NotFound
    return found


@router.post("/appeals/{appeal_id}/answers", operation_id="answerAppeal", status_code=201)
async def post_answer(
    hub: HubDep, principal: Caller, appeal_id: UUID, body: AppealReply, raw: RawBody, signature: Signature = None
) -> AppealDetail:
    """Give the agency's first answer, signed by the officer who gives it."""
    return await answer_appeal.answer(hub, principal, appeal_id, body, raw, signature)


@router.post("/appeals/{appeal_id}/decisions", operation_id="decideAppeal", status_code=201)
async def post_decision(
    hub: HubDep, principal: Caller, appeal_id: UUID, body: AppealDecision, raw: RawBody
) -> AppealDetail:
    """Uphold or reject an appeal as an officer who did not file the request; one that is upheld lifts the hold."""
    return await decide_appeal.decide(hub, principal, appeal_id, body, raw)


@router.get("/wrongful-holds", operation_id="listWrongfulHolds")
async def list_wrongful_holds(hub: HubDep, principal: Caller) -> WrongfulHoldsAnswer:
    """Count, per agency, the holds, the appeals against them and those that turned out wrong."""
    principal.require(Scope.REQUESTS_READ)
    async with hub.database.read(principal.reach) as conn:
        return WrongfulHoldsAnswer(items=await appeals.counted(conn, principal))
