"""Which certifications of a participant count for one of its endpoints now."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Certification, PublicKey, table_of
from workflows import conformance
from workflows.terms import Channel, Sector

_CERTIFICATIONS = table_of(Certification)
_KEYS = table_of(PublicKey)


async def fitting(
    conn: AsyncConnection,
    tenant: str,
    sector: Sector,
    channel: Channel,
    address: tuple[str | None, int | None],
    now: datetime,
    lasts: timedelta,
) -> list[sa.Row[Any]]:
    """Return the certifications that count ``now`` for an endpoint at ``address`` (host and port), newest first.

    One whose key was revoked since counts no more: a thief signs what he likes.
    """
    host, port = address
    query = (
        sa.select(_CERTIFICATIONS)
        .join(_KEYS, _KEYS.c.kid == _CERTIFICATIONS.c.kid)
        .where(
            _CERTIFICATIONS.c.tenant == tenant,
            _CERTIFICATIONS.c.host == host if host else _CERTIFICATIONS.c.host.is_(None),
            _CERTIFICATIONS.c.port == port if port else _CERTIFICATIONS.c.port.is_(None),
            _KEYS.c.revoked_at.is_(None),
        )
        .order_by(_CERTIFICATIONS.c.ended_at.desc())
    )
    return [
        row
        for row in (await conn.execute(query)).all()
        if conformance.fits(row.profile, channel, sector) and conformance.is_recent(row.ended_at, now, lasts)
    ]
