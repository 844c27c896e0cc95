"""A participant, client, officer or endpoint is stopped at once: it may neither file, answer nor be sent to."""

from service.actions import changes, suspensions
from service.actions.changes import Change
from service.engine.hub import Hub
from service.schemas.registry import Suspension, SuspensionAnswer
from service.security.principals import Principal


async def suspend(hub: Hub, principal: Principal, participant_id: str, body: Suspension) -> SuspensionAnswer:
    """Suspend; doing it twice changes nothing. Raises ``NotFound`` and ``Conflict``.

    The hub's administrators may, and an agency's own may stop what is theirs: only the hub starts it again.
    """
    changes.allow(principal, participant_id)

    async def work(change: Change) -> SuspensionAnswer:
        changed = await suspensions.switch(change, body, active=False)
        return SuspensionAnswer(kind=body.kind, id=body.id, suspended=True, changed=changed)

    return await changes.run(hub, principal, participant_id, work)
