"""The pages of the directory: who is connected, whom to call now, over what each is reached, and what expires when."""

from collections.abc import Mapping
from datetime import datetime, time
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from service import errors, i18n
from service.actions import note_reading
from service.console import doors, rendering
from service.engine import definitions, reach
from service.engine.hub import Hub
from service.queries import board, certificates, dispatch_health, maintenance, participants
from service.queries.sessions import Seat
from service.schemas.endpoints import ContactAnswer
from service.schemas.registry import ParticipantDetail
from service.security.scopes import Scope
from service.web.doors import After, HubDep
from workflows.maintenance import AHEAD, HOUR, LONGEST, MaintenanceReason
from workflows.terms import Channel, Door, Sector

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

PATH = "/participants"
_PAGE = 50
MemberId = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
# To these nobody sends an order that could take another way.
_NO_ORDERS = frozenset({Sector.AGENCY, Sector.SUPERVISOR, Sector.HUB})
_STATUSES = ("active", "listed", "suspended")


@router.get(PATH)
async def show(
    request: Request,
    hub: HubDep,
    seat: doors.SeatDep,
    sector: Sector | Literal[""] = "",
    status: Literal["", "active", "listed", "suspended"] = "",
    q: Annotated[str, Query(max_length=80)] = "",
    after: After = None,
) -> Response:
    """List the members that the reader may see; a name is found with or without its accents."""
    principal = seat.principal
    principal.require(Scope.REGISTRY_READ)
    wanted = participants.Filter(sector or None, status or None, q.strip() or None)
    async with hub.database.read(principal.reach) as conn:
        found = await participants.page(conn, principal, wanted, after=after, limit=_PAGE)
        above = await board.names(conn, {each.supervisor_id or each.parent_id or "" for each in found.items})
        resting = await maintenance.of_members(conn, [each.id for each in found.items], seat.now)
    lang = rendering.language(request)
    return rendering.page(
        request,
        "participants.html",
        keeps=("sector", "status", "q"),
        now=seat.now,
        members=found.items,
        above=above,
        resting=resting,
        next=found.next,
        is_first=after is None,
        wanted={"sector": sector, "status": status, "q": q},
        sectors=[(each, i18n.sentence_case(i18n.text(f"terms.sector.{each}", lang))) for each in Sector],
        statuses=_STATUSES,
    )


@router.get(f"{PATH}/{{participant_id}}")
async def one(
    request: Request,
    hub: HubDep,
    seat: doors.SeatDep,
    participant_id: MemberId,
) -> Response:
    """Show one member: whole to itself and to the hub's roles, as one line of the list to its supervisor."""
    return await page(request, hub, seat, participant_id)


async def page(
    request: Request,
    hub: Hub,
    seat: Seat,
    participant_id: str,
    *,
    said: Mapping[str, str] | None = None,
    wrong: str | None = None,
    status: int = 200,
) -> Response:
    """Render a member's page; ``said`` is what stands in the form of a maintenance, ``wrong`` what is wrong with it."""
    principal = seat.principal
    principal.require(Scope.REGISTRY_READ)
    async with hub.database.read(principal.reach) as conn:
        whole = await participants.one(conn, hub.vault, principal, participant_id)
        member = whole or await participants.summary(conn, principal, participant_id)
        if member is None:
            raise errors.NotFound
        above = await board.names(conn, {member.supervisor_id or "", member.parent_id or ""})
        health = await dispatch_health.load(conn, principal, seat.now, participant_id)
        expiring = await certificates.expiring(conn, principal, participant_id)
        windows = await maintenance.announced(conn, principal, participant_id, seat.now) or []
    if whole is not None and any(contact.name is not None for contact in whole.contacts):
        await note_reading.opened_roster(hub, principal, Door.CONSOLE, participant_id)
    return rendering.page(
        request,
        "participant.html",
        status=status,
        here=f"{PATH}/{participant_id}",
        now=seat.now,
        windows=windows,
        may_announce=Scope.TASKS_RESOLVE in principal.scopes and member.sector not in _NO_ORDERS,
        said={name: (said or {}).get(name, "") for name in ("endpoint_id", "starts_at", "ends_at", "reason")},
        wrong=wrong,
        reasons=list(MaintenanceReason),
        limits={"hours": LONGEST // HOUR, "days": AHEAD.days},
        member=member,
        whole=whole,
        above=above,
        lanes={lane.endpoint_id: lane for lane in health.lanes},
        expiring=expiring,
        on_duty=_on_duty(whole, seat.now, mail=hub.settings.smtp_host is not None),
        owners=_owners(whole),
    )


def _on_duty(whole: ParticipantDetail | None, now: datetime, *, mail: bool) -> list[ContactAnswer]:
    """Return whom a rung would reach now: as ``reach.on_duty`` has it, over an endpoint that may be used."""
    if whole is None or whole.status == "suspended":
        return []
    used = {each.id for each in whole.endpoints if definitions.is_used(each.channel, each.approved_sha256, each.active)}
    reachable = [each for each in whole.contacts if each.active and each.endpoint_id in used]
    return [each for each in reachable if (mail or each.channel is not Channel.EMAIL) and _is_on_duty(each, now)]


def _is_on_duty(contact: ContactAnswer, now: datetime) -> bool:
    if contact.hours is None:
        return True
    return reach.is_within(_minute(contact.hours.starts), _minute(contact.hours.ends), now)


def _minute(at: time) -> int:
    return at.hour * 60 + at.minute


def _owners(whole: ParticipantDetail | None) -> list[tuple[str, str]]:
    """Return of whom there are keys: systems, officers and the member itself, each once and in this order."""
    keys = whole.keys if whole else []
    return sorted({(each.owner_kind, each.owner_id) for each in keys})
