"""What waits at an endpoint that is put out of use and has no other way: a person is told, until it is in use again."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit
from service.audit import Log
from service.engine import definitions, tasks
from service.models import Endpoint, QueueItem, Task, table_of
from workflows import deadlines
from workflows.terms import Actor, TaskKind

_ENDPOINTS = table_of(Endpoint)
_QUEUE = table_of(QueueItem)
_TASKS = table_of(Task)
_WHY = "endpoint.suspended"


async def tell(conn: AsyncConnection, log: Log, actor: Actor, endpoint_id: UUID) -> None:
    """Open a task where something waits for this endpoint and its participant has no other one for it.

    Orders go over to the next endpoint by themselves (``handing_over``). Nothing else ends the waiting: no attempt is
    made, so none is given up. ``log`` holds the chain of the endpoint's participant.
    """
    own = sa.select(_ENDPOINTS.c.tenant, _ENDPOINTS.c.channel, _ENDPOINTS.c.purpose)
    row = (await conn.execute(own.where(_ENDPOINTS.c.id == endpoint_id))).one()
    waiting = sa.select(_QUEUE.c.id).where(_QUEUE.c.endpoint_id == endpoint_id).limit(1)
    other = sa.select(_ENDPOINTS.c.id).where(
        _ENDPOINTS.c.tenant == row.tenant,
        _ENDPOINTS.c.purpose == row.purpose,
        _ENDPOINTS.c.id != endpoint_id,
        definitions.may_be_used(),
    )
    if (await conn.execute(waiting)).first() is None or (await conn.execute(other.limit(1))).first() is not None:
        return
    if await _open(conn, row.tenant, endpoint_id):
        return
    task = tasks.NewTask(
        tenant=row.tenant,
        kind=TaskKind.ENDPOINT_DOWN,
        chain=audit.tenant_chain(row.tenant),
        participant_id=row.tenant,
        within=deadlines.DELIVERY_TASK_WITHIN,
        data={"endpoint_id": str(endpoint_id), "channel": str(row.channel), "error": _WHY},
    )
    await tasks.open_tasks(conn, log, actor, log.at, [task])


async def untell(conn: AsyncConnection, log: Log, actor: Actor, tenant: str, endpoint_id: UUID) -> None:
    """Resolve the task: the endpoint is in use again, and what waited goes out."""
    rows = [row for row in await _open(conn, tenant, endpoint_id) if row.data.get("error") == _WHY]
    await tasks.settle(conn, log, actor, audit.tenant_chain(tenant), rows)


async def _open(conn: AsyncConnection, tenant: str, endpoint_id: UUID) -> list[sa.Row[Any]]:
    still_open = sa.select(_TASKS).where(
        _TASKS.c.resolved_at.is_(None), _TASKS.c.kind == TaskKind.ENDPOINT_DOWN, _TASKS.c.participant_id == tenant
    )
    rows = (await conn.execute(still_open)).all()
    return [row for row in rows if row.data.get("endpoint_id") == str(endpoint_id)]
