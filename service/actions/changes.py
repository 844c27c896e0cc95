"""How the registry is changed: by whom, in one transaction under the tenant's chain, with facts of codes and ids."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, errors
from service.actions import standing
from service.audit import Log
from service.engine.hub import OPERATOR, Hub
from service.models import Participant, table_of
from service.security import principals
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows.terms import Actor, Fact, Role, Sector

T = TypeVar("T")
_PARTICIPANTS = table_of(Participant)


@dataclass(frozen=True, slots=True)
class Change:
    """One change under way: its connection, the facts so far, who makes it and whose chain it is told on."""

    conn: AsyncConnection
    log: Log
    actor: Actor
    tenant: str

    @property
    def at(self) -> datetime:
        """The instant of the change, by the database's clock."""
        return self.log.at

    def note(self, what: str, **data: Any) -> None:
        """Record what changed: a code, ids and numbers; never a person's data, never a secret."""
        chain = audit.tenant_chain(self.tenant)
        self.log.record(
            chain,
            Fact.REGISTRY_CHANGED,
            self.actor,
            self.tenant,
            what=what,
            participant_id=self.tenant,
            **data,
        )


def local_administrator(person: str) -> Principal:
    """Return the principal of somebody who works on the hub's own machine, by the name of the system's account."""
    return principals.of_person(person, tenant=OPERATOR, sector=Sector.HUB, roles=[Role.HUB_ADMIN])


def allow(principal: Principal, tenant: str) -> None:
    """Let the hub's administrators pass, and an agency's own administrator.

    Raises ``ScopeMissing``, and ``NotFound`` for another agency's administrator: foreign is as good as unknown.
    """
    if Scope.AGENCY_ADMIN in principal.scopes and Scope.REGISTRY_WRITE not in principal.scopes:
        if tenant != principal.tenant:
            raise errors.NotFound
        return
    principal.require(Scope.REGISTRY_WRITE)


async def run(hub: Hub, principal: Principal, tenant: str, work: Callable[[Change], Awaitable[T]]) -> T:
    """Do ``work`` in one transaction under the lock of the tenant's chain, and let this node read the registry anew.

    ``work`` may run again when the database asks for it; what it raises passes and undoes everything. Raises
    ``Unauthenticated`` when the caller was suspended meanwhile.
    """

    async def unit(conn: AsyncConnection) -> T:
        log = await Log.open(conn, None, [audit.tenant_chain(tenant)])
        await standing.check(conn, principal)
        result = await work(Change(conn, log, principal.actor(), tenant))
        await log.flush()
        return result

    try:
        result = await standing.run(hub, principal, unit)
    except IntegrityError:
        # Another tenant's change took the same id meanwhile: the second time the work sees it, and says so by name.
        result = await standing.run(hub, principal, unit)
    hub.registry.forget()
    return result


async def participant(change: Change) -> sa.Row[Any]:
    """Return the row of the participant whose registry is changed. Raises ``NotFound``."""
    query = sa.select(_PARTICIPANTS).where(_PARTICIPANTS.c.id == change.tenant)
    row = (await change.conn.execute(query)).one_or_none()
    if row is None:
        raise errors.NotFound
    return row


async def activate(change: Change, row: sa.Row[Any]) -> None:
    """Make a listed participant an active one. Raises ``Conflict`` for a suspended one: that takes a resumption."""
    if row.status == "suspended":
        raise errors.Conflict("participant.suspended")
    if row.status == "listed":
        joined = sa.update(_PARTICIPANTS).where(_PARTICIPANTS.c.id == row.id).values(status="active")
        await change.conn.execute(joined)
