"""The page of a case: its requests, the trail as a drawing and as a table, and both to take along."""

import csv
import io
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from service import errors, i18n
from service.actions import note_reading
from service.console import doors, forms, lanes, rendering, trail
from service.engine.hub import Hub
from service.queries import board, cases, visibility
from service.queries.board import Name
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
    """Show the case that a request belongs to; an unknown request and another's get the same page."""
    whole, names = await _load(hub, seat, request_id)
    lang = rendering.language(request)
    shown = _Shown(whole, names, lang, is_own=visibility.owns(seat.principal, whole.tenant))
    return rendering.page(
        request,
        "case.html",
        now=seat.now,
        request_id=request_id,
        case=whole,
        agency=names.get(whole.tenant),
        drawing=trail.draw(whole.steps, target=shown.target, member=shown.member),
        lines=[(step, shown.value(step)) for step in whole.steps],
        references={matter.id: matter.reference for matter in whole.matters},
        names=names,
        sees_orders=Scope.ORDERS_READ in seat.principal.scopes or Scope.REQUESTS_WRITE in seat.principal.scopes,
        looks=lanes.LOOKS,
    )


@router.get("/requests/{request_id}/case.csv")
async def export(request: Request, hub: HubDep, seat: doors.SeatDep, request_id: UUID) -> Response:
    """Return the trail as a table that every spreadsheet opens (RFC 4180, with the mark that tells UTF-8)."""
    whole, names = await _load(hub, seat, request_id)
    lang = rendering.language(request)
    shown = _Shown(whole, names, lang, is_own=visibility.owns(seat.principal, whole.tenant))
    written = io.StringIO()
    table = csv.writer(written)
    name = str(request_id)
    if hub.settings.drill:
        name = f"DIEN-TAP-{name}"
        table.writerow([i18n.text("drill.mark", lang)])
    table.writerow([i18n.text(f"console.case.column.{name}", lang) for name in _COLUMNS])
    references = {matter.id: matter.reference for matter in whole.matters}
    for step in whole.steps:
        table.writerow([forms.cell(each) for each in shown.line(step, references[step.request_id])])
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response("\ufeff" + written.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


async def _load(hub: Hub, seat: Seat, request_id: UUID) -> tuple[Whole, dict[str, Name]]:
    principal = seat.principal
    principal.require(Scope.REQUESTS_READ)
    async with hub.database.read(principal.reach) as conn:
        whole = await cases.of_request(conn, hub.vault, principal, request_id)
        if whole is None:
            raise errors.NotFound
        names = await board.names(conn, {whole.tenant, *(step.participant_id for step in whole.steps)})
    await note_reading.opened(hub, principal, Door.CONSOLE, View.PAGE, [matter.id for matter in whole.matters])
    return whole, names


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
