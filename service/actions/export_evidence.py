"""The evidence about a request leaves the hub: the sealed file, and the fact of who made it and with which digest."""

import hashlib

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db, errors
from service.actions import standing
from service.engine import evidence, writer
from service.engine.hub import Hub
from service.models import ActionRequest, table_of
from service.queries import visibility
from service.security.principals import Principal, ScopeMissing
from service.security.scopes import Scope
from workflows.terms import CONFIDENTIAL, Action, Fact

_REQUESTS = table_of(ActionRequest)


_SIGNED_OR_WATCHED = frozenset({Scope.REQUESTS_APPROVE, Scope.AUDIT_READ})


def may(principal: Principal, tenant: str, action: Action) -> bool:
    """Tell whether the caller may export the evidence about a request of ``tenant``.

    The hub's administrators may, and of the agency itself those who approve and those who audit. Coordinators and
    auditors of the hub may not, nor may who audits the agency of a disclosure or a trace: the answer stands in the
    file, and that is for those who work on the matter.
    """
    if Scope.REGISTRY_WRITE in principal.scopes:
        return True
    if action in CONFIDENTIAL and Scope.DISCLOSURES_READ not in principal.scopes:
        return False
    return visibility.owns(principal, tenant) and not principal.scopes.isdisjoint(_SIGNED_OR_WATCHED)


async def export(hub: Hub, principal: Principal, name: str) -> str:
    """Return the bundle about the request with this id or reference, once it is on record that it was made.

    The fact is of the same transaction, on the request's own chain, so its agency sees it. The file cannot hold the
    fact of its own making, and holds those of all files before it. Raises ``ScopeMissing``, ``NotFound``, ``Erased``
    and KeyUnfit.
    """
    if principal.scopes.isdisjoint({Scope.REGISTRY_WRITE, *_SIGNED_OR_WATCHED}):
        raise ScopeMissing(Scope.REGISTRY_WRITE)

    async def unit(conn: AsyncConnection) -> str:
        request_id = await evidence.find(conn, name)
        chain = audit.request_chain(request_id)
        log = await writer.lock(conn, [chain])
        await standing.check(conn, principal)
        about = sa.select(_REQUESTS.c.tenant, _REQUESTS.c.action).where(_REQUESTS.c.id == request_id)
        tenant, action = (await conn.execute(about)).one()
        if not may(principal, tenant, action):
            raise errors.NotFound
        # It was found within the caller's own reach: whose keys signed the answers is in others' rows.
        await db.extend(conn, db.HUB)
        text = await evidence.bundle(conn, hub, request_id, log.at)
        digest = hashlib.sha256(text.encode()).hexdigest()
        log.record(chain, Fact.EVIDENCE_EXPORTED, principal.actor(), tenant, request_id=request_id, sha256=digest)
        await log.flush()
        return text

    return await standing.run(hub, principal, unit)
