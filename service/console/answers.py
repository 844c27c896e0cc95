"""What participants answered about people and money, for whoever asked: read on record, as a page and to take along."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from service import errors, i18n
from service.actions import note_reading
from service.console import doors, forms, rendering, tables
from service.console.filing import body, desk
from service.console.filing.steps import Step
from service.engine.hub import Hub
from service.queries import board, disclosures, movements, requests, visibility
from service.queries.board import Name
from service.queries.registry import Known
from service.queries.sessions import Seat
from service.schemas.disclosures import DisclosureList
from service.schemas.movements import Counterparty, MovementList
from service.schemas.requests import RequestDetail
from service.security.scopes import Scope
from service.web.doors import HubDep
from workflows import routing
from workflows.terms import CONFIDENTIAL, Action, Direction, Door, OrderState, View

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

_COLUMNS = ("at", "direction", "amount", "currency", "kind", "other_kind", "other", "institution", "participant")


@dataclass(frozen=True, slots=True)
class _Read:
    """A request of the reader's own agency, what was answered to it, and how the participants are called."""

    detail: RequestDetail
    disclosed: DisclosureList | None
    traced: MovementList | None
    names: dict[str, Name]
    # What a bank called an institution, and what it is called here; what nobody is known as is not in it.
    institutions: dict[str, str]


def may_read(seat: Seat, detail: RequestDetail, tenant: str) -> bool:
    """Tell whether there is an answer that this person may read: of the own agency's request alone."""
    principal = seat.principal
    is_own = visibility.owns(principal, tenant) and Scope.DISCLOSURES_READ in principal.scopes
    return is_own and detail.action in CONFIDENTIAL and OrderState.EXECUTED in detail.orders and not detail.erased


@router.get("/requests/{request_id}/answers")
async def show(request: Request, hub: HubDep, seat: doors.SeatDep, request_id: UUID) -> Response:
    """Show what was disclosed, or what moved; an unknown request and another's get the same page."""
    read = await _read(hub, seat, request_id)
    return rendering.page(
        request,
        "answers.html",
        now=seat.now,
        detail=read.detail,
        disclosed=read.disclosed,
        traced=read.traced,
        names=read.names,
        institutions=read.institutions,
        may_file=Scope.REQUESTS_WRITE in seat.principal.scopes,
        out=Direction.OUT,
    )


@router.get("/requests/{request_id}/answers.csv")
async def export(request: Request, hub: HubDep, seat: doors.SeatDep, request_id: UUID) -> Response:
    """Return the movements of a trace as a table."""
    read = await _read(hub, seat, request_id, only=Action.TRACE)
    assert read.traced is not None
    lang = rendering.language(request)
    columns = [i18n.text(f"console.answers.column.{name}", lang) for name in _COLUMNS]
    lines: list[Sequence[Any]] = []
    for answer in read.traced.items:
        who = read.names[answer.participant_id].short if answer.participant_id in read.names else answer.participant_id
        for each in answer.movements:
            other = each.counterparty
            named = (
                (i18n.text(f"terms.target_kind.{other.kind}", lang), other.value, other.institution) if other else ()
            )
            line = (
                forms.moment(each.at),
                i18n.text(f"terms.direction.{each.direction}", lang),
                each.amount.minor_units,
                each.amount.currency,
                i18n.text(f"terms.movement_kind.{each.kind}", lang),
                *(named or ("", "", "")),
                who,
            )
            lines.append(line)
    return tables.csv_file(hub.settings, lang, str(request_id), columns, lines)


@router.post("/requests/{request_id}/next-hop")
async def next_hop(
    request: Request, hub: HubDep, seat: doors.SeatDep, fields: doors.FormDep, request_id: UUID
) -> Response:
    """Begin a freeze where the money went on to; a draft of something else is left, and has to be ended first."""
    principal = seat.principal
    principal.require(Scope.REQUESTS_WRITE)
    try:
        to = Counterparty.model_validate({name: fields.get(name) for name in ("kind", "value", "institution")})
    except ValidationError:
        raise errors.MalformedInput("form.malformed") from None
    async with hub.database.read(principal.reach) as conn:
        table = await desk.lay(conn, request, hub, seat)
        about = await requests.line(conn, principal, request_id)
        known = await _institutions(conn, table.known, table.day, [to])
    if about is None or about.action is not Action.TRACE:
        raise errors.NotFound
    hop = {
        "action": str(Action.FREEZE),
        "targets.0.kind": str(to.kind),
        "targets.0.value": to.value,
        "targets.0.at": known.get(to.institution, to.institution),
    }
    amount = fields.get("amount", "")
    # The bank did not say whose account it is, and is not asked here: the officer does.
    more = {"case_number": about.case_number, "targets.0.holder_name": ""}
    more |= {"extent": "amount", "amount": amount} if amount.isascii() and amount.isdigit() else {}
    return await desk.begin(hub, seat, table, hop, more, Step.TARGETS)


async def _read(hub: Hub, seat: Seat, request_id: UUID, only: Action | None = None) -> _Read:
    """Open the answers and put on record that they were read, as the API does. Raises ``NotFound``."""
    principal = seat.principal
    principal.require(Scope.DISCLOSURES_READ)
    async with hub.database.read(principal.reach) as conn:
        detail = await requests.one(conn, hub.vault, principal, request_id)
        if detail is None or (only is not None and detail.action is not only):
            raise errors.NotFound
        disclosed = await disclosures.of_request(conn, hub.vault, principal, request_id)
        traced = await movements.of_request(conn, hub.vault, principal, request_id)
        found = disclosed or traced
        if found is None:
            raise errors.NotFound
        names = await board.names(conn, {each.participant_id for each in found.items})
        moved = [each.counterparty for answer in (traced.items if traced else ()) for each in answer.movements]
        registry, day = await hub.registry.known(conn), body.today(seat.now)
        institutions = await _institutions(conn, registry, day, [each for each in moved if each])
    if not found.erased:
        view = View.DISCLOSURE if disclosed else View.MOVEMENTS
        await note_reading.opened(hub, principal, Door.CONSOLE, view, [request_id])
    return _Read(detail, disclosed, traced, names, institutions)


async def _institutions(conn: Any, known: Known, day: date, named: Sequence[Counterparty]) -> dict[str, str]:
    """Return how the directory calls the institutions that a bank named by codes; what it does not know is left out."""
    found: dict[str, str] = {}
    for each in named:
        target = routing.RoutingTarget(each.kind, each.value, each.institution)
        with contextlib.suppress(routing.UnknownInstitution):
            found[each.institution] = routing.route(target, known.directory, day).participants[0].participant_id
    short = await board.names(conn, set(found.values()))
    return {code: short[name].short for code, name in found.items() if name in short}
