"""One question a page: what was answered is kept first, then judged, so that nothing is ever typed twice."""

import functools
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from service import directory, i18n
from service.actions import keep_draft
from service.console import doors
from service.console.filing import body, desk, steps, targets, wrong
from service.console.filing.desk import Desk
from service.console.filing.steps import Step
from service.console.filing.wrong import Wrong
from service.engine.hub import Hub
from service.i18n import formats
from service.queries.sessions import Seat
from service.security.scopes import Scope
from service.web.doors import HubDep
from workflows import disclose, trace
from workflows.terms import MONEY_TARGETS, Action, Datum, ExtendReason, LegalBasis, Measure, Urgency
from workflows.working_hours import VIETNAM

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

# A page more is a text that nobody reads through; it bounds what the finder goes over.
LONGEST_TEXT = 10_000
_QUESTIONS = tuple(step for step in Step if step not in {Step.PAPER, Step.CHECK, Step.SIGN})
_MOST_TARGETS = 100


async def show(request: Request, hub: Hub, seat: Seat, step: Step) -> Response:
    """Ask one question, with what was answered before; a page whose turn has not come leads to the first one."""
    async with hub.database.read(seat.principal.reach) as conn:
        table = await desk.lay(conn, request, hub, seat)
        if table.signer is None or step not in steps.order(table.action):
            return RedirectResponse(steps.PATH, 303)
        context = await _context(conn, request, table, step)
    return desk.page(request, table, step, **context)


async def answer(request: Request, hub: Hub, seat: Seat, fields: dict[str, str], step: Step) -> Response:
    """Keep the answer, right or wrong; go on, or say what is wrong with it on the same page."""
    principal = seat.principal
    principal.require(Scope.REQUESTS_WRITE)
    async with hub.database.read(principal.reach) as conn:
        table = await desk.lay(conn, request, hub, seat)
        names = await targets.short_names(conn, targets.ids_of([each.suggestion for each in table.fits.targets]))
    if table.signer is None or step not in steps.order(table.action):
        return RedirectResponse(steps.PATH, 303)
    picked, unpicked = _picked(table, fields) if step is Step.FOUND else ([], [])
    said = {name: body.kept(name, value) for name, value in fields.items() if steps.owns(step, name)}
    said = {name: value[: LONGEST_TEXT + 1] for name, value in said.items()}

    def edit(answers: Mapping[str, str]) -> Mapping[str, str]:
        kept = {name: value for name, value in answers.items() if not steps.owns(step, name)} | said
        return targets.taken(kept, table.fits, picked, names) if step is Step.FOUND and not unpicked else kept

    await keep_draft.save(hub, principal, edit)
    async with hub.database.read(principal.reach) as conn:
        table = await desk.lay(conn, request, hub, seat)
        if "more" in fields:
            kept = f"&{desk.RETURN}=1" if request.query_params.get(desk.RETURN) == "1" else ""
            return RedirectResponse(f"{steps.PATH}/{step}?more=1{kept}#more", 303)
        found = unpicked or _wrong(table, step)
        if found:
            context = await _context(conn, request, table, step)
            return desk.page(request, table, step, wrong=found, status=400, **context)
    return RedirectResponse(_onward(request, table, step), 303)


def _onward(request: Request, table: Desk, step: Step) -> str:
    assert table.action is not None
    goes_back = request.query_params.get(desk.RETURN) == "1" and step not in {Step.ACTION, Step.TEXT, Step.FOUND}
    following = steps.after(step, table.action, found=bool(table.fits.targets))
    return f"{steps.PATH}/{Step.CHECK if goes_back else following}"


def _wrong(table: Desk, step: Step) -> list[Wrong]:
    """Return what is wrong with the answer of one question; the others are not asked about yet."""
    action, lang = table.action, table.lang
    if action is None:
        return [Wrong("action", Step.ACTION, i18n.text("console.filing.wrong.action", lang))]
    if step is Step.TEXT:
        long = len(table.answers.get("text", "")) > LONGEST_TEXT
        told = i18n.text("console.filing.wrong.text", lang, most=LONGEST_TEXT)
        return [Wrong("text", step, told)] if long else []
    made = table.body()
    found = [each for each in wrong.shape(table.answers, made, action, lang) if each.step is step]
    if step is Step.TARGETS and not found:
        found = wrong.unrouted(table.known, table.answers, made, lang, table.day)
    return found


def _picked(table: Desk, fields: Mapping[str, str]) -> tuple[list[int], list[Wrong]]:
    """Return which of the found were picked, by their numbers; of one account somebody must say which."""
    numbers = range(len(table.fits.targets))
    if table.action in steps.ONE:
        chosen = fields.get("pick", "")
        if chosen == "none":
            return [], []
        if chosen not in set(map(str, numbers)):
            return [], [Wrong("pick", Step.FOUND, i18n.text("console.filing.wrong.pick", table.lang))]
        return [int(chosen)], []
    return [number for number in numbers if f"pick.{number}" in fields], []


async def _context(conn: Any, request: Request, table: Desk, step: Step) -> dict[str, Any]:
    """Return what a question shows besides its answers."""
    action = table.action
    if step is Step.ACTION or action is None:
        return {"actions": steps.ACTIONS}
    match step:
        case Step.FOUND:
            suggestions = [each.suggestion for each in table.fits.targets]
            names = await targets.short_names(conn, targets.ids_of(suggestions))
            chosen = {table.answers.get(f"targets.{place}.value") for place in body.places(table.answers)}
            return {"fits": table.fits, "names": names, "one": action in steps.ONE, "chosen": chosen}
        case Step.TARGETS:
            return await _targets(conn, request, table)
        case Step.MEASURE:
            return {"measures": tuple(Measure)}
        case Step.ASKED:
            kinds = {body.kind_of(table.answers, place) for place in body.places(table.answers)} - {None}
            data = [each for each in Datum if all(disclose.may_be_asked(each, kind) for kind in kinds if kind)]
            return {"data": data}
        case Step.WINDOW:
            until = table.seat.now.astimezone(VIETNAM)
            return {
                "hours": trace.LONGEST_WINDOW // timedelta(hours=1),
                "most": trace.MOST_MOVEMENTS,
                # Most victims call within a day: who has nothing better to say goes on with one press.
                "since": body.field_of(until - timedelta(days=1)),
                "until": body.field_of(until),
            }
        case Step.AMOUNT:
            sums = [formats.money(each).removesuffix(" ₫") for each in table.fits.sums]
            return {"sums": sums, "whole": action is Action.FREEZE}
        case Step.BASIS:
            provinces = _provinces(table.lang)
            return {"bases": steps.bases(action), "provinces": provinces, "emergency": LegalBasis.EMERGENCY}
        case Step.END:
            return {"reasons": tuple(ExtendReason)}
        case Step.URGENCY:
            return {"urgencies": tuple(reversed(Urgency))}
    return {}


async def _targets(conn: Any, request: Request, table: Desk) -> dict[str, Any]:
    action = table.action
    assert action is not None
    named = body.places(table.answers)
    shown = [*named] or [0]
    may_add = action not in steps.ONE and len(shown) < _MOST_TARGETS
    if may_add and named and "more" in request.query_params:
        shown.append(max(named) + 1)
    suggestions = {
        place: targets.suggested(table.answers, table.fits, table.known, table.day, place) for place in shown
    }
    holders = targets.holders(table.known, action)
    names = await targets.short_names(conn, holders | targets.ids_of(list(suggestions.values())))
    return {
        "shown": shown,
        "kinds": steps.kinds(action),
        "suggestions": suggestions,
        "names": names,
        "holders": sorted(names[each] for each in holders if each in names),
        "one": action in steps.ONE,
        "may_add": may_add,
        "where_kinds": {str(kind) for kind in steps.kinds(action) if body.may_say_where(kind)},
        "money_kinds": {str(kind) for kind in steps.kinds(action) if kind in MONEY_TARGETS},
    }


@functools.cache
def _provinces(lang: str) -> tuple[tuple[str, str], ...]:
    units = (unit for unit in directory.units() if unit.code == unit.province_code)
    named = [(unit.code, unit.name_vi if lang == "vi" else unit.name_en) for unit in units]
    return tuple(sorted(named, key=lambda pair: pair[1]))


def _add(step: Step) -> None:
    """Give a question its address: one for each, so that no part of one varies and none holds what was answered."""

    async def ask(request: Request, hub: HubDep, seat: doors.SeatDep) -> Response:
        return await show(request, hub, seat, step)

    async def take(request: Request, hub: HubDep, seat: doors.SeatDep, fields: doors.AnswersDep) -> Response:
        return await answer(request, hub, seat, fields, step)

    router.add_api_route(f"{steps.PATH}/{step}", ask, methods=["GET"])
    router.add_api_route(f"{steps.PATH}/{step}", take, methods=["POST"])


for _step in _QUESTIONS:
    _add(_step)
