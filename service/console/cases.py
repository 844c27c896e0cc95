"""The page of a case: its requests, the trail as a drawing and as a table, and both to take along."""

import bisect
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from service import errors, i18n
from service.actions import note_reading
from service.console import doors, forms, lanes, rendering, tables, trail
from service.engine.hub import Hub
from service.queries import board, case_history, cases, visibility
from service.queries.board import Name
from service.queries.case_history import Event
from service.queries.cases import Step, Whole
from service.queries.sessions import Seat
from service.schemas.common import ERASED
from service.security.scopes import Scope
from service.web.doors import HubDep
from workflows.terms import Action, Door, View

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

_COLUMNS = ("placed", "request", "action", "kind", "target", "participant", "state", "asked", "done")


@router.get("/requests/{request_id}/case")
async def show(request: Request, hub: HubDep, seat: doors.SeatDep, request_id: UUID) -> Response:
    """Show the case that a request belongs to; an unknown request and another's get the same page.

    ``at`` (an instant) or ``event`` (its number) shows it as it was known then.
    """
    now_whole, names, past = await _load(hub, seat, request_id)
    moments = case_history.instants(past)
    at = _asked(request, moments)
    whole = now_whole if at is None else case_history.as_of(now_whole, past, at)
    lang = rendering.language(request)
    shown = _Shown(whole, names, lang, is_own=visibility.owns(seat.principal, whole.tenant))
    return rendering.page(
        request,
        "case.html",
        now=seat.now,
        request_id=request_id,
        keeps=("at", "event"),
        at=at,
        place=bisect.bisect_right(moments, at) if at else len(moments),
        moments=moments,
        archived=case_history.archived(now_whole, past),
        case=whole,
        agency=names.get(whole.tenant),
        drawing=trail.draw(whole.steps, target=shown.target, member=shown.member),
        lines=[(step, shown.value(step)) for step in whole.steps],
        # Of now: the request that leads back may be younger than what is looked at.
        references={matter.id: matter.reference for matter in now_whole.matters},
        names=names,
        sees_orders=Scope.ORDERS_READ in seat.principal.scopes or Scope.REQUESTS_WRITE in seat.principal.scopes,
        looks=lanes.LOOKS,
    )


@router.get("/requests/{request_id}/case.csv")
async def export(request: Request, hub: HubDep, seat: doors.SeatDep, request_id: UUID) -> Response:
    """Return the trail as a table, as it is now or was at an instant."""
    whole, names, past = await _load(hub, seat, request_id)
    # Of now: the request that leads back may be younger than what is looked at.
    references = {matter.id: matter.reference for matter in whole.matters}
    at = _asked(request, case_history.instants(past))
    whole = whole if at is None else case_history.as_of(whole, past, at)
    lang = rendering.language(request)
    shown = _Shown(whole, names, lang, is_own=visibility.owns(seat.principal, whole.tenant))
    columns = [i18n.text(f"console.case.column.{name}", lang) for name in _COLUMNS]
    lines = [shown.line(step, references[step.request_id]) for step in whole.steps]
    return tables.csv_file(hub.settings, lang, str(request_id), columns, lines)


@router.get("/requests/{request_id}/case.svg")
async def picture(request: Request, hub: HubDep, seat: doors.SeatDep, request_id: UUID) -> Response:
    """Return the drawing as a file of its own, in colours for paper, as it is now or was at an instant."""
    whole, names, past = await _load(hub, seat, request_id)
    at = _asked(request, case_history.instants(past))
    whole = whole if at is None else case_history.as_of(whole, past, at)
    lang = rendering.language(request)
    shown = _Shown(whole, names, lang, is_own=visibility.owns(seat.principal, whole.tenant))
    drawing = trail.draw(whole.steps, target=shown.target, member=shown.member)
    if drawing is None:
        raise errors.NotFound
    described = "; ".join(
        " ".join(each for each in (node.title, node.state, node.under) if each) for node in drawing.nodes
    )
    svg = rendering.part(
        "case_trail.svg",
        lang,
        drawing=drawing,
        number=whole.number,
        at=at or seat.now,
        described=described,
        drill_mark=rendering.mark(hub.settings, lang),
    )
    headers = {
        "Content-Disposition": rendering.attachment(hub.settings, f"{request_id}.svg"),
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    }
    return Response(svg, media_type="image/svg+xml", headers=headers)


def _asked(request: Request, moments: Sequence[datetime]) -> datetime | None:
    """Return the instant that the address asks for; None for now, and for what is no instant."""
    given = request.query_params
    number = given.get("event", "")
    if number.isascii() and number.isdigit() and len(number) < 7 and moments:
        place = min(max(int(number), 1), len(moments))
        return None if place == len(moments) else moments[place - 1]
    try:
        at = datetime.fromisoformat(given.get("at", ""))
    except ValueError:
        return None
    return at if at.tzinfo is not None and moments and moments[0] <= at < moments[-1] else None


async def _load(hub: Hub, seat: Seat, request_id: UUID) -> tuple[Whole, dict[str, Name], list[Event]]:
    principal = seat.principal
    principal.require(Scope.REQUESTS_READ)
    async with hub.database.read(principal.reach) as conn:
        whole = await cases.of_request(conn, hub.vault, principal, request_id)
        if whole is None:
            raise errors.NotFound
        names = await board.names(conn, {whole.tenant, *(step.participant_id for step in whole.steps)})
        past = await case_history.events(conn, whole)
    await note_reading.opened(hub, principal, Door.CONSOLE, View.PAGE, [matter.id for matter in whole.matters])
    return whole, names, past


class _Shown:
    """How the steps of one case look to one reader."""

    def __init__(self, whole: Whole, names: dict[str, Name], lang: str, *, is_own: bool) -> None:
        self._names, self._lang, self._is_own = names, lang, is_own
        self._references = {matter.id: matter.reference for matter in whole.matters}

    def value(self, step: Step) -> str:
        if step.value == ERASED:
            return i18n.text("console.request.erased", self._lang)
        return forms.target(step.kind, step.value, whole=self._is_own)

    def target(self, step: Step) -> tuple[str, str]:
        value = self.value(step)
        return value if len(value) < _LONG else f"{value[:_LONG]}…", self._term("target_kind", step.kind)

    def member(self, step: Step) -> tuple[str, str, str, str]:
        tone, state = lanes.LOOKS[step.state][1], self._term("order_state", step.state)
        if step.is_partly:
            partly = "partly_returned" if step.action is Action.RECALL else "partly"
            tone, state = "warn", i18n.text(f"console.lanes.{partly}", self._lang)
        money = "" if step.done is None else f" · {forms.joined(i18n.formats.money(step.done))}"
        under = f"{self._references[step.request_id]}{money}"
        return self._called(step), under, tone, state

    def line(self, step: Step, reference: str) -> Sequence[Any]:
        return (
            forms.moment(step.placed_at),
            reference,
            self._term("action", step.action),
            self._term("target_kind", step.kind),
            self.value(step),
            self._called(step),
            self._term("order_state", step.state),
            step.asked,
            step.done,
        )

    def _called(self, step: Step) -> str:
        return self._names[step.participant_id].short if step.participant_id in self._names else step.participant_id

    def _term(self, group: str, code: str) -> str:
        return i18n.sentence_case(i18n.text(f"terms.{group}.{code}", self._lang))


_LONG = 26
