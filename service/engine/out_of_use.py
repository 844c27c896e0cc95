"""What waits at an endpoint that is put out of use and has no other way: a person is told, until it is in use again."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.audit import Log
from service.engine import definitions, endpoint_tasks
from service.engine.store.rows import OVER
from service.models import Endpoint, QueueItem, table_of
from workflows.terms import Actor

_ENDPOINTS = table_of(Endpoint)
_QUEUE = table_of(QueueItem)
_WHY = "endpoint.suspended"


async def tell(conn: AsyncConnection, log: Log, actor: Actor, endpoint_id: UUID) -> None:
    """Open a task where something waits for this endpoint and its participant has no other one for it.

    Orders go over to the next endpoint by themselves (``handing_over``). Nothing else ends the waiting: no attempt is
    made, so none is given up. ``log`` holds the chain of the endpoint's participant.
    """
    own = sa.select(_ENDPOINTS.c.tenant, _ENDPOINTS.c.channel, _ENDPOINTS.c.purpose)
    row = (await conn.execute(own.where(_ENDPOINTS.c.id == endpoint_id))).one()
    waiting = sa.select(_QUEUE.c.id).where(_QUEUE.c.endpoint_id == endpoint_id, _QUEUE.c.priority != OVER).limit(1)
    other = sa.select(_ENDPOINTS.c.id).where(
        _ENDPOINTS.c.tenant == row.tenant,
        _ENDPOINTS.c.purpose == row.purpose,
        _ENDPOINTS.c.id != endpoint_id,
        definitions.may_be_used(),
    )
    if (await conn.execute(waiting)).first() is None or (await conn.execute(other.limit(1))).first() is not None:
        return
    await endpoint_tasks.ask(conn, log, actor, row.tenant, endpoint_id, str(row.channel), _WHY)


async def tell_all(conn: AsyncConnection, log: Log, actor: Actor, tenant: str) -> None:
    """Open the task of each endpoint of a participant, suspended as a whole, for which something waits."""
    for endpoint_id in await _switched_on(conn, tenant):
        await tell(conn, log, actor, endpoint_id)


async def untell_all(conn: AsyncConnection, log: Log, actor: Actor, tenant: str) -> None:
    """Resolve the tasks of a participant's endpoints, but for those that are suspended themselves."""
    for endpoint_id in await _switched_on(conn, tenant):
        await untell(conn, log, actor, tenant, endpoint_id)


async def _switched_on(conn: AsyncConnection, tenant: str) -> Sequence[UUID]:
    own = sa.select(_ENDPOINTS.c.id).where(_ENDPOINTS.c.tenant == tenant, _ENDPOINTS.c.active)
    return (await conn.execute(own.order_by(_ENDPOINTS.c.id))).scalars().all()


async def untell(conn: AsyncConnection, log: Log, actor: Actor, tenant: str, endpoint_id: UUID) -> None:
    """Resolve the task: the endpoint is in use again, and what waited goes out."""
    await endpoint_tasks.settle(conn, log, actor, tenant, endpoint_id, _WHY)
