"""Which nodes of the hub are alive, as the database has seen them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import Node, table_of

_NODES = table_of(Node)

# A node beats every second; one that has not for so long is shown as silent, and soon not at all.
SILENT_AFTER = timedelta(seconds=5)
_FORGOTTEN_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Seen:
    """A node, since when it runs and when it last beat."""

    name: str
    started_at: datetime
    seen_at: datetime
    is_silent: bool


async def seen(conn: AsyncConnection, now: datetime) -> tuple[Seen, ...]:
    """Return the nodes that were seen within the last hour, by name, the latest start first."""
    query = (
        sa.select(_NODES.c.name, _NODES.c.started_at, _NODES.c.seen_at)
        .where(_NODES.c.seen_at > now - _FORGOTTEN_AFTER)
        .order_by(_NODES.c.name, _NODES.c.started_at.desc())
    )
    return tuple(Seen(*row, now - row.seen_at > SILENT_AFTER) for row in (await conn.execute(query)).all())
