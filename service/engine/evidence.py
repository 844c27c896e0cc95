"""The evidence about a request as the text of one sealed file, for whoever must judge it without the hub."""

import json
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock, db, errors
from service.engine import messages, order_keys
from service.engine.hub import Hub
from service.queries import evidence
from service.schemas.evidence import FORMAT
from service.security import keyring


async def export(hub: Hub, name: str) -> str:
    """Return the bundle about the request with this id or reference, for somebody who stays at the hub with it.

    Raises ``NotFound``, and KeyUnfit where the hub has no valid key to seal with.
    """
    async with hub.database.read(db.HUB) as conn:
        return await bundle(conn, hub, await find(conn, name), await db.now(conn))


async def find(conn: AsyncConnection, name: str) -> UUID:
    """Return the id of the request with this id or reference. Raises ``NotFound``."""
    request_id = await evidence.find(conn, name)
    if request_id is None:
        raise errors.NotFound
    return request_id


async def bundle(conn: AsyncConnection, hub: Hub, request_id: UUID, now: datetime) -> str:
    """Return the text of a bundle, sealed at ``now`` (an aware instant); it ends with a line break.

    Everything in it is opened, names too: it is for the hub's operator to make and for a court to keep. Raises
    KeyUnfit where the hub has no valid key to seal with.
    """
    sealing = keyring.in_force(hub.order_keys, now)
    gathered = await evidence.gather(conn, hub.vault, request_id, sealing.kid)
    content = messages.marked(
        {"format": FORMAT, "hub": hub.settings.address, "exported_at": clock.written(now), **gathered},
        drill=hub.settings.drill,
    )
    seal = order_keys.seal(hub, str(request_id), content, now)
    return json.dumps({**content, "seal": seal}, ensure_ascii=False, indent=1) + "\n"
