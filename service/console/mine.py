"""The page of one's own requests: what became of each in plain words, one sentence a participant."""

from collections.abc import Mapping
from datetime import datetime

from fastapi import APIRouter, Request, Response

from service import i18n
from service.console import doors, forms, lanes, rendering
from service.queries import board, requests, results
from service.queries.board import Name
from service.queries.results import Result
from service.security.principals import ScopeMissing
from service.security.scopes import Scope
from service.web.doors import After, HubDep
from workflows import amounts
from workflows.terms import Action, OrderState

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

PATH = "/mine"
_PAGE = 20
_OF_OFFICERS = frozenset({Scope.REQUESTS_WRITE, Scope.REQUESTS_APPROVE})
_HOLDS = frozenset({Action.FREEZE, Action.RECALL})


@router.get(PATH)
async def show(request: Request, hub: HubDep, seat: doors.SeatDep, after: After = None) -> Response:
    """List what the person at the console filed, approved or reviewed as an officer."""
    principal = seat.principal
    if _OF_OFFICERS.isdisjoint(principal.scopes):
        raise ScopeMissing(Scope.REQUESTS_WRITE)
    wanted = requests.Filter(officer_id=principal.client_id)
    async with hub.database.read(principal.reach) as conn:
        found = await requests.page(conn, principal, wanted, after=after, limit=_PAGE)
        ids = [line.id for line in found.items]
        became = await results.of_requests(conn, principal, ids)
        pressing = await board.pressure(conn, principal, ids, seat.now)
        originals = await board.originals(conn, principal, ids)
        names = await board.names(conn, {each.participant_id for of in became.values() for each in of})
    lang = rendering.language(request)
    return rendering.page(
        request,
        "mine.html",
        now=seat.now,
        lines=found.items,
        said={request_id: [sentence(each, names, seat.now, lang) for each in of] for request_id, of in became.items()},
        pressing=pressing,
        originals=originals,
        looks=lanes.LOOKS,
        next=found.next,
        is_first=after is None,
    )


def sentence(result: Result, names: Mapping[str, Name], now: datetime, lang: str) -> tuple[str, str, str]:
    """Return a drawing, a tone, and what became of a request at one participant, as one would say it."""
    name = names[result.participant_id].short if result.participant_id in names else result.participant_id
    said: dict[str, object] = {
        "name": name,
        "time": _time(result.at, now),
        "amount": result.done,
        "asked": result.asked,
    }
    count = result.states.total()
    if count > 1:
        done = result.states[OrderState.EXECUTED] + result.states[OrderState.LIFTED]
        refused = result.states[OrderState.REFUSED]
        look = lanes.LOOKS[OrderState.EXECUTED if done == count else OrderState.ACKNOWLEDGED]
        if refused:
            said["refused"] = refused
            look = lanes.LOOKS[OrderState.REFUSED] if refused == count else ("alert", "warn")
        return (*look, i18n.text("console.mine.many", lang, **said, done=done, count=count))
    (state,) = result.states
    if state is OrderState.REFUSED and result.refusal is not None:
        said["reason"] = i18n.text(f"terms.refusal_code.{result.refusal}", lang)
    is_partly = result.action in _HOLDS and amounts.is_partly(state, result.asked, result.done)
    look = ("half", "warn") if is_partly else lanes.LOOKS[state]
    how = f"partly_{_how(result, state)}" if is_partly else _how(result, state)
    if how == "lapsed_late" and result.executed_at is not None:
        said["time"] = _time(result.executed_at, now)
    known = {key: value for key, value in said.items() if value is not None}
    return (*look, forms.joined(i18n.text(f"console.mine.{how}", lang, **known)))


def _time(at: datetime, now: datetime) -> str:
    """Return the time of the day, with the day where it is another one."""
    time = forms.clock_time(at)[:5]
    return time if forms.day(at) == forms.day(now) else f"{time} {forms.day(at)}"


def _how(result: Result, state: OrderState) -> str:
    if state is OrderState.LAPSED and result.executed_at is not None:
        # What was done before the end is not what was done after it: the second is undone the moment it is said.
        if result.executed_at >= result.at:
            return "lapsed_late"
        return "lapsed_done" if result.done is None else "lapsed_held"
    if state is not OrderState.EXECUTED:
        return str(state)
    if result.action not in _HOLDS or result.done is None:
        return "executed"
    return "returned" if result.action is Action.RECALL else "held"
