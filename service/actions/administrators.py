"""An administrator who works on the hub's own machine, but in his own name: known by the key of his system."""

from service import db, errors
from service.engine.hub import Hub
from service.queries import clients
from service.security import scopes
from service.security.principals import Principal


async def of_key(hub: Hub, client_id: str, kid: str) -> Principal:
    """Return the principal of a system by the key that its owner has just shown to hold. Raises ``Unauthenticated``.

    ``kid`` is the thumbprint of that key. System, participant and key must be in force now, as for a token.
    """
    async with hub.database.read(db.HUB) as conn:
        known = await clients.find(conn, client_id, key=kid)
        key = await clients.assertion_key(conn, client_id, kid)
        now = await db.now(conn)
    if known is None or key is None or not key.not_before <= now < key.not_after:
        raise errors.Unauthenticated("token.refused")
    granted = scopes.scopes_of(known.roles, known.sector)
    return Principal(known.id, known.tenant, known.sector, known.roles, granted, key.jkt)
