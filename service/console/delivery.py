"""The page of delivery: each endpoint's queue and breaker, and having sent once more what was given up or got lost."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.responses import RedirectResponse

from service import db
from service.actions import replay_dispatches
from service.console import doors, forms, rendering, streaming
from service.console.streaming import News
from service.console.watching import Watch
from service.engine.hub import Hub
from service.queries import board, dispatch_health
from service.queries.dispatch_health import Health
from service.queries.sessions import Seat
from service.schemas.replays import ReplaySelection
from service.security.scopes import Scope
from service.web.doors import HubDep
from workflows.replay import Replayed

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

PATH = "/delivery"
_FIELDS = ("which", "participant_id", "endpoint_id", "order_id", "since", "until")


@router.get(PATH)
async def show(request: Request, hub: HubDep, seat: doors.SeatDep) -> Response:
    """Show how delivery fares now; the address may fill in the form of a replay."""
    seat.principal.require(Scope.TASKS_READ)
    asked = {name: request.query_params.get(name, "")[:64] for name in _FIELDS}
    return await _page(request, hub, seat, asked, sent=request.query_params.get("sent", ""))


@router.get(f"{PATH}/events")
async def tell(request: Request, hub: HubDep, seat: doors.SeatDep) -> Response:
    """Tell how delivery fares whenever it fares otherwise, for as long as the session lasts."""
    seat.principal.require(Scope.TASKS_READ)
    return streaming.Events(request, seat.principal, streaming.of_session(request, hub), _teller(request, hub, seat))


def _teller(request: Request, hub: Hub, seat: Seat) -> News:
    principal, lang = seat.principal, rendering.language(request)
    watch: Watch = request.app.state.watch
    before = ""

    async def read() -> tuple[Health, datetime]:
        async with hub.database.read(principal.reach) as conn:
            now = await db.now(conn)
            return await dispatch_health.load(conn, principal, now), now

    async def news() -> str:
        nonlocal before
        health, now = await watch.shared((PATH, principal.tenant, principal.sector), read)
        may_replay = Scope.TASKS_RESOLVE in principal.scopes
        html = rendering.part("delivery_news.html", lang, now=now, health=health, may_replay=may_replay)
        told, before = ("" if html == before else html), html
        return told

    return news


@router.post(f"{PATH}/previews")
async def preview(request: Request, hub: HubDep, seat: doors.SeatDep, form: doors.FormDep) -> Response:
    """Count what a replay of this selection would send, endpoint by endpoint, and ask whether it may go."""
    seat.principal.require(Scope.TASKS_RESOLVE)
    selection = _selection(form, seat.now)
    if selection is None:
        return await _page(request, hub, seat, form, status=422, wrong=True)
    return await _counted(request, hub, seat, form, selection)


@router.post(f"{PATH}/replays")
async def run(request: Request, hub: HubDep, seat: doors.SeatDep, form: doors.FormDep) -> Response:
    """Put the oldest of the selection that was counted back into the queue; what is left of it is counted again."""
    seat.principal.require(Scope.TASKS_RESOLVE)
    selection = _selection(form, seat.now)
    if selection is None:
        return await _page(request, hub, seat, form, status=422, wrong=True)
    done = await replay_dispatches.run(hub, seat.principal, selection)
    if done.more:
        # With the same end: of what was made until now, that which just went out would be the oldest.
        return await _counted(request, hub, seat, form, selection, sent=done.count)
    return RedirectResponse(f"{PATH}?sent={done.count}#replay", 303)


async def _counted(
    request: Request,
    hub: Hub,
    seat: Seat,
    form: Mapping[str, str],
    selection: ReplaySelection,
    *,
    sent: int | None = None,
) -> Response:
    counted = await replay_dispatches.preview(hub, seat.principal, selection)
    async with hub.database.read(seat.principal.reach) as conn:
        names = await board.names(conn, {each.participant_id for each in counted.endpoints})
    return rendering.page(
        request,
        "replay.html",
        here=PATH,
        now=seat.now,
        counted=counted,
        names=names,
        selection=selection,
        fields={**{name: form.get(name, "") for name in _FIELDS}, "until": selection.until.isoformat()},
        sent=sent,
    )


async def _page(
    request: Request,
    hub: Hub,
    seat: Seat,
    asked: Mapping[str, str],
    *,
    status: int = 200,
    wrong: bool = False,
    sent: str = "",
) -> Response:
    principal = seat.principal
    async with hub.database.read(principal.reach) as conn:
        health = await dispatch_health.load(conn, principal, seat.now)
    members = {lane.participant_id: lane.name for lane in health.lanes}
    chosen = next((lane for lane in health.lanes if str(lane.endpoint_id) == asked.get("endpoint_id")), None)
    return rendering.page(
        request,
        "delivery.html",
        status=status,
        here=PATH,
        now=seat.now,
        health=health,
        members=sorted(members.items(), key=lambda pair: pair[1].casefold()),
        asked={name: asked.get(name, "") for name in _FIELDS},
        chosen=chosen,
        which=list(Replayed),
        wrong=wrong,
        sent=sent if sent.isascii() and sent.isdigit() and len(sent) < 7 else None,
        may_replay=Scope.TASKS_RESOLVE in principal.scopes,
    )


def _selection(form: Mapping[str, str], now: datetime) -> ReplaySelection | None:
    """Return what the form selects, or None where it selects nothing, or says what is no instant, id or member."""
    given: dict[str, Any] = {name: form.get(name) or None for name in ("which", "participant_id", "endpoint_id")}
    given |= {"order_id": form.get("order_id") or None, "until": now.isoformat()}
    try:
        for name in ("since", "until"):
            if form.get(name):
                given[name] = forms.written(form[name]).isoformat()
        selection = ReplaySelection.model_validate(given)
    except (ValidationError, ValueError, OverflowError):
        return None
    return None if selection.until > now else selection
