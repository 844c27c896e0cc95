"""When the authorities end that endpoints are checked against: what nobody renews in time cuts a member off."""

import contextlib
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from cryptography import x509
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Endpoint, Participant, table_of
from service.queries import visibility
from service.security.principals import Principal

_ENDPOINTS = table_of(Endpoint)
_PARTICIPANTS = table_of(Participant)


async def expiring(conn: AsyncConnection, principal: Principal, participant_id: str) -> dict[UUID, datetime]:
    """Return the end of the first certificate to end of each endpoint's own authorities; others are absent."""
    query = (
        sa.select(_ENDPOINTS.c.id, _ENDPOINTS.c.ca_pem)
        .join(_PARTICIPANTS, _PARTICIPANTS.c.id == _ENDPOINTS.c.tenant)
        .where(
            _ENDPOINTS.c.tenant == participant_id,
            _ENDPOINTS.c.ca_pem.is_not(None),
            visibility.whole_participants(principal),
        )
    )
    found = {}
    for row in (await conn.execute(query)).all():
        # What cannot be read is for the self-check to report: here it has no end to show.
        with contextlib.suppress(ValueError):
            found[row.id] = min(each.not_valid_after_utc for each in _read(row.ca_pem))
    return found


def _read(pem: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem.encode())
