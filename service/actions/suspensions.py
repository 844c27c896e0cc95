"""What suspend and resume share: the one row that is switched, found inside its own participant only."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from service import db, errors
from service.actions import changes, sessions_end
from service.actions.changes import Change
from service.engine import out_of_use
from service.engine.hub import OPERATOR
from service.models import Client, ConsoleSession, Endpoint, Officer, Participant, SignInLink, table_of
from service.schemas.registry import SuspendedKind, Suspension
from workflows.entry_terms import SessionEnd

_PARTICIPANTS = table_of(Participant)
_SESSIONS = table_of(ConsoleSession)
_LINKS = table_of(SignInLink)
_TABLES: dict[SuspendedKind, sa.Table] = {
    SuspendedKind.CLIENT: table_of(Client),
    SuspendedKind.OFFICER: table_of(Officer),
    SuspendedKind.ENDPOINT: table_of(Endpoint),
}


async def switch(change: Change, body: Suspension, *, active: bool) -> bool:
    """Suspend or resume, record it, and return whether anything changed.

    Raises ``NotFound`` for what is not this participant's, ``Conflict`` for a participant that has not joined, and for
    the operator itself: nobody would be left to resume it.
    """
    if body.kind is SuspendedKind.PARTICIPANT:
        changed = await _switch_participant(change, body.id, active=active)
    else:
        changed = await _switch_row(change, _TABLES[body.kind], _key(body), active=active)
        if body.kind is SuspendedKind.OFFICER and changed:
            left = sa.update(_TABLES[body.kind]).where(_TABLES[body.kind].c.id == body.id)
            await change.conn.execute(left.values(left_at=None if active else change.at))
        if body.kind is SuspendedKind.OFFICER and not active:
            await send_home(change, body.id)
        if body.kind is SuspendedKind.ENDPOINT and changed:
            await _tell(change, UUID(body.id), active=active)
    if changed:
        change.note(f"{body.kind}.{'resumed' if active else 'suspended'}", subject=body.id)
    return changed


async def _switch_participant(change: Change, participant_id: str, *, active: bool) -> bool:
    if participant_id != change.tenant:
        raise errors.NotFound
    row = await changes.participant(change)
    if participant_id == OPERATOR:
        raise errors.Conflict("participant.operator")
    if row.status == "listed":
        raise errors.Conflict("participant.not_enrolled")
    status = "active" if active else "suspended"
    await change.conn.execute(sa.update(_PARTICIPANTS).where(_PARTICIPANTS.c.id == row.id).values(status=status))
    if not active:
        await _close(change, sa.true())
    if row.status != status:
        await _look_at_what_waits(change)
        tell = out_of_use.untell_all if active else out_of_use.tell_all
        await tell(change.conn, change.log, change.actor, change.tenant)
    return bool(row.status != status)


async def _switch_row(change: Change, table: sa.Table, key: Any, *, active: bool) -> bool:
    mine = (table.c.id == key, table.c.tenant == change.tenant)
    was = (await change.conn.execute(sa.select(table.c.active).where(*mine))).scalar_one_or_none()
    if was is None:
        raise errors.NotFound
    await change.conn.execute(sa.update(table).where(*mine).values(active=active))
    return bool(was != active)


async def _look_at_what_waits(change: Change) -> None:
    # Who may switch it off need not see whose messages wait there.
    await db.extend(change.conn, db.HUB)


async def _tell(change: Change, endpoint_id: UUID, *, active: bool) -> None:
    await _look_at_what_waits(change)
    if active:
        if (await changes.participant(change)).status == "suspended":
            return  # it goes on waiting, for its participant
        await out_of_use.untell(change.conn, change.log, change.actor, change.tenant, endpoint_id)
    else:
        await out_of_use.tell(change.conn, change.log, change.actor, endpoint_id)


async def send_home(change: Change, person: str) -> int:
    """End the person's sessions at the console and void the links that were not used yet; return how many sessions.

    Passkeys and links to the provider stay: whether he may sit is asked at each sign-in.
    """
    theirs = (_LINKS.c.tenant == change.tenant, _LINKS.c.person == person, _LINKS.c.used_at.is_(None))
    await change.conn.execute(sa.update(_LINKS).where(*theirs).values(used_at=change.at))
    return await _close(change, _SESSIONS.c.person == person)


async def _close(change: Change, which: sa.ColumnElement[bool]) -> int:
    return await sessions_end.close(change.conn, change.log, change.tenant, which, change.actor, SessionEnd.SENT_HOME)


def _key(body: Suspension) -> UUID | str:
    if body.kind is not SuspendedKind.ENDPOINT:
        return body.id
    try:
        return UUID(body.id)
    except ValueError:
        raise errors.NotFound from None
