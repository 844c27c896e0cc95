"""What was suspended may work again; only the hub's administrators decide that."""

from service.actions import changes, suspensions
from service.actions.changes import Change
from service.engine.hub import Hub
from service.schemas.registry import Suspension, SuspensionAnswer
from service.security.principals import Principal
from service.security.scopes import Scope


async def resume(hub: Hub, principal: Principal, participant_id: str, body: Suspension) -> SuspensionAnswer:
    """Resume; doing it twice changes nothing. Raises ``NotFound`` and ``Conflict``."""
    principal.require(Scope.REGISTRY_WRITE)

    async def work(change: Change) -> SuspensionAnswer:
        changed = await suspensions.switch(change, body, active=True)
        return SuspensionAnswer(kind=body.kind, id=body.id, suspended=False, changed=changed)

    return await changes.run(hub, principal, participant_id, work)
