"""An endpoint shall be another one: what is in force stays in force until somebody else approved the new one."""

from uuid import UUID

from service import errors
from service.actions import changes, endpoints, proposals
from service.actions.changes import Change
from service.engine.hub import Hub
from service.schemas.endpoints import NewDefinition, ProposalAnswer
from service.security.principals import Principal
from service.security.scopes import Scope


async def propose(
    hub: Hub, principal: Principal, participant_id: str, endpoint_id: UUID, body: NewDefinition
) -> ProposalAnswer:
    """Propose an endpoint's definition, whole. Raises ``NotFound``, ``Conflict``, ``InvalidInput`` naming the field."""
    principal.require(Scope.REGISTRY_WRITE)

    async def work(change: Change) -> ProposalAnswer:
        endpoint = await proposals.called(change, endpoint_id)
        if body.channel is not endpoint["channel"]:
            raise errors.InvalidInput.of("/channel", "endpoint.channel")
        defined = endpoints.definition(hub.settings, body)
        await endpoints.refuse_live(change.conn, defined["url"])
        return await proposals.propose(change, principal, endpoint, defined)

    return await changes.run(hub, principal, participant_id, work)
