"""A line is taken off a duty roster: the name is gone, and its endpoint takes no notices any more."""

from uuid import UUID

import sqlalchemy as sa

from service import errors
from service.actions import changes, endpoints
from service.actions.changes import Change
from service.engine.hub import Hub
from service.models import Contact, table_of
from service.security.principals import Principal
from service.vault import subjects

_CONTACTS = table_of(Contact)


async def remove(hub: Hub, principal: Principal, participant_id: str, contact_id: UUID) -> None:
    """Remove a contact. The hub's administrators and an agency's own may. Raises ``NotFound``."""
    changes.allow(principal, participant_id)

    async def work(change: Change) -> None:
        mine = (_CONTACTS.c.id == contact_id, _CONTACTS.c.tenant == participant_id)
        gone = sa.delete(_CONTACTS).where(*mine).returning(_CONTACTS.c.endpoint_id)
        endpoint_id = (await change.conn.execute(gone)).scalar_one_or_none()
        if endpoint_id is None:
            raise errors.NotFound
        await subjects.destroy(change.conn, [contact_id], change.at)
        # The row stays: dispatches of the past point to it. Nobody's address stays with it.
        update = sa.update(endpoints.TABLE).where(endpoints.TABLE.c.id == endpoint_id)
        await change.conn.execute(update.values(active=False, address_sealed=None))
        change.note("contact.removed", contact_id=str(contact_id), endpoint_id=str(endpoint_id))

    await changes.run(hub, principal, participant_id, work)
