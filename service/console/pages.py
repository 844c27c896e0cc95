"""The pages: the requests newest first, and the timeline of one of them."""

import re
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import RedirectResponse

from service import errors
from service.actions import export_evidence, note_reading, write_letter, write_note
from service.console import answers, doors, lanes, places, rendering, searches, telling
from service.console.filing.steps import follow_ups
from service.queries import board, callbacks, notes, reads, requests, timeline, visibility
from service.queries.sessions import Seat
from service.schemas.appeals import REQUEST_REFERENCE
from service.schemas.common import ERASED
from service.schemas.reads import ReadPage
from service.schemas.requests import RequestDetail, TimelineAnswer
from service.security.scopes import Scope
from service.web.doors import After, HubDep
from workflows.terms import Action, Door, OrderState, RequestState, Sector, View

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

_PAGE = 50
_READERS = 20
_SEARCH = searches.Search(places.START, "hoatoc_search_requests")


@router.get("/")
async def home(
    request: Request,
    hub: HubDep,
    seat: doors.SeatDep,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=200)] = _PAGE,
) -> Response:
    """List the requests, each with what presses in it; that a case was looked for is a fact."""
    principal = seat.principal
    if Scope.REQUESTS_READ not in principal.scopes:
        # Whoever types the hub's bare address comes in where the role does.
        return RedirectResponse(places.landing(seat.role), 303)
    typed = _SEARCH.typed(request, seat.now)
    wanted = _looked_for(typed.text)
    async with hub.database.read(principal.reach) as conn:
        found = await requests.page(conn, principal, wanted, after=after, limit=limit)
        pressing = await board.pressure(conn, principal, [line.id for line in found.items], seat.now)
        names = await board.names(conn, {line.tenant for line in pressing.values()})
        originals = await board.originals(conn, principal, [line.id for line in found.items])
    if wanted.case_number is not None:
        await note_reading.searched(hub, principal, Door.CONSOLE, "case_number", wanted.case_number, len(found.items))
    return rendering.page(
        request,
        "home.html",
        keeps=(searches.SEARCHED,),
        typed=typed,
        query={searches.SEARCHED: typed.tag} if typed.tag else {},
        lines=found.items,
        pressing=pressing,
        names=names,
        originals=originals,
        looks=lanes.LOOKS,
        now=seat.now,
        next=found.next,
        is_first=after is None,
        **_may_see(seat),
    )


@router.post("/")
async def search(request: Request, seat: doors.SeatDep, form: doors.FormDep) -> Response:
    """Look for a request by its number, or for those of a case by the case's: what was typed is in no address."""
    seat.principal.require(Scope.REQUESTS_READ)
    return _SEARCH.begin(request, seat.now, form.get("text", ""), {})


@router.get("/requests/{request_id}")
async def tell(request: Request, hub: HubDep, seat: doors.SeatDep, request_id: UUID) -> Response:
    """Tell the story of one request; an unknown one and another's get the same page."""
    principal = seat.principal
    principal.require(Scope.REQUESTS_READ)
    async with hub.database.read(principal.reach) as conn:
        detail = await requests.one(conn, hub.vault, principal, request_id)
        told = await timeline.tell(conn, principal, request_id)
        readers = await reads.page(conn, principal, request_id, after=None, limit=_READERS)
        if detail is None or told is None or readers is None:
            raise errors.NotFound
        behind = await board.background(
            conn,
            principal,
            request_id,
            officers={detail.officer_id, *detail.approved_by},
            participants=_mentioned(detail, told, readers),
        )
        if behind is None:
            raise errors.NotFound
        pressing = await board.pressure(conn, principal, [request_id], seat.now)
        lifts = await board.lifts(conn, principal, request_id)
        originals = await board.originals(conn, principal, [request_id])
        written = await notes.of_request(conn, hub.vault, principal, request_id)
        is_held = detail.state is RequestState.HELD_FOR_CALLBACK
        wanted = await callbacks.wanted(conn, principal, request_id) if is_held else None
        renews = doors.PRESENCE in request.headers
        is_known = renews and await reads.is_open(conn, principal, request_id, View.PAGE, seat.now)
    if not is_known:
        await note_reading.opened(hub, principal, Door.CONSOLE, View.PAGE, detail.shows_targets_of())
    lang = rendering.language(request)
    return rendering.page(
        request,
        "request.html",
        detail=detail,
        behind=behind,
        pressure=pressing[request_id],
        lanes=lanes.lanes(detail, behind, seat.now, lang),
        overview=lanes.overview(detail),
        entries=telling.entries(told, detail.order_list, behind, lang),
        facts=len(told.facts),
        readers=readers,
        lifts=lifts,
        original=originals.get(request_id),
        wanted=wanted,
        notes=written,
        asks=_may_ask(seat, detail, behind.tenant),
        reads_answers=answers.may_read(seat, detail, behind.tenant),
        erased=ERASED,
        may_note=write_note.may(principal) and not detail.erased,
        may_export=principal.sector is not Sector.HUB
        and export_evidence.may(principal, behind.tenant, detail.action)
        and not detail.erased,
        may_answer=Scope.TASKS_RESOLVE in principal.scopes,
        looks=lanes.LOOKS,
        now=seat.now,
        **_may_see(seat),
    )


def _looked_for(text: str) -> requests.Filter:
    """Return what a typed text narrows the list to: a request's number looks like nothing else."""
    if re.fullmatch(REQUEST_REFERENCE, text.upper()):
        return requests.Filter(reference=text.upper())
    return requests.Filter(case_number=text or None)


def _mentioned(detail: RequestDetail, told: TimelineAnswer, readers: ReadPage) -> set[str]:
    ids = {order.participant_id for order in detail.order_list}
    ids |= {missing.participant_id for missing in detail.unreachable}
    ids |= {fact.actor["tenant"] for fact in told.facts}
    ids |= {read.actor["tenant"] for read in readers.items}
    return ids | {
        str(fact.data[name]) for fact in told.facts for name in ("participant_id", "ported_to") if name in fact.data
    }


def _may_ask(seat: Seat, detail: RequestDetail, tenant: str) -> tuple[Action, ...]:
    """Return what the reader's agency may ask about its request: to lift it, to move its end."""
    principal = seat.principal
    if Scope.REQUESTS_WRITE not in principal.scopes or not visibility.owns(principal, tenant) or detail.erased:
        return ()
    is_active = detail.state is RequestState.ACTIVE
    if not is_active and not (detail.state is RequestState.CLOSED and OrderState.EXECUTED in detail.orders):
        return ()
    return follow_ups(detail.action, is_active=is_active, has_end=detail.ends_at is not None)


def _may_see(seat: Seat) -> dict[str, Any]:
    scopes = seat.principal.scopes
    return {
        "sees_tasks": Scope.TASKS_READ in scopes,
        "sees_escalations": Scope.ESCALATIONS_READ in scopes,
        "sees_letters": write_letter.scope(seat.principal) in scopes,
        "signs": Scope.REQUESTS_APPROVE in scopes,
        "sees_audit": Scope.AUDIT_READ in scopes,
    }
