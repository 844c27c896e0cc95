"""An officer's appointment is renewed: a new end, and nothing else about him changes."""

from datetime import datetime

import sqlalchemy as sa

from service import errors
from service.actions import changes
from service.actions.changes import Change
from service.engine.hub import Hub
from service.models import Officer, table_of
from service.schemas.registry import OfficerAnswer
from service.security.principals import Principal
from service.security.scopes import Scope

_OFFICERS = table_of(Officer)


async def renew(hub: Hub, principal: Principal, agency_id: str, officer_id: str, until: datetime) -> OfficerAnswer:
    """Let an appointment end at ``until``, whether or not it has ended; an officer who is suspended stays so.

    The hub's administrators alone may: it lets somebody sign again. Raises ``ScopeMissing``, ``NotFound`` for an
    officer who is not this agency's, ``InvalidInput`` for an end that has passed.
    """
    principal.require(Scope.REGISTRY_WRITE)

    async def work(change: Change) -> OfficerAnswer:
        mine = (_OFFICERS.c.id == officer_id, _OFFICERS.c.tenant == agency_id)
        row = (await change.conn.execute(sa.select(_OFFICERS).where(*mine))).one_or_none()
        if row is None:
            raise errors.NotFound
        if until <= change.at:
            raise errors.InvalidInput.of("/appointed_until", "appointed_until.past")
        await change.conn.execute(sa.update(_OFFICERS).where(*mine).values(appointed_until=until))
        change.note("officer.renewed", officer_id=row.id, appointed_until=until, before=row.appointed_until)
        return OfficerAnswer(
            id=row.id,
            rank=row.rank,
            number=row.number,
            powers=row.powers,
            active=row.active,
            appointed_until=until,
            created_at=row.created_at,
        )

    return await changes.run(hub, principal, agency_id, work)
