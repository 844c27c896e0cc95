"""An agency takes back a request that no second officer has approved yet; what is active is lifted, not withdrawn."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, errors
from service.actions import officers, signing, standing
from service.actions.signing import Owner
from service.engine import dossier, holding, settling, statuses, writer
from service.engine.hub import Hub
from service.models import ActionRequest, table_of
from service.queries import visibility
from service.security import passkeys, signatures
from service.security.principals import Principal
from service.security.scopes import Scope
from service.security.signatures import Kind, SignatureRefused
from workflows import authority, states
from workflows.terms import Fact, RequestEvent

_REQUESTS = table_of(ActionRequest)


async def withdraw(
    hub: Hub, principal: Principal, request_id: UUID, officer_id: str, raw: bytes, signature: str | None
) -> None:
    """Withdraw an awaiting request; ``raw`` are the bytes as received, ``signature`` is the officer's over them.

    Raises ``NotFound``, ``InvalidInput`` (officer), ``Forbidden`` (officer, or ``signature.<reason>``, kept as a fact),
    ``Conflict`` when it awaits nobody, ``Unauthenticated`` when the caller was suspended meanwhile.
    """
    principal.require(Scope.REQUESTS_WRITE)

    async def unit(conn: AsyncConnection) -> None:
        log = await writer.lock(conn, [audit.request_chain(request_id), holding.chain(principal.tenant)])
        found = (await dossier.load(conn, [request_id])).get(request_id)
        if found is None or not visibility.owns(principal, found.tenant):
            raise errors.NotFound
        await standing.check(conn, principal)
        person = await officers.officer(conn, found.tenant, officer_id)
        if not authority.is_serving(person.active, person.appointed_until, log.at):
            raise errors.Forbidden("authority.officer_inactive")
        try:
            state = states.advance_request(found.request["state"], RequestEvent.WITHDRAW)
        except states.IllegalMove as illegal:
            raise errors.Conflict("request.not_awaiting_approval", state=illegal.state) from None
        await signing.check(
            conn,
            signature,
            kind=Kind.WITHDRAWAL,
            payload=signatures.canonical(raw),
            owner=Owner("officer", person.id, found.tenant),
            about=str(found.id),
            audience=hub.settings.address,
            now=log.at,
            origin=passkeys.origin_of(hub.settings.address),
        )
        key = await dossier.key(conn, hub.vault, found)
        withdrawn: dict[str, Any] = {
            "state": state,
            "closed_at": log.at,
            "withdrawn_by": person.id,
            "withdrawal_sealed": hub.vault.seal(key, "requests", found.id, raw.decode()),
            "withdrawal_signature": signature,
        }
        await conn.execute(sa.update(_REQUESTS).where(_REQUESTS.c.id == found.id).values(withdrawn))
        await settling.cancel(conn, log.at, [found.id])
        log.record(
            found.chain,
            Fact.REQUEST_WITHDRAWN,
            principal.actor(),
            found.tenant,
            request_id=found.id,
            officer_id=officer_id,
        )
        await statuses.tell(conn, hub, log.at, [statuses.News(found, Fact.REQUEST_WITHDRAWN, str(state))])
        await log.flush()

    try:
        await standing.run(hub, principal, unit)
    except SignatureRefused as unsigned:
        chain = audit.request_chain(request_id)
        error = await signing.refuse(hub, principal, unsigned, chain, request_id=request_id, officer_id=officer_id)
        raise error from None
