"""A term of the retention table is changed: one administrator proposes it, another one puts it in force."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, clock, errors
from service.actions import standing
from service.audit import Log
from service.engine.hub import OPERATOR, Hub
from service.models import RetentionRule, table_of
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows.record_terms import RecordKind
from workflows.retention import Term
from workflows.terms import Fact

_RULES = table_of(RetentionRule)
_CHAIN = audit.tenant_chain(OPERATOR)


async def propose(hub: Hub, principal: Principal, kind: RecordKind, keep: str, source: str) -> UUID:
    """Propose another term for a kind of record, with where it is from; nothing changes before it is approved.

    ``keep`` is written as ISO 8601 does (``P24M``). Raises ``ScopeMissing`` and ``InvalidInput``.
    """
    principal.require(Scope.POLICIES_WRITE)
    try:
        term = Term.read(keep)
    except ValueError:
        raise errors.InvalidInput.of("/keep", "retention.keep") from None

    async def unit(conn: AsyncConnection) -> UUID:
        log = await Log.open(conn, None, [_CHAIN])
        await standing.check(conn, principal)
        row = {
            "id": clock.new_id(),
            "kind": kind,
            "keep": term.written(),
            "source": source,
            "proposed_by": principal.client_id,
            "proposed_at": log.at,
        }
        await conn.execute(sa.insert(_RULES).values(row))
        about: dict[str, Any] = {"rule_id": str(row["id"]), "kind": str(kind), "keep": term.written()}
        log.record(_CHAIN, Fact.RETENTION_PROPOSED, principal.actor(), OPERATOR, **about)
        await log.flush()
        return UUID(str(row["id"]))

    return await standing.run(hub, principal, unit)


async def approve(hub: Hub, principal: Principal, rule_id: UUID) -> None:
    """Put a proposed term in force as another administrator, by a system with a key of its own.

    Raises ``Forbidden`` for anybody without one, ``NotFound`` and ``Conflict``.
    """
    principal.require(Scope.POLICIES_WRITE)
    if principal.jkt is None:
        raise errors.Forbidden("second.key_needed")

    async def unit(conn: AsyncConnection) -> None:
        log = await Log.open(conn, None, [_CHAIN])
        await standing.check(conn, principal)
        row = (await conn.execute(sa.select(_RULES).where(_RULES.c.id == rule_id).with_for_update())).one_or_none()
        if row is None:
            raise errors.NotFound
        if row.approved_at is not None:
            raise errors.Conflict("retention.approved")
        if row.proposed_by == principal.client_id:
            raise errors.Conflict("retention.same_person")
        said = {"approved_by": principal.client_id, "approved_at": log.at}
        await conn.execute(sa.update(_RULES).where(_RULES.c.id == rule_id).values(**said))
        about: dict[str, Any] = {"rule_id": str(rule_id), "kind": str(row.kind), "keep": row.keep}
        log.record(_CHAIN, Fact.RETENTION_APPROVED, principal.actor(), OPERATOR, **about)
        await log.flush()

    await standing.run(hub, principal, unit)
