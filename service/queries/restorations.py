"""Whether this database came out of a backup and waits for a person before anything is sent or fired."""

from dataclasses import dataclass
from uuid import UUID

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
    laid_down = await configured(conn)
    if laid_down is None:
        return False
    # By its own id: the archived log may hold the release of an earlier restore of the very same backup.
    marked = sa.select(sa.literal(1)).where(_RESTORATIONS.c.id == laid_down.id)
    return (await conn.execute(marked.limit(1))).first() is None


@dataclass(frozen=True, slots=True)
class LaidDown:
    """What a restored PostgreSQL says of itself: the manifest's digest, and the id of this one restoration."""

    manifest: str
    id: UUID

    def written(self) -> str:
        """Return the setting's text."""
        return f"{self.manifest}:{self.id}"


async def configured(conn: AsyncConnection) -> LaidDown | None:
    """Return what a restored PostgreSQL was laid down with; None for any other database."""
    if conn.dialect.name != "postgresql":
        return None
    found: str | None = (await conn.execute(sa.func.current_setting(SETTING, True).select())).scalar_one()
    if not found:
        return None
    manifest, _, restoration = found.partition(":")
    return LaidDown(manifest, UUID(restoration))


async def waiting(conn: AsyncConnection) -> sa.Row[tuple[object, ...]] | None:
    """Return the restoration that waits for its release, None where there is none."""
    query = sa.select(_RESTORATIONS).where(_RESTORATIONS.c.released_at.is_(None))
    return (await conn.execute(query.order_by(_RESTORATIONS.c.restored_at.desc()).limit(1))).one_or_none()
