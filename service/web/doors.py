"""What every route asks for: the hub, the caller behind the token, the raw body, one page's size."""

from typing import Annotated

from fastapi import Depends, Query, Request

from service import clock, errors
from service.actions import issue_token
from service.engine.hub import Hub
from service.queries import clients
from service.security import principals, tokens
from service.security.principals import Principal
from service.security.refusal import TokenRefused
from service.web.limits import Limits
from workflows.terms import Sector


async def hub(request: Request) -> Hub:
    """Return the hub that the application was made with."""
    found: Hub = request.app.state.hub
    return found


HubDep = Annotated[Hub, Depends(hub)]


async def caller(request: Request, hub: HubDep) -> Principal:
    """Return who is calling: a good token of an active client of an active participant, with a key still in force.

    Raises ``Unauthenticated`` for everything else; why is kept as a fact, never told.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if not token:
        raise errors.Unauthenticated("token.missing")
    try:
        if scheme.lower() != "bearer":
            raise errors.Unauthenticated("token.refused")
        address = hub.settings.address
        keys = {key.kid: key for key in hub.signing}
        claims = tokens.verify_access_token(
            token,
            key_of=lambda issuer, kid: keys[kid].verification_key(address) if kid in keys else None,
            issuer=address,
            audience=address,
            now=clock.utc_now(),
        )
    except TokenRefused as refused:
        await issue_token.record_refusal(hub, str(refused.reason))
        raise errors.Unauthenticated("token.refused") from None
    async with hub.database.read() as conn:
        client = await clients.find(conn, claims.client_id, key=claims.jkt)
    if client is None:
        await issue_token.record_refusal(hub, "client.not_in_force")
        raise errors.Unauthenticated("token.refused")
    limits: dict[str, Limits] = request.app.state.limits
    limits["agency" if client.sector is Sector.AGENCY else "other"].take(client.id)
    return principals.of_client(claims, tenant=client.tenant, sector=client.sector, roles=client.roles)


async def raw_body(request: Request) -> bytes:
    """Return the body's bytes as they were received."""
    raw: bytes = request.scope["state"]["raw_body"]
    return raw


Caller = Annotated[Principal, Depends(caller)]
RawBody = Annotated[bytes, Depends(raw_body)]
PageSize = Annotated[int, Query(ge=1, le=200, description="how many items at most")]
After = Annotated[str | None, Query(max_length=200, description="the cursor `next` of the page before")]
