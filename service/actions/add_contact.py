"""A line is added to a duty roster: who is called, over which endpoint of his own, at which hours."""

from datetime import time

import sqlalchemy as sa

from service import clock
from service.actions import changes, endpoints, proposals
from service.actions.changes import Change
from service.engine.hub import Hub
from service.models import Contact, table_of
from service.models.subject_key import KeyOwner
from service.schemas.endpoints import ContactAdded, ContactMailbox, NewContact, NewMailbox, NewWebhook
from service.security.principals import Principal
from service.vault import subjects
from workflows.terms import Purpose

_CONTACTS = table_of(Contact)


async def add(hub: Hub, principal: Principal, participant_id: str, body: NewContact) -> ContactAdded:
    """Add a contact and its endpoint for notices; a webhook's secret is shown this once.

    A webhook is called once an administrator of the hub, other than who added it, has approved it.

    The hub's administrators and an agency's own may. Raises ``NotFound``, ``InvalidInput`` naming the field.
    """
    changes.allow(principal, participant_id)

    async def work(change: Change) -> ContactAdded:
        owner = await changes.participant(change)
        endpoint = _endpoint(body)
        contact_id = clock.new_id()
        key = await subjects.begin(
            change.conn, hub.vault, participant_id, KeyOwner.CONTACT, str(contact_id), contact_id
        )
        prepared = await endpoints.prepare(
            change.conn, hub, participant_id, owner.sector, endpoint, change.at, within="/reached_by", person=key
        )
        await change.conn.execute(sa.insert(endpoints.TABLE).values(prepared.row))
        row = {
            "id": contact_id,
            "tenant": participant_id,
            "name_sealed": hub.vault.seal(key, "contacts", contact_id, body.name),
            "endpoint_id": prepared.id,
            "from_minute": _minute(body.hours.starts) if body.hours else None,
            "to_minute": _minute(body.hours.ends) if body.hours else None,
            "position": body.position,
            "active": True,
            "created_at": change.at,
        }
        await change.conn.execute(sa.insert(_CONTACTS).values(row))
        change.note(
            "contact.added",
            contact_id=str(contact_id),
            endpoint_id=str(prepared.id),
            channel=str(endpoint.channel),
        )
        proposal = None
        if prepared.definition is not None:
            proposal = await proposals.propose(change, principal, prepared.row, prepared.definition)
        return ContactAdded(id=contact_id, endpoint_id=prepared.id, secret=prepared.secret, proposal=proposal)

    return await changes.run(hub, principal, participant_id, work)


def _endpoint(body: NewContact) -> NewWebhook | NewMailbox:
    if isinstance(body.reached_by, ContactMailbox):
        return NewMailbox(channel=body.reached_by.channel, address=body.reached_by.address)
    return NewWebhook(**body.reached_by.model_dump(), purpose=Purpose.NOTICES)


def _minute(at: time) -> int:
    return at.hour * 60 + at.minute
