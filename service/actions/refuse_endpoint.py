"""What was proposed for a webhook is taken back, or refused: that takes one administrator, because stopping is fast."""

from uuid import UUID

import sqlalchemy as sa

from service.actions import changes, proposals
from service.actions.changes import Change
from service.engine.hub import Hub
from service.queries import proposals as shown
from service.schemas.endpoints import ProposalAnswer
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows.terms import ProposalState


async def refuse(hub: Hub, principal: Principal, participant_id: str, endpoint_id: UUID, sha256: str) -> ProposalAnswer:
    """Refuse the open proposal with this digest; what is in force stays. Raises ``NotFound`` and ``Conflict``."""
    principal.require(Scope.REGISTRY_WRITE)

    async def work(change: Change) -> ProposalAnswer:
        endpoint = await proposals.called(change, endpoint_id)
        proposal = await proposals.opened(change, endpoint, sha256)
        decided = {
            "state": ProposalState.REFUSED,
            "decided_by": principal.client_id,
            "decided_key": principal.jkt,
            "decided_at": change.at,
        }
        await change.conn.execute(
            sa.update(proposals.TABLE).where(proposals.TABLE.c.id == proposal["id"]).values(decided)
        )
        change.note(
            "endpoint.refused", endpoint_id=str(endpoint_id), sha256=sha256, proposed_by=proposal["proposed_by"]
        )
        return shown.show({**proposal, **decided, "purpose": endpoint["purpose"]})

    return await changes.run(hub, principal, participant_id, work)
