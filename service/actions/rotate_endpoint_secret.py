"""A webhook gets a new signing secret; for a day the one before signs too, so that nothing sent is refused."""

from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa

from adapters import signing
from service import errors
from service.actions import changes, endpoints
from service.actions.changes import Change
from service.engine.hub import Hub
from service.schemas.endpoints import EndpointSecret
from service.security.principals import Principal
from service.security.scopes import Scope
from service.vault import subjects
from workflows.terms import CALLED

# PROMISES 8.7: a replacement overlaps for at least 24 hours.
OVERLAP = timedelta(hours=24)


async def rotate(hub: Hub, principal: Principal, participant_id: str, endpoint_id: UUID) -> EndpointSecret:
    """Make a new secret, shown this once. Raises ``NotFound``, ``Conflict`` for an endpoint that signs nothing."""
    principal.require(Scope.REGISTRY_WRITE)

    async def work(change: Change) -> EndpointSecret:
        table = endpoints.TABLE
        mine = sa.and_(table.c.id == endpoint_id, table.c.tenant == participant_id)
        row = (await change.conn.execute(sa.select(table).where(mine).with_for_update())).one_or_none()
        if row is None:
            raise errors.NotFound
        if row.channel not in CALLED:
            raise errors.Conflict("endpoint.signs_nothing")
        secret, until = signing.new_secret(), change.at + OVERLAP
        key = await subjects.of_house(change.conn, hub.vault, participant_id)
        values = {
            "secret_sealed": hub.vault.seal(key, "endpoints", endpoint_id, secret),
            # The same row and tenant: the sealed bytes stay valid in the other column.
            "previous_secret_sealed": row.secret_sealed,
            "previous_secret_until": until,
        }
        await change.conn.execute(sa.update(table).where(mine).values(values))
        change.note("endpoint.secret_rotated", endpoint_id=str(endpoint_id), previous_until=until)
        return EndpointSecret(endpoint_id=endpoint_id, secret=secret, previous_until=until)

    return await changes.run(hub, principal, participant_id, work)
