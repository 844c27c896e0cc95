"""When the certificates of endpoints end, theirs and ours: what nobody renews in time cuts a member off."""

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
    """Return when the first ends of each endpoint's own authorities and the hub's certificate for it, if it has any."""
    query = (
        sa.select(_ENDPOINTS.c.id, _ENDPOINTS.c.ca_pem, _ENDPOINTS.c.client_certificate)
        .join(_PARTICIPANTS, _PARTICIPANTS.c.id == _ENDPOINTS.c.tenant)
        .where(
            _ENDPOINTS.c.tenant == participant_id,
            visibility.whole_participants(principal),
        )
    )
    found = {}
    for row in (await conn.execute(query)).all():
        # What cannot be read is for the self-check to report: here it has no end to show.
        with contextlib.suppress(ValueError):
            found[row.id] = min(each.not_valid_after_utc for each in _read(row.ca_pem, row.client_certificate))
    return found


def _read(*pems: str | None) -> list[x509.Certificate]:
    return [each for pem in pems if pem for each in x509.load_pem_x509_certificates(pem.encode())]
