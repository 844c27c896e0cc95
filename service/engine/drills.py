"""What a drill's hub knows of the real one: by digests alone, the addresses at which nothing of a drill may arrive."""

import hashlib

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Installation, table_of

_INSTALLATIONS = table_of(Installation)


def digest(url: str) -> str:
    """Return what a live address is known by in a drill: it can be recognised there, and not be called."""
    return hashlib.sha256(url.strip().lower().encode()).hexdigest()


async def live(conn: AsyncConnection) -> frozenset[str]:
    """Return the digests of the real hub's addresses, as they were when the drill was prepared; none at a real hub."""
    found = (await conn.execute(sa.select(_INSTALLATIONS.c.live_sha256))).scalars()
    return frozenset(each for listed in found for each in listed)
