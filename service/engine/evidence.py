"""The evidence about a request as the text of one sealed file, for whoever must judge it without the hub."""

import json

from service import db, errors
from service.engine import order_keys
from service.engine.hub import Hub
from service.queries import evidence
from service.schemas.evidence import FORMAT
from service.security import keyring


async def export(hub: Hub, name: str) -> str:
    """Return the bundle about the request with this id or reference.

    Everything in it is opened, names too: it is for the hub's operator to make and for a court to keep. Raises
    ``NotFound``, and KeyUnfit where the hub has no valid key to seal with.
    """
    async with hub.database.read() as conn:
        request_id = await evidence.find(conn, name)
        if request_id is None:
            raise errors.NotFound
        now = await db.now(conn)
        sealing = keyring.in_force(hub.order_keys, now)
        gathered = await evidence.gather(conn, hub.vault, request_id, sealing.kid)
    content = {
        "format": FORMAT,
        "hub": hub.settings.address,
        "exported_at": now.isoformat(),
        **gathered,
    }
    seal = order_keys.seal(hub, str(request_id), content, now)
    return json.dumps({**content, "seal": seal}, ensure_ascii=False, indent=1)
