"""The hub's order-signing keys as everybody may read them: those in force, those to come, and those of the past."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.models import PublicKey, table_of
from service.schemas.tokens import HubKey, HubKeys

_KEYS = table_of(PublicKey)


async def of_the_hub(conn: AsyncConnection) -> HubKeys:
    """Return every key that ever signed an order of this hub, the newest first; an old order stays verifiable."""
    now = await db.now(conn)
    query = sa.select(_KEYS).where(_KEYS.c.owner_kind == "hub").order_by(_KEYS.c.not_before.desc(), _KEYS.c.kid)
    return HubKeys(keys=[_shown(row, now) for row in (await conn.execute(query)).all()])


def _shown(row: sa.Row[tuple[object, ...]], now: datetime) -> HubKey:
    if row.revoked_at is not None or row.not_after <= now:
        state = "past"
    else:
        state = "next" if row.not_before > now else "current"
    return HubKey(
        **row.jwk,
        kid=row.kid,
        state=state,
        not_before=row.not_before,
        not_after=row.not_after,
        revoked_at=row.revoked_at,
    )
