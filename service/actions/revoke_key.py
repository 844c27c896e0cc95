"""A public key is not accepted any more, from now on and for ever."""

import sqlalchemy as sa

from service import errors
from service.actions import changes
from service.actions.changes import Change
from service.engine.hub import Hub
from service.models import PublicKey, table_of
from service.security.principals import Principal

_KEYS = table_of(PublicKey)


async def revoke(hub: Hub, principal: Principal, participant_id: str, kid: str) -> None:
    """Revoke a key; doing it twice changes nothing. The hub's administrators and an agency's own may.

    Raises ``NotFound`` for a key that is not this participant's.
    """
    changes.allow(principal, participant_id)

    async def work(change: Change) -> None:
        mine = (_KEYS.c.kid == kid, _KEYS.c.tenant == participant_id)
        row = (await change.conn.execute(sa.select(_KEYS).where(*mine))).one_or_none()
        if row is None:
            raise errors.NotFound
        if row.revoked_at is None:
            await change.conn.execute(sa.update(_KEYS).where(*mine).values(revoked_at=change.at))
            change.note("key.revoked", kid=kid, owner_id=row.owner_id)

    await changes.run(hub, principal, participant_id, work)
