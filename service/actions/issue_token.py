"""A client system exchanges a signed assertion for an access token (RFC 6749, 4.4 with RFC 7523)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, clock, db, errors
from service.actions import record_refusal
from service.actions.record_refusal import Keep
from service.audit import Log
from service.engine.hub import Hub
from service.engine.writer import IdentifierSpent
from service.queries import clients
from service.security import compact, keyring, profiles, scopes, tokens
from service.security.keyring import VerificationKey
from service.security.refusal import TokenRefused
from service.security.single_use import SingleUse
from workflows.terms import Actor, ActorKind, Fact

LIFETIME = timedelta(seconds=300)
# A spent identifier is kept a minute longer than any clock could still take the assertion.
_KEPT = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Issued:
    """An access token, when it ends and what it may be used for."""

    token: str
    expires_at: datetime
    scope: str


async def issue(hub: Hub, assertion: str, keep: Keep = record_refusal.record) -> Issued:
    """Check the assertion, spend its ``jti`` and issue a token, in one transaction.

    Raises ``Unauthenticated`` for every refusal, with the reason kept by ``keep`` and never told.
    """
    now = clock.utc_now()
    async with hub.database.read(db.HUB) as conn:
        key = await _key_of(conn, assertion)
    try:
        claim = tokens.verify_client_assertion(
            assertion,
            key_of=lambda issuer, kid: key if key and (key.issuer, key.kid) == (issuer, kid) else None,
            audience=hub.settings.address,
            now=now,
        )
        async with hub.database.read(db.HUB) as conn:
            client = await clients.find(conn, claim.client_id)
        if client is None:
            await keep(hub, "client.not_in_force", claim.client_id)
            raise errors.Unauthenticated("token.refused")
        granted = scopes.scopes_of(client.roles, client.sector)
        signing = keyring.current(hub.signing, now)
        token, expires_at, jti = tokens.issue_access_token(
            signing,
            issuer=hub.settings.address,
            audience=hub.settings.address,
            client_id=client.id,
            subject=client.id,
            scopes=granted,
            jkt=claim.jkt,
            now=now,
            lifetime=LIFETIME,
        )
        chain = audit.tenant_chain(client.tenant)

        async def unit(conn: AsyncConnection) -> None:
            log = await Log.open(conn, None, [chain])
            actor = Actor(ActorKind.CLIENT, client.id, client.tenant)
            log.record(chain, Fact.TOKEN_ISSUED, actor, client.tenant, client_id=client.id, jti=jti)
            await log.flush()

        spent = SingleUse(claim.client_id, claim.jti, claim.expires_at + _KEPT)
        await hub.writer.run(unit, [spent], reach=db.Reach.of(client.tenant))
    except TokenRefused as refused:
        await keep(hub, str(refused.reason))
        raise errors.Unauthenticated("token.refused") from None
    except IdentifierSpent:
        await keep(hub, "jti.spent", claim.client_id)
        raise errors.Unauthenticated("token.refused") from None
    return Issued(token, expires_at, " ".join(sorted(granted)))


async def _key_of(conn: AsyncConnection, assertion: str) -> VerificationKey | None:
    # Read before it is verified, only to know which registered key to verify it with.
    try:
        unverified = compact.parse(assertion, profiles.CLIENT_ASSERTION)
        issuer = compact.identifier(unverified.claims, "iss")
        kid = compact.identifier(unverified.header, "kid")
    except TokenRefused:
        return None
    return await clients.assertion_key(conn, issuer, kid)
