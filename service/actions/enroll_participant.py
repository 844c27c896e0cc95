"""A member joins the network: an agency, a supervisor or whoever receives orders, from the directory or anew."""

from typing import Any

import sqlalchemy as sa

from service import db, directory, errors
from service.actions import changes
from service.actions.changes import Change
from service.engine.hub import Hub
from service.models import Alias, Participant, Unit, table_of
from service.schemas.registry import NewParticipant, ParticipantEnrolled
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows import routing
from workflows.authority import AgencyLevel
from workflows.terms import Sector

_PARTICIPANTS = table_of(Participant)
_ALIASES = table_of(Alias)
_UNITS = table_of(Unit)

_NEVER_A_RECIPIENT = frozenset({Sector.AGENCY, Sector.SUPERVISOR, Sector.HUB})
_EDITABLE = ("name_vi", "name_en", "short_name", "level", "province_code", "supervisor_id", "parent_id")


async def enroll(hub: Hub, principal: Principal, body: NewParticipant) -> ParticipantEnrolled:
    """Make a listed member active, with what the operator knows better, or write one that the directory lacks.

    Raises ``InvalidInput`` naming the field, ``Conflict`` for another sector than the known one or a suspended member.
    """
    principal.require(Scope.REGISTRY_WRITE)

    async def work(change: Change) -> ParticipantEnrolled:
        query = sa.select(_PARTICIPANTS).where(_PARTICIPANTS.c.id == body.id)
        known = (await change.conn.execute(query)).one_or_none()
        await _check_references(change, body)
        sector = await (_create(change, body) if known is None else _confirm(change, body, known))
        await _add_aliases(change, body, sector, created=known is None)
        change.note("participant.enrolled", sector=str(sector), created=known is None)
        return ParticipantEnrolled(id=body.id, sector=sector, status="active", created=known is None)

    return await changes.run(hub, principal, body.id, work)


async def _create(change: Change, body: NewParticipant) -> Sector:
    sector = body.sector
    # There is one operator: the directory's.
    if sector is None or sector is Sector.HUB:
        raise errors.InvalidInput.of("/sector", "field.missing" if sector is None else "field.not_in_list")
    for field in ("name_vi", "name_en", *(("level",) if sector is Sector.AGENCY else ())):
        if getattr(body, field) is None:
            raise errors.InvalidInput.of(f"/{field}", "field.missing")
    if sector is Sector.AGENCY and body.level is not AgencyLevel.CENTRAL and body.province_code is None:
        raise errors.InvalidInput.of("/province_code", "field.missing")
    row = {
        **_edits(body),
        "id": body.id,
        "sector": sector,
        "status": "active",
        "to_be_confirmed": False,
        "created_at": change.at,
    }
    row.setdefault("short_name", str(body.name_vi)[:80].rstrip())
    supervisor = directory.supervisors_by_sector().get(sector)
    if "supervisor_id" not in row and supervisor and await _exists(change, _PARTICIPANTS.c.id, supervisor):
        row["supervisor_id"] = supervisor
    await change.conn.execute(sa.insert(_PARTICIPANTS).values(row))
    return sector


async def _confirm(change: Change, body: NewParticipant, known: sa.Row[Any]) -> Sector:
    sector: Sector = known.sector
    if body.sector not in (None, sector):
        raise errors.Conflict("participant.other_sector", sector=str(sector))
    await changes.activate(change, known)
    update = sa.update(_PARTICIPANTS).where(_PARTICIPANTS.c.id == known.id)
    await change.conn.execute(update.values(**_edits(body), to_be_confirmed=False))
    return sector


def _edits(body: NewParticipant) -> dict[str, Any]:
    return {name: value for name in _EDITABLE if (value := getattr(body, name)) is not None}


async def _check_references(change: Change, body: NewParticipant) -> None:
    for field in ("supervisor_id", "parent_id"):
        named = getattr(body, field)
        if named is not None and not await _exists(change, _PARTICIPANTS.c.id, named):
            raise errors.InvalidInput.of(f"/{field}", "participant.unknown")
    code = body.province_code
    if code is not None and not await _exists(change, _UNITS.c.province_code, code):
        raise errors.InvalidInput.of("/province_code", "unit.unknown")


async def _exists(change: Change, column: sa.Column[Any], value: str) -> bool:
    return (await change.conn.execute(sa.select(column).where(column == value).limit(1))).first() is not None


async def _add_aliases(change: Change, body: NewParticipant, sector: Sector, *, created: bool) -> None:
    """Write the aliases that are not there; a new recipient is also found by its id and names."""
    wanted = {(alias.scheme, alias.value) for alias in body.aliases}
    if created and sector not in _NEVER_A_RECIPIENT:
        wanted |= {("name", name) for name in (body.id, body.short_name, body.name_vi) if name is not None}
    folded = {(scheme, routing.fold(value) if scheme == "name" else value) for scheme, value in wanted}
    query = sa.select(_ALIASES.c.scheme, _ALIASES.c.value).where(_ALIASES.c.participant_id == body.id)
    known = {(row.scheme, row.value) for row in await change.conn.execute(query)}
    rows = [{"participant_id": body.id, "scheme": scheme, "value": value} for scheme, value in sorted(folded - known)]
    await db.insert_rows(change.conn, _ALIASES, rows)
