"""A person is given a single-use link to the console; only its digest is kept."""

import sqlalchemy as sa

from service import audit, errors
from service.actions import changes, entering
from service.actions.changes import Change
from service.engine.hub import Hub
from service.models import SignInLink, table_of
from service.schemas.policies import NewSignInLink, SignInLinkMade
from service.security import console_session
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows.terms import Fact

_LINKS = table_of(SignInLink)

PATH = "/sign-in/"


async def make(hub: Hub, principal: Principal, body: NewSignInLink) -> SignInLinkMade:
    """Make a link that lives 15 minutes; its path is shown this once.

    Raises ``NotFound``, ``InvalidInput`` for a role that is not for the sector, ``Conflict`` for a member not active
    for an officer who does not serve, and where links are switched off.
    """
    principal.require(Scope.REGISTRY_WRITE)
    if not hub.settings.sign_in_by_links:
        raise errors.Conflict("sign_in_link.off")

    async def work(change: Change) -> SignInLinkMade:
        await entering.check(change, body.person, body.role)
        token, digest = console_session.new_link_token()
        expires_at = change.at + console_session.LINK_LIFETIME
        row = {
            "digest": bytes.fromhex(digest),
            "tenant": change.tenant,
            "person": body.person,
            "role": body.role,
            "created_at": change.at,
            "expires_at": expires_at,
        }
        await change.conn.execute(sa.insert(_LINKS).values(row))
        change.log.record(
            audit.tenant_chain(change.tenant),
            Fact.SIGN_IN_LINK_MADE,
            change.actor,
            change.tenant,
            person=body.person,
            role=str(body.role),
            expires_at=expires_at,
        )
        return SignInLinkMade(path=f"{PATH}{token}", expires_at=expires_at)

    return await changes.run(hub, principal, body.participant_id, work)
