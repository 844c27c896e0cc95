"""The officer whom somebody names, with his agency: one of another agency is as unknown as one that does not exist."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db, errors
from service.engine.dossier import Row
from service.models import Officer, Participant, table_of

_OFFICERS = table_of(Officer)
_PARTICIPANTS = table_of(Participant)
# An officer of the agency, for a query that asks for more beside him.
IS_THEIRS = sa.and_(_OFFICERS.c.id == sa.bindparam("officer"), _OFFICERS.c.tenant == sa.bindparam("agency"))
_WHO = (
    sa.select(*_OFFICERS.c, *_PARTICIPANTS.c, sa.func.hub_now(type_=db.INSTANT))
    .join(_PARTICIPANTS, _PARTICIPANTS.c.id == _OFFICERS.c.tenant)
    .where(IS_THEIRS)
)


@dataclass(frozen=True, slots=True)
class Who:
    """The rows of an officer and of his agency, and the database's instant at which they were read."""

    officer: Row
    agency: Row
    at: datetime


async def officer(conn: AsyncConnection, tenant: str, officer_id: str, field: str = "/officer_id") -> sa.Row[Any]:
    """Return an officer of the agency; one of another agency is as unknown as one that does not exist.

    ``field`` is the pointer of the member that names the officer.
    """
    query = sa.select(_OFFICERS).where(_OFFICERS.c.id == officer_id, _OFFICERS.c.tenant == tenant)
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        raise errors.InvalidInput.of(field, "officer.unknown")
    return row


async def who(conn: AsyncConnection, tenant: str, officer_id: str) -> Who | None:
    """Return an officer of the agency with it; None where it has no such one."""
    found = (await conn.execute(_WHO, {"officer": officer_id, "agency": tenant})).one_or_none()
    if found is None:
        return None
    cells, officers = tuple(found), len(_OFFICERS.c)
    return Who(
        dict(zip(_OFFICERS.c.keys(), cells[:officers], strict=True)),
        dict(zip(_PARTICIPANTS.c.keys(), cells[officers:-1], strict=True)),
        cells[-1],
    )
