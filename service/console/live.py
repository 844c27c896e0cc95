"""The live board: the page, which needs no scripts, and the stream that brings it what changes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from service import db, i18n
from service.console import doors, lanes, rendering, searches, streaming
from service.console.streaming import News
from service.console.watching import Watch
from service.engine.hub import Hub
from service.queries import board as names_of
from service.queries import live_board, maintenance, visibility
from service.queries.board_lines import Board, Filter, Group, Line
from service.security.principals import Principal
from service.security.scopes import Scope
from service.web.doors import HubDep
from workflows.terms import Action, Sector, Urgency

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

PATH = "/board"
LINES, LINES_ALONE, LINES_ON_A_WALL = 25, 100, 12
LOOKS: Mapping[Group, tuple[str, str]] = {
    Group.BREACHED: ("clock-missed", "bad"),
    Group.QUARTER: ("hourglass", "warn"),
    Group.RUNNING: ("clock", "info"),
    Group.DONE: ("flag", "good"),
}
_KINDS: Mapping[str, Any] = {"sector": Sector, "action": Action, "urgency": Urgency}
_NAMES = ("agency", "participant", "sector", "action", "urgency", "searched", "group", "after", "wall")
_SEARCH = searches.Search(PATH, "hoatoc_search")
_LONGEST_ID = 64


@router.get(PATH)
async def show(request: Request, hub: HubDep, seat: doors.SeatDep) -> Response:
    """Show the board as it is now."""
    return await board(request, hub, seat.principal, seat.now, Asked.of(request, seat.now))


async def board(request: Request, hub: Hub, principal: Principal, now: datetime, asked: "Asked") -> Response:
    """Return the page of the board as ``principal`` may see it. Raises ScopeMissing."""
    principal.require(Scope.REQUESTS_READ)
    async with hub.database.read(principal.reach) as conn:
        found = await live_board.load(conn, principal, asked.wanted, now=now, limit=asked.limit)
        agencies, participants = await live_board.present(conn, principal)
        names = await names_of.names(conn, agencies | participants | _mentioned(found))
        found = await maintenance.on_board(conn, found, now)
    return rendering.page(
        request,
        "board.html",
        keeps=_NAMES,
        now=now,
        clock_at=now,
        choices=_choices(principal, agencies, participants, names, rendering.language(request)),
        chosen={name: getattr(asked.wanted, name) or "" for name in (*_KINDS, "agency", "participant")},
        is_narrowed=asked.wanted != Filter(),
        is_over=asked.is_over,
        is_wall=asked.is_wall,
        again=asked.address(),
        # The page has said that the search is over: its stream is of what it shows.
        events=asked.address(f"{asked.path}/events", **({"searched": None} if asked.is_over else {})),
        may_hang=Scope.TASKS_RESOLVE in principal.scopes,
        is_screen=asked.path != PATH,
        wall=asked.address(wall=None if asked.is_wall else "1"),
        whole=asked.address(group=None, after=None),
        **_shown(found, asked, principal, names),
    )


@router.post(PATH)
async def search(request: Request, seat: doors.SeatDep, form: doors.FormDep) -> Response:
    """Narrow the board: what was chosen goes into the address, what was typed into the cookie."""
    seat.principal.require(Scope.REQUESTS_READ)
    chosen = {name: form.get(name, "") for name in ("agency", "participant", *_KINDS)}
    return _SEARCH.begin(request, seat.now, form.get("text", ""), chosen)


@router.get(f"{PATH}/events")
async def tell(request: Request, hub: HubDep, seat: doors.SeatDep) -> Response:
    """Tell what of the board changes, for as long as the session lasts."""
    return events(request, seat.principal, Asked.of(request, seat.now), streaming.of_session(request, hub))


def events(request: Request, principal: Principal, asked: "Asked", is_alive: Callable[[], Awaitable[bool]]) -> Response:
    """Return the stream of a board for as long as ``is_alive``, ended at once if its search is over.

    Raises ScopeMissing.
    """
    principal.require(Scope.REQUESTS_READ)
    return streaming.Events(
        request, principal, _ended if asked.is_over else is_alive, _teller(request, principal, asked)
    )


async def _ended() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for. What it does not know it leaves out: nobody gets an error for an old link."""

    wanted: Filter
    is_wall: bool
    searched: str = ""
    path: str = PATH

    @classmethod
    def of(cls, request: Request, now: datetime) -> "Asked":
        given = request.query_params
        typed = _SEARCH.typed(request, now)
        known = {name: _member(kind, given.get(name)) for name, kind in _KINDS.items()}
        wanted = Filter(
            agency=given.get("agency", "")[:_LONGEST_ID] or None,
            participant=given.get("participant", "")[:_LONGEST_ID] or None,
            text=typed.text,
            group=_member(Group, given.get("group")),
            after=given.get("after") or None,
            **known,
        )
        is_wall = given.get("wall") == "1"
        return cls(wanted if wanted.group else replace(wanted, after=None), is_wall, typed.tag)

    @property
    def is_over(self) -> bool:
        """Tell whether something was searched for that is not kept any longer."""
        return bool(self.searched) and not self.wanted.text

    @property
    def limit(self) -> int:
        """How many lines a group gets."""
        if self.is_wall:
            return LINES_ON_A_WALL
        return LINES_ALONE if self.wanted.group else LINES

    def address(self, path: str | None = None, **other: str | None) -> str:
        """Return the board's address, or ``path``'s, with other values of some parameters; None leaves one out."""
        values = {name: getattr(self.wanted, name, None) for name in _NAMES}
        values |= {"wall": "1" if self.is_wall else None, "searched": self.searched or None, **other}
        query = urlencode({name: str(value) for name, value in values.items() if value})
        place = path or self.path
        return f"{place}?{query}" if query and self.path == PATH else place


# A screen's board is one and the same for all of them: nothing of its address narrows it.
WALL = Asked(Filter(), is_wall=True, path="/wall")


def _teller(request: Request, principal: Principal, asked: Asked) -> News:
    """Return what tells one reader the parts of the board that differ from what he has."""
    lang = rendering.language(request)
    hub: Hub = request.app.state.hub
    watch: Watch = request.app.state.watch
    before: Board | None = None

    async def read() -> tuple[Board, Mapping[str, names_of.Name], datetime]:
        async with hub.database.read(principal.reach) as conn:
            now = await db.now(conn)
            found = await live_board.load(conn, principal, asked.wanted, now=now, limit=asked.limit)
            names = await names_of.names(conn, _mentioned(found))
            return await maintenance.on_board(conn, found, now), names, now

    async def tell() -> str:
        nonlocal before
        key = (principal.tenant, principal.sector, asked.wanted, asked.limit)
        found, names, now = await watch.shared(key, read)
        news = _news(before, found)
        if not news:
            return ""
        before = found
        return rendering.part("board_news.html", lang, now=now, **{**_shown(found, asked, principal, names), **news})

    return tell


def _news(before: Board | None, found: Board) -> dict[str, Any]:
    """Return what differs: whole groups whose lines came, went or changed places, else the lines alone."""
    known = {each.id: each for lines in before.lines.values() for each in lines} if before else {}
    renewed, changed = [], []
    for group, lines in found.lines.items():
        ordered = [each.id for each in lines]
        if (
            before is None
            or ordered != [each.id for each in before.lines[group]]
            or (bool(before.next.get(group)) != bool(found.next.get(group)))
        ):
            renewed.append(group)
        else:
            changed += [each for each in lines if each != known[each.id]]
    if before is not None:
        # The heading counts; what is behind "show more" does too.
        renewed += [group for group in Group if before.totals[group] != found.totals[group] and group not in renewed]
    if not renewed and not changed:
        return {}
    fresh = {
        each.id for lines in found.lines.values() for each in lines if before is not None and each != known.get(each.id)
    }
    changed = [each for each in changed if each.group not in renewed]
    return {"renewed": renewed, "changed": changed, "counted": bool(renewed), "fresh": fresh}


def _shown(found: Board, asked: Asked, principal: Principal, names: Mapping[str, names_of.Name]) -> dict[str, Any]:
    groups = list(Group) if not asked.is_wall else [Group.BREACHED, Group.QUARTER, Group.RUNNING]
    return {
        "board": found,
        "wanted": asked.wanted,
        "names": names,
        "groups": groups,
        "fresh": frozenset(),
        # A screen opens nothing: there is nothing to follow.
        "is_linked": asked.path == PATH,
        "looks": lanes.LOOKS,
        "group_looks": LOOKS,
        "sees_agencies": visibility.sees_all(principal),
        "only": {group: asked.address(group=group, after=None, wall=None) for group in Group},
        "more": {
            group: asked.address(group=group, after=cursor if asked.wanted.group else None)
            for group, cursor in found.next.items()
        },
    }


def _choices(
    principal: Principal, agencies: set[str], participants: set[str], names: Mapping[str, names_of.Name], lang: str
) -> dict[str, Sequence[tuple[str, str]]]:
    def named(ids: set[str]) -> list[tuple[str, str]]:
        found = [(each, names[each].short if each in names else each) for each in ids]
        return sorted(found, key=lambda pair: pair[1].casefold())

    def terms(group: str, codes: Sequence[str]) -> list[tuple[str, str]]:
        return [(code, i18n.sentence_case(i18n.text(f"terms.{group}.{code}", lang))) for code in codes]

    sectors = sorted({names[each].sector for each in participants if each in names})
    found: dict[str, Sequence[tuple[str, str]]] = {
        "participant": named(participants),
        "sector": terms("sector", sectors),
        "action": terms("action", list(Action)),
        "urgency": terms("urgency", list(Urgency)),
    }
    return {"agency": named(agencies), **found} if visibility.sees_all(principal) else found


def _mentioned(found: Board) -> set[str]:
    lines: list[Line] = [each for group in found.lines.values() for each in group]
    return {each.participant_id for each in lines} | {each.tenant for each in lines}


def _member(kind: Any, given: str | None) -> Any:
    return kind(given) if given in set(kind) else None
