"""A request's personal data is erased: one person asks for it by a decision's number, another one confirms it."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import errors
from service.actions import standing
from service.engine import erasing, erasures
from service.engine.erasing import Decided
from service.engine.hub import Hub
from service.models import ActionRequest, Erasure, table_of
from service.security.principals import Principal
from service.security.scopes import Scope
from service.vault import Erased

_ERASURES = table_of(Erasure)
_REQUESTS = table_of(ActionRequest)


async def ask(hub: Hub, principal: Principal, name: str, decision: str) -> UUID:
    """Write down that the request ``name`` (its id or reference) is to be erased; return what is to be confirmed.

    Raises ``NotFound``, and ``Conflict``: asked for already, erased already, in force, or still under way.
    """
    principal.require(Scope.REGISTRY_WRITE)

    async def unit(conn: AsyncConnection) -> UUID:
        ids, log = await erasing.matter(conn, name)
        await standing.check(conn, principal)
        await _must_be_possible(conn, ids)
        if await _asked(conn, ids[0]) is not None:
            raise errors.Conflict("erasure.asked")
        tenant = sa.select(_REQUESTS.c.tenant).where(_REQUESTS.c.id == ids[0])
        row = {
            "request_id": ids[0],
            "tenant": (await conn.execute(tenant)).scalar_one(),
            "decision": decision,
            "asked_by": principal.client_id,
            "asked_at": log.at,
        }
        await conn.execute(sa.insert(_ERASURES).values(row))
        return ids[0]

    return await standing.run(hub, principal, unit)


async def confirm(hub: Hub, principal: Principal, name: str) -> int:
    """Erase what somebody else asked to erase, and return how many requests that were, lifts and extensions included.

    It takes an administrator's system with a key of its own: accounts on a machine serve several people. Raises
    ``Forbidden`` for anybody else, ``NotFound`` and ``Conflict``: nobody asked, the same person asked, or it became
    impossible meanwhile.
    """
    principal.require(Scope.REGISTRY_WRITE)
    if principal.jkt is None:
        raise errors.Forbidden("second.key_needed")

    async def unit(conn: AsyncConnection) -> int:
        ids, log = await erasing.matter(conn, name)
        await standing.check(conn, principal)
        asked = await _asked(conn, ids[0])
        if asked is None:
            raise errors.Conflict("erasure.not_asked")
        if asked.asked_by == principal.client_id:
            raise errors.Conflict("erasure.same_person")
        await _must_be_possible(conn, ids)
        why = Decided(asked.decision, asked.asked_by, asked.asked_at, principal.client_id)
        count = await erasing.erase(conn, hub, log, principal.actor(), ids, why)
        await log.flush()
        return count

    count = await standing.run(hub, principal, unit)
    await erasures.wipe(hub)
    await erasures.keep(hub)
    return count


async def _must_be_possible(conn: AsyncConnection, ids: list[UUID]) -> None:
    if await erasing.is_erased(conn, ids):
        raise Erased
    code = await erasing.obstacle(conn, ids)
    if code is not None:
        raise errors.Conflict(code)


async def _asked(conn: AsyncConnection, root: UUID) -> sa.Row[str, str, object] | None:
    columns = (_ERASURES.c.decision, _ERASURES.c.asked_by, _ERASURES.c.asked_at)
    return (await conn.execute(sa.select(*columns).where(_ERASURES.c.request_id == root))).one_or_none()
