"""What a filing must know before it is weighed, in one reading: each question of its own would be one more trip."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.actions import idempotency, officers, signing
from service.actions.officers import Who
from service.actions.signing import Owner
from service.models import Case, Officer, Participant, PublicKey, table_of
from service.security.signatures import Kind

_OFFICERS = table_of(Officer)
_PARTICIPANTS = table_of(Participant)
_KEYS = table_of(PublicKey)
_CASES = table_of(Case)

_ASKED = sa.select(sa.func.hub_now(type_=db.INSTANT).label("at")).subquery("asked")
_HERS = sa.and_(_CASES.c.tenant == sa.bindparam("agency"), _CASES.c.number == sa.bindparam("number"))
# In this order: each part's columns are taken out of the row by their places.
_PARTS = (idempotency.KEPT, tuple(_OFFICERS.c), tuple(_PARTICIPANTS.c), tuple(_KEYS.c), (_CASES.c.id,))
_QUERY = sa.select(_ASKED.c.at, *(column for part in _PARTS for column in part)).select_from(
    _ASKED.outerjoin(idempotency.KEYS, idempotency.IS_ITS)
    .outerjoin(sa.join(_OFFICERS, _PARTICIPANTS, _PARTICIPANTS.c.id == _OFFICERS.c.tenant), officers.IS_THEIRS)
    .outerjoin(_KEYS, signing.IS_HIS)
    .outerjoin(_CASES, _HERS)
)


@dataclass(frozen=True, slots=True)
class Before:
    """What was there before a filing.

    ``earlier`` is what its idempotency key was answered, ``who`` its officer with the agency, ``key`` the registered
    key that his signature names, ``case_id`` the agency's case of this number: each None where there is none.
    """

    earlier: Mapping[str, Any] | None
    who: Who | None
    key: Mapping[str, Any] | None
    case_id: UUID | None


async def read(
    conn: AsyncConnection, *, client_id: str, key: str, owner: Owner, signature: str | None, case_number: str
) -> Before:
    """Read it within the agency's reach; ``key`` is the idempotency key, ``owner`` the officer who is to sign."""
    asked = {"client": client_id, "its_key": key, "officer": owner.id, "agency": owner.tenant, "number": case_number}
    row = (await conn.execute(_QUERY, asked | signing.wanted(signature, Kind.REQUEST, owner))).one()
    cells = iter(row[1:])
    earlier, officer, agency, registered, case = ({column.name: next(cells) for column in part} for part in _PARTS)
    return Before(
        earlier=earlier if earlier["body_sha256"] is not None else None,
        who=Who(officer, agency, row[0]) if officer["id"] is not None else None,
        key=registered if registered["kid"] is not None else None,
        case_id=case["id"],
    )
