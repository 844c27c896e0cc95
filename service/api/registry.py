"""The administrators' door: participants with their systems, officers and rosters; policies and clocks."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query

from service import errors
from service.actions import (
    add_contact,
    enroll_client,
    enroll_key,
    enroll_officer,
    note_reading,
    remove_contact,
    resume,
    revoke_key,
    set_calendar_day,
    set_duty_phone,
    set_policy,
    set_time_limit,
    suspend,
)
from service.queries import participants, policies
from service.schemas.callbacks import DutyPhone, NewDutyPhone
from service.schemas.common import Day
from service.schemas.endpoints import ContactAdded, NewContact
from service.schemas.policies import (
    CalendarDayAnswer,
    NewCalendarDay,
    NewPolicy,
    NewTimeLimit,
    PolicyAnswer,
    TimeLimitAnswer,
    TimeLimitList,
)
from service.schemas.registry import (
    ClientEnrolled,
    KeyEnrolled,
    NewClient,
    NewKey,
    NewOfficer,
    OfficerAnswer,
    ParticipantDetail,
    ParticipantPage,
    ParticipantSummary,
    Revocation,
    Suspension,
    SuspensionAnswer,
)
from service.security.scopes import Scope
from service.web.doors import After, Caller, HubDep, PageSize
from workflows.terms import Door, Sector

router = APIRouter(prefix="/v1", tags=["registry"])

ParticipantId = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
PolicyName = Annotated[str, Path(pattern=r"^[a-z0-9-]{1,64}$")]
Status = Literal["listed", "active", "suspended"]
Words = Annotated[str | None, Query(min_length=1, max_length=80, description="part of an id or a name")]


@router.get("/participants", operation_id="listParticipants")
async def list_participants(
    hub: HubDep,
    caller: Caller,
    sector: Sector | None = None,
    status: Status | None = None,
    q: Words = None,
    after: After = None,
    limit: PageSize = 50,
) -> ParticipantPage:
    """List the members that the caller may see, by id."""
    caller.require(Scope.REGISTRY_READ)
    wanted = participants.Filter(sector, status, q)
    async with hub.database.read(caller.reach) as conn:
        return await participants.page(conn, caller, wanted, after=after, limit=limit)


@router.get("/participants/{participant_id}", operation_id="getParticipant")
async def get_participant(
    hub: HubDep, caller: Caller, participant_id: ParticipantId
) -> ParticipantDetail | ParticipantSummary:
    """Show one member: whole to itself and to the hub's roles, as one line of the list to its supervisor."""
    caller.require(Scope.REGISTRY_READ)
    async with hub.database.read(caller.reach) as conn:
        found = await participants.one(conn, hub.vault, caller, participant_id) or await participants.summary(
            conn, caller, participant_id
        )
    if found is None:
        raise errors.NotFound
    if isinstance(found, ParticipantDetail) and any(contact.name is not None for contact in found.contacts):
        await note_reading.opened_roster(hub, caller, Door.API, participant_id)
    return found


@router.post("/participants/{participant_id}/clients", operation_id="enrollClient", status_code=201)
async def post_client(hub: HubDep, caller: Caller, participant_id: ParticipantId, body: NewClient) -> ClientEnrolled:
    """Register a client system with its roles and public key."""
    return await enroll_client.enroll(hub, caller, participant_id, body)


@router.post("/participants/{participant_id}/keys", operation_id="enrollKey", status_code=201)
async def post_key(hub: HubDep, caller: Caller, participant_id: ParticipantId, body: NewKey) -> KeyEnrolled:
    """Register a signature key: an officer's, or the one that a participant signs its answers with."""
    return await enroll_key.enroll(hub, caller, participant_id, body)


@router.post("/participants/{participant_id}/officers", operation_id="enrollOfficer", status_code=201)
async def post_officer(hub: HubDep, caller: Caller, participant_id: ParticipantId, body: NewOfficer) -> OfficerAnswer:
    """Register an officer of an agency."""
    return await enroll_officer.enroll(hub, caller, participant_id, body)


@router.post("/participants/{participant_id}/contacts", operation_id="addContact", status_code=201)
async def post_contact(hub: HubDep, caller: Caller, participant_id: ParticipantId, body: NewContact) -> ContactAdded:
    """Add a line to a duty roster."""
    return await add_contact.add(hub, caller, participant_id, body)


@router.delete(
    "/participants/{participant_id}/contacts/{contact_id}",
    operation_id="removeContact",
    status_code=204,
)
async def delete_contact(hub: HubDep, caller: Caller, participant_id: ParticipantId, contact_id: UUID) -> None:
    """Take a line off a duty roster."""
    await remove_contact.remove(hub, caller, participant_id, contact_id)


@router.put("/participants/{participant_id}/duty-phone", operation_id="setDutyPhone")
async def put_duty_phone(hub: HubDep, caller: Caller, participant_id: ParticipantId, body: NewDutyPhone) -> DutyPhone:
    """Set the number over which a participant is called back."""
    return await set_duty_phone.set_duty_phone(hub, caller, participant_id, body)


@router.post("/participants/{participant_id}/suspensions", operation_id="suspendParticipant")
async def post_suspension(
    hub: HubDep, caller: Caller, participant_id: ParticipantId, body: Suspension
) -> SuspensionAnswer:
    """Stop a participant, or one of its clients, officers or endpoints, at once."""
    return await suspend.suspend(hub, caller, participant_id, body)


@router.post("/participants/{participant_id}/resumptions", operation_id="resumeParticipant")
async def post_resumption(
    hub: HubDep, caller: Caller, participant_id: ParticipantId, body: Suspension
) -> SuspensionAnswer:
    """Let work again what was suspended."""
    return await resume.resume(hub, caller, participant_id, body)


@router.post("/participants/{participant_id}/revocations", operation_id="revokeKey", status_code=204)
async def post_revocation(hub: HubDep, caller: Caller, participant_id: ParticipantId, body: Revocation) -> None:
    """Revoke a public key for ever."""
    await revoke_key.revoke(hub, caller, participant_id, body.kid)


@router.get("/policies/{name}", operation_id="getPolicy", tags=["policies"])
async def get_policy(hub: HubDep, caller: Caller, name: PolicyName) -> PolicyAnswer:
    """Show the version of a policy that is in force for new requests."""
    caller.require(Scope.POLICIES_READ)
    async with hub.database.read(caller.reach) as conn:
        found = await policies.newest(conn, name)
    if found is None:
        raise errors.NotFound
    return found


@router.put("/policies/{name}", operation_id="setPolicy", tags=["policies"])
async def put_policy(hub: HubDep, caller: Caller, name: PolicyName, body: NewPolicy) -> PolicyAnswer:
    """Put a newer version of a policy in force for requests filed from now on."""
    return await set_policy.set_policy(hub, caller, name, body)


@router.get("/time-limits", operation_id="listTimeLimits", tags=["policies"])
async def list_time_limits(hub: HubDep, caller: Caller) -> TimeLimitList:
    """List the limits that an operator set."""
    caller.require(Scope.POLICIES_READ)
    async with hub.database.read(caller.reach) as conn:
        return await policies.limits(conn)


@router.post("/time-limits", operation_id="setTimeLimit", status_code=201, tags=["policies"])
async def post_time_limit(hub: HubDep, caller: Caller, body: NewTimeLimit) -> TimeLimitAnswer:
    """Set a limit of one's own for a stage."""
    return await set_time_limit.set_time_limit(hub, caller, body)


@router.put("/calendar-days/{day}", operation_id="setCalendarDay", tags=["policies"])
async def put_calendar_day(hub: HubDep, caller: Caller, day: Day, body: NewCalendarDay) -> CalendarDayAnswer:
    """Make a day a holiday, a working day, or an ordinary one again."""
    return await set_calendar_day.set_calendar_day(hub, caller, day, body)
