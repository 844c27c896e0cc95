"""Whether this database came out of a backup and waits for a person before anything is sent or fired."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Restoration, table_of

_RESTORATIONS = table_of(Restoration)
# A restored PostgreSQL carries it in its own configuration, so that it is there before anybody connects.
SETTING = "hoatoc.restored"


async def is_quarantined(conn: AsyncConnection) -> bool:
    """Tell whether the database was restored and nobody has released it yet."""
    waiting = sa.select(sa.literal(1)).where(_RESTORATIONS.c.released_at.is_(None)).limit(1)
    if (await conn.execute(waiting)).first() is not None:
        return True
    manifest = await configured(conn)
    if not manifest:
        return False
    released = sa.select(sa.literal(1)).where(_RESTORATIONS.c.manifest_sha256 == manifest)
    return (await conn.execute(released.limit(1))).first() is None


async def configured(conn: AsyncConnection) -> str:
    """Return the digest of the manifest that a restored PostgreSQL was laid down with; nothing for any other."""
    if conn.dialect.name != "postgresql":
        return ""
    found: str | None = (await conn.execute(sa.func.current_setting(SETTING, True).select())).scalar_one()
    return found or ""


async def waiting(conn: AsyncConnection) -> sa.Row[tuple[object, ...]] | None:
    """Return the restoration that waits for its release, None where there is none."""
    query = sa.select(_RESTORATIONS).where(_RESTORATIONS.c.released_at.is_(None))
    return (await conn.execute(query.order_by(_RESTORATIONS.c.restored_at.desc()).limit(1))).one_or_none()
