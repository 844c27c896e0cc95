"""An administrator ends all sessions of a person at once, and on demand takes every way to come back."""

import sqlalchemy as sa

from service.actions import changes, entering, suspensions
from service.actions.changes import Change
from service.engine.hub import Hub
from service.models import ConsolePasskey, ProviderLink, table_of
from service.schemas.entries import SentHome
from service.security.principals import Principal
from workflows.entry_terms import Way
from workflows.terms import Fact

_LINKS = table_of(ProviderLink)
_PASSKEYS = table_of(ConsolePasskey)
_WAYS = ((_PASSKEYS, Way.PASSKEY), (_LINKS, Way.PROVIDER))


async def send_home(
    hub: Hub, principal: Principal, participant_id: str, person: str, *, for_good: bool = False
) -> SentHome:
    """End the person's sessions and void the links that were not used yet; ``for_good`` also takes passkeys and links
    to the provider. The hub's administrators may, and an agency's own its people. Raises ``NotFound``.
    """
    changes.allow(principal, participant_id)

    async def work(change: Change) -> SentHome:
        await changes.participant(change)
        ended = await suspensions.send_home(change, person)
        taken = 0
        for table, way in _WAYS if for_good else ():
            theirs = (table.c.tenant == change.tenant, table.c.person == person)
            count = (await change.conn.execute(sa.delete(table).where(*theirs))).rowcount
            if count:
                entering.note_way(change.log, Fact.SIGN_IN_WAY_REMOVED, change.actor, change.tenant, person, way)
            taken += count
        return SentHome(participant_id=change.tenant, person=person, sessions=ended, ways=taken)

    return await changes.run(hub, principal, participant_id, work)
