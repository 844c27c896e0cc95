"""A participant gets a place to receive: a webhook with its signing secret, a pull inbox, or a mailbox for notices."""

import sqlalchemy as sa

from service import errors
from service.actions import certified, changes, endpoints, proposals
from service.actions.changes import Change
from service.engine.hub import Hub
from service.schemas.endpoints import EndpointRegistered, NewEndpoint
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows.terms import Channel


async def register(hub: Hub, principal: Principal, participant_id: str, body: NewEndpoint) -> EndpointRegistered:
    """Register an endpoint; the secret in the answer is shown this once.

    A webhook is only proposed by it: nothing is sent there before a different administrator has approved it. Raises
    ``NotFound``, ``InvalidInput`` naming the field (the address rules are those of PROMISES 8.4), and ``Conflict`` for
    a second pull inbox, or one that is not certified where this hub asks for it.
    """
    principal.require(Scope.REGISTRY_WRITE)

    async def work(change: Change) -> EndpointRegistered:
        owner = await changes.participant(change)
        if body.channel is Channel.PULL:
            await _refuse_second_inbox(change, participant_id)
        prepared = await endpoints.prepare(change.conn, hub, participant_id, owner.sector, body, change.at)
        if body.channel is Channel.PULL:
            # Nobody approves an inbox: it is in force at once.
            await certified.check(change, hub, prepared.row)
        await change.conn.execute(sa.insert(endpoints.TABLE).values(prepared.row))
        proposal = None
        if prepared.definition is not None:
            proposal = await proposals.propose(change, principal, prepared.row, prepared.definition)
        else:
            endpoint_id, channel, purpose = str(prepared.id), str(body.channel), str(body.purpose)
            change.note("endpoint.registered", endpoint_id=endpoint_id, channel=channel, purpose=purpose)
        return EndpointRegistered(endpoint=prepared.answer(), secret=prepared.secret, proposal=proposal)

    return await changes.run(hub, principal, participant_id, work)


async def _refuse_second_inbox(change: Change, participant_id: str) -> None:
    # A cursor counts the positions of one inbox: a second one, even after the first was suspended, would count anew.
    query = sa.select(endpoints.TABLE.c.id).where(
        endpoints.TABLE.c.tenant == participant_id, endpoints.TABLE.c.channel == Channel.PULL
    )
    if (await change.conn.execute(query)).first() is not None:
        raise errors.Conflict("endpoint.one_inbox")
