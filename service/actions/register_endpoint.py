"""A participant gets a place to receive: a webhook with its signing secret, a pull inbox, or a mailbox for notices."""

import sqlalchemy as sa

from service.actions import changes, endpoints
from service.actions.changes import Change
from service.engine.hub import Hub
from service.schemas.endpoints import EndpointRegistered, NewEndpoint
from service.security.principals import Principal
from service.security.scopes import Scope


async def register(hub: Hub, principal: Principal, participant_id: str, body: NewEndpoint) -> EndpointRegistered:
    """Register an endpoint; the secret in the answer is shown this once.

    Raises ``NotFound``, and ``InvalidInput`` naming the field: the address rules are those of PROMISES 8.4.
    """
    principal.require(Scope.REGISTRY_WRITE)

    async def work(change: Change) -> EndpointRegistered:
        owner = await changes.participant(change)
        prepared = endpoints.prepare(hub, participant_id, owner.sector, body, change.at)
        await change.conn.execute(sa.insert(endpoints.TABLE).values(prepared.row))
        change.note(
            "endpoint.registered",
            endpoint_id=str(prepared.id),
            channel=str(body.channel),
            purpose=str(body.purpose),
            network=prepared.row["network"],
            port=prepared.row["port"],
        )
        return EndpointRegistered(endpoint=prepared.answer(), secret=prepared.secret)

    return await changes.run(hub, principal, participant_id, work)
