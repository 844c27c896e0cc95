"""An administrator says which person of the console somebody is whom the identity provider vouches for; or no more."""

import sqlalchemy as sa

from service import errors
from service.actions import changes, entering, sign_in_by_provider
from service.actions.changes import Change
from service.engine.hub import Hub
from service.models import ConsolePasskey, ProviderLink, table_of
from service.schemas.entries import LinkTaken, NewProviderLink, ProviderLinkMade
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows.entry_terms import Way
from workflows.terms import Fact

_LINKS = table_of(ProviderLink)
_PASSKEYS = table_of(ConsolePasskey)


async def link(hub: Hub, principal: Principal, body: NewProviderLink) -> ProviderLinkMade:
    """Link whom the provider calls ``name`` to a person and a role of a member; said again, it changes the role.

    The person's passkeys for other roles go with it: each opens the role that it was made in.

    Raises ``NotFound``, ``InvalidInput`` for a role that is not for the sector, ``Conflict`` where nobody is asked
    (no provider), for a member not active, an officer who does not serve and a name that is another person's.
    """
    principal.require(Scope.REGISTRY_WRITE)
    issuer = _issuer(hub)

    async def work(change: Change) -> ProviderLinkMade:
        await entering.check(change, body.person, body.role)
        digest = sign_in_by_provider.digest(issuer, "person", body.name)
        known = (await change.conn.execute(sa.select(_LINKS).where(_LINKS.c.digest == digest))).one_or_none()
        if known is not None and (known.tenant, known.person) != (change.tenant, body.person):
            raise errors.Conflict("provider_link.taken")
        values = {"role": body.role, "created_by": change.actor.id, "created_at": change.at}
        if known is not None:
            await change.conn.execute(sa.update(_LINKS).where(_LINKS.c.digest == digest).values(values))
        else:
            row = {"digest": digest, "tenant": change.tenant, "person": body.person, **values}
            await change.conn.execute(sa.insert(_LINKS).values(row))
        _note(change, Fact.SIGN_IN_WAY_ADDED, body.person)
        await _take_passkeys(change, body.person, _PASSKEYS.c.role != body.role)
        return ProviderLinkMade(participant_id=change.tenant, person=body.person, role=body.role)

    return await changes.run(hub, principal, body.participant_id, work)


async def unlink(hub: Hub, principal: Principal, participant_id: str, person: str) -> LinkTaken:
    """Take away all that the provider can let in as this person, and the passkeys; return how many links there were.

    What is open stays open: ``send_home`` ends it. Raises ``NotFound`` for an unknown member.
    """
    principal.require(Scope.REGISTRY_WRITE)

    async def work(change: Change) -> LinkTaken:
        await changes.participant(change)
        theirs = (_LINKS.c.tenant == change.tenant, _LINKS.c.person == person)
        taken = (await change.conn.execute(sa.delete(_LINKS).where(*theirs))).rowcount
        if taken:
            _note(change, Fact.SIGN_IN_WAY_REMOVED, person)
            # Whom the provider lets in no more does not come in by what he made while it did.
            await _take_passkeys(change, person, sa.true())
        return LinkTaken(participant_id=change.tenant, person=person, links=taken)

    return await changes.run(hub, principal, participant_id, work)


def _issuer(hub: Hub) -> str:
    if hub.settings.oidc_issuer is None:
        raise errors.Conflict("provider.none")
    return hub.settings.oidc_issuer


async def _take_passkeys(change: Change, person: str, which: sa.ColumnElement[bool]) -> None:
    theirs = (_PASSKEYS.c.tenant == change.tenant, _PASSKEYS.c.person == person, which)
    if (await change.conn.execute(sa.delete(_PASSKEYS).where(*theirs))).rowcount:
        entering.note_way(change.log, Fact.SIGN_IN_WAY_REMOVED, change.actor, change.tenant, person, Way.PASSKEY)


def _note(change: Change, fact: Fact, person: str) -> None:
    entering.note_way(change.log, fact, change.actor, change.tenant, person, Way.PROVIDER)
