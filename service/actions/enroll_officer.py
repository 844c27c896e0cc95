"""An officer of an agency is enrolled, with rank, number and powers; the name is sealed at once."""

import sqlalchemy as sa

from service import db, errors
from service.actions import changes
from service.actions.changes import Change
from service.engine.hub import Hub
from service.models import Officer, table_of
from service.models.subject_key import KeyOwner
from service.schemas.registry import NewOfficer, OfficerAnswer
from service.security.principals import Principal
from service.vault import subjects
from workflows.terms import Sector

_OFFICERS = table_of(Officer)


async def enroll(hub: Hub, principal: Principal, agency_id: str, body: NewOfficer) -> OfficerAnswer:
    """Write an officer; the hub's administrators and the agency's own may.

    Raises ``NotFound``, ``InvalidInput`` when the participant is no agency, ``Conflict`` when id or number is taken.
    """
    changes.allow(principal, agency_id)

    async def work(change: Change) -> OfficerAnswer:
        agency = await changes.participant(change)
        if agency.sector is not Sector.AGENCY:
            raise errors.Conflict("officer.needs_agency")
        query = sa.select(_OFFICERS.c.id).where(
            sa.or_(
                _OFFICERS.c.id == body.id,
                sa.and_(_OFFICERS.c.tenant == agency_id, _OFFICERS.c.number == body.number),
            )
        )
        # An id is one officer's in the whole network: whether it is taken is asked beyond the agency's own.
        await db.extend(change.conn, db.HUB)
        if (await change.conn.execute(query.limit(1))).first() is not None:
            raise errors.Conflict("officer.taken")
        await db.extend(change.conn, principal.reach)
        powers = sorted(set(body.powers))
        key = await subjects.of_subject(change.conn, hub.vault, agency_id, KeyOwner.OFFICER, body.id)
        row = {
            "id": body.id,
            "tenant": agency_id,
            "name_sealed": hub.vault.seal(key, "officers", body.id, body.name),
            "rank": str(body.rank),
            "number": body.number,
            "powers": [str(power) for power in powers],
            "active": True,
            "appointed_until": body.appointed_until,
            "created_at": change.at,
        }
        await change.conn.execute(sa.insert(_OFFICERS).values(row))
        change.note(
            "officer.enrolled",
            officer_id=body.id,
            rank=str(body.rank),
            powers=row["powers"],
            appointed_until=body.appointed_until,
        )
        return OfficerAnswer(
            id=body.id,
            rank=body.rank,
            number=body.number,
            powers=powers,
            active=True,
            appointed_until=body.appointed_until,
            created_at=change.at,
        )

    return await changes.run(hub, principal, agency_id, work)
