"""A request is kept beyond its time because a court or an inspection needs it, until somebody releases it."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, clock, errors
from service.actions import standing
from service.audit import Log
from service.engine import erasing
from service.engine.hub import Hub
from service.models import ActionRequest, LegalHold, table_of
from service.security.principals import Principal
from service.security.scopes import Scope
from service.vault import Erased
from workflows.record_terms import HoldReason
from workflows.terms import Fact

_HOLDS = table_of(LegalHold)
_REQUESTS = table_of(ActionRequest)


async def place(hub: Hub, principal: Principal, name: str, reason: HoldReason) -> UUID:
    """Keep the request ``name`` (its id or reference), with all that lifts or extends it; return the matter's id.

    Raises ``NotFound``, and ``Conflict`` where it is kept or erased already.
    """
    principal.require(Scope.REGISTRY_WRITE)

    async def unit(conn: AsyncConnection) -> UUID:
        ids, log = await erasing.matter(conn, name)
        await standing.check(conn, principal)
        if await erasing.is_erased(conn, ids):
            raise Erased
        if await _held(conn, ids[0]) is not None:
            raise errors.Conflict("legal_hold.held")
        tenant = await _tenant(conn, ids[0])
        row = {"id": clock.new_id(), "tenant": tenant, "request_id": ids[0], "reason": reason}
        said = {"placed_by": principal.client_id, "placed_at": log.at}
        await conn.execute(sa.insert(_HOLDS).values({**row, **said}))
        _tell(log, principal, Fact.LEGAL_HOLD_PLACED, ids[0], tenant, reason)
        await log.flush()
        return ids[0]

    return await standing.run(hub, principal, unit)


async def release(hub: Hub, principal: Principal, name: str) -> UUID:
    """Let the request's own term count again. Raises ``NotFound``, and ``Conflict`` where nothing keeps it."""
    principal.require(Scope.REGISTRY_WRITE)

    async def unit(conn: AsyncConnection) -> UUID:
        ids, log = await erasing.matter(conn, name)
        await standing.check(conn, principal)
        row = await _held(conn, ids[0])
        if row is None:
            raise errors.Conflict("legal_hold.not_held")
        said = {"released_by": principal.client_id, "released_at": log.at}
        await conn.execute(sa.update(_HOLDS).where(_HOLDS.c.id == row.id).values(**said))
        _tell(log, principal, Fact.LEGAL_HOLD_RELEASED, ids[0], row.tenant, row.reason)
        await log.flush()
        return ids[0]

    return await standing.run(hub, principal, unit)


def _tell(log: Log, principal: Principal, code: Fact, root: UUID, tenant: str, reason: HoldReason) -> None:
    chain = audit.request_chain(root)
    log.record(chain, code, principal.actor(), tenant, request_id=root, reason=str(reason))


async def _held(conn: AsyncConnection, root: UUID) -> sa.Row[UUID, str, HoldReason] | None:
    query = sa.select(_HOLDS.c.id, _HOLDS.c.tenant, _HOLDS.c.reason)
    query = query.where(_HOLDS.c.request_id == root, _HOLDS.c.released_at.is_(None))
    return (await conn.execute(query)).one_or_none()


async def _tenant(conn: AsyncConnection, root: UUID) -> str:
    query = sa.select(_REQUESTS.c.tenant).where(_REQUESTS.c.id == root)
    found: str = (await conn.execute(query)).scalar_one()
    return found
