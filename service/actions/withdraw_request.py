"""An agency takes back a request that no second officer has approved yet; what is active is lifted, not withdrawn."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, errors
from service.actions import demands, standing
from service.engine import dossier, holding, settling, statuses, writer
from service.engine.hub import Hub
from service.models import ActionRequest, table_of
from service.queries import visibility
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows import authority, states
from workflows.terms import Fact, RequestEvent

_REQUESTS = table_of(ActionRequest)


async def withdraw(hub: Hub, principal: Principal, request_id: UUID, officer_id: str) -> None:
    """Withdraw an awaiting request.

    Raises ``NotFound``, ``InvalidInput`` or ``Forbidden`` (officer), ``Conflict`` when it awaits nobody,
    ``Unauthenticated`` when the caller was suspended meanwhile.
    """
    principal.require(Scope.REQUESTS_WRITE)

    async def unit(conn: AsyncConnection) -> None:
        log = await writer.lock(conn, [audit.request_chain(request_id), holding.chain(principal.tenant)])
        found = (await dossier.load(conn, [request_id])).get(request_id)
        if found is None or not visibility.owns(principal, found.tenant):
            raise errors.NotFound
        await standing.check(conn, principal)
        person = await demands.officer(conn, found.tenant, officer_id)
        if not authority.is_serving(person.active, person.appointed_until, log.at):
            raise errors.Forbidden("authority.officer_inactive")
        try:
            state = states.advance_request(found.request["state"], RequestEvent.WITHDRAW)
        except states.IllegalMove as illegal:
            raise errors.Conflict("request.not_awaiting_approval", state=illegal.state) from None
        await conn.execute(sa.update(_REQUESTS).where(_REQUESTS.c.id == found.id).values(state=state, closed_at=log.at))
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

    await standing.run(hub, principal, unit)
