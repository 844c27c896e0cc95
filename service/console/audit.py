"""The pages of the audit: a search through the facts, and the chain of one request recomputed link by link."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from service import errors, i18n
from service.actions import note_reading
from service.console import doors, rendering, searches, telling
from service.queries import board, facts, visibility
from service.queries.facts import Wanted
from service.security.principals import Principal
from service.security.scopes import Scope
from service.web.doors import After, HubDep
from workflows.terms import Door, Fact
from workflows.working_hours import VIETNAM

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

PATH = "/audit"
# What a page looks through unless it is told: the months before are looked through when somebody asks for them.
WINDOW = timedelta(days=30)
# No hub has a fact of before.
_FIRST = datetime(2000, 1, 1, tzinfo=UTC)
_PAGE = 50
_FIELDS = ("request", "number", "code", "tenant", "since", "until")
# Who acted is a person: the name is in no address.
_SEARCH = searches.Search(PATH, "hoatoc_search_audit")


class _Wrong(Exception):
    """A field of the search says what is no number, kind, day or request; ``args`` has its name."""


@router.post(PATH)
async def narrow(request: Request, seat: doors.SeatDep, form: doors.FormDep) -> Response:
    """Narrow the search: who acted goes into a cookie, the other fields into the address."""
    seat.principal.require(Scope.AUDIT_READ)
    return _SEARCH.begin(request, seat.now, form.get("actor", ""), {name: form.get(name, "") for name in _FIELDS})


@router.get(PATH)
async def search(request: Request, hub: HubDep, seat: doors.SeatDep, after: After = None) -> Response:
    """Search the facts of a window of time; that an actor was looked for is a fact itself."""
    principal = seat.principal
    principal.require(Scope.AUDIT_READ)
    typed = _SEARCH.typed(request, seat.now)
    given = {name: request.query_params.get(name, "").strip()[:80] for name in _FIELDS}
    asked = {**given, "actor": typed.text}
    wrong, found = None, facts.Found((), None)
    async with hub.database.read(principal.reach) as conn:
        try:
            wanted = await _wanted(conn, principal, seat.now, asked)
            found = await facts.search(conn, principal, wanted, after=after, limit=_PAGE)
        except _Wrong as field:
            wrong = str(field)
        called = {each.fact.actor["tenant"] for each in found.lines} | {each.tenant for each in found.lines}
        names = await board.names(conn, called)
    if wrong is None and asked["actor"]:
        await note_reading.searched(hub, principal, Door.CONSOLE, "actor", asked["actor"], len(found.lines))
    lang = rendering.language(request)
    return rendering.page(
        request,
        "audit.html",
        status=422 if wrong else 200,
        keeps=(*_FIELDS, searches.SEARCHED),
        now=seat.now,
        lines=found.lines,
        next=found.next,
        is_first=after is None,
        asked=asked,
        days=WINDOW.days,
        query={name: value for name, value in {**given, searches.SEARCHED: typed.tag}.items() if value},
        is_over=typed.is_over,
        wrong=wrong,
        names=names,
        kinds=_kinds(lang),
        looks=telling.LOOKS,
        plain=telling.PLAIN,
        sees_all=visibility.sees_all(principal),
    )


@router.get(f"{PATH}/requests/{{request_id}}")
async def chain(request: Request, hub: HubDep, seat: doors.SeatDep, request_id: UUID) -> Response:
    """Show the chain of one request with what became of recomputing it; an unknown one and another's look alike."""
    principal = seat.principal
    principal.require(Scope.AUDIT_READ)
    async with hub.database.read(principal.reach) as conn:
        found = await facts.chain(conn, principal, request_id)
        if found is None:
            raise errors.NotFound
        names = await board.names(conn, {fact.actor["tenant"] for fact in found.facts})
    return rendering.page(
        request,
        "audit_chain.html",
        now=seat.now,
        request_id=request_id,
        chain=found,
        names=names,
        wrong={finding.sequence: finding.kind for finding in found.wrong},
    )


async def _wanted(conn: AsyncConnection, principal: Principal, now: datetime, asked: Mapping[str, str]) -> Wanted:
    """Return what the fields ask for. Raises ``_Wrong``."""
    number, request_id = asked["number"], None
    if number and not (number.isascii() and number.isdigit() and 0 < int(number) < 2**31):
        raise _Wrong("number")
    # A number is one of a request's chain; alone it would be looked for in every fact of the window.
    if number and not asked["request"]:
        raise _Wrong("number")
    if asked["code"] and asked["code"] not in set(Fact):
        raise _Wrong("code")
    if asked["request"]:
        request_id = await facts.request_named(conn, principal, asked["request"])
        if request_id is None:
            raise _Wrong("request")
    until = _start("until", asked["until"]) + timedelta(days=1) if asked["until"] else now + timedelta(days=1)
    if asked["since"]:
        since = _start("since", asked["since"])
    elif request_id:
        since = _FIRST  # its facts are few
    else:
        since = min(now, until) - WINDOW
    if since >= until:
        raise _Wrong("until")
    return Wanted(
        since=since,
        until=until,
        request_id=request_id,
        number=int(number) if number else None,
        code=Fact(asked["code"]) if asked["code"] else None,
        actor=asked["actor"] or None,
        tenant=asked["tenant"] or None,
    )


def _start(name: str, text: str) -> datetime:
    """Return the instant at which a day begins in Vietnam. Raises ``_Wrong``."""
    try:
        day = date.fromisoformat(text)
        if not date(2000, 1, 1) <= day < date(3000, 1, 1):
            raise ValueError(text)
    except ValueError:
        raise _Wrong(name) from None
    return datetime.combine(day, time.min, VIETNAM).astimezone(UTC)


def _kinds(lang: str) -> list[tuple[str, str]]:
    """Return each kind of fact with its sentence, without what differs from one to the next."""
    told: list[tuple[str, str]] = [(str(code), i18n.fact_text(code, {}, lang)) for code in Fact]
    return sorted(told, key=lambda pair: pair[1].casefold())
