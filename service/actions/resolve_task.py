"""A coordinator has done what a task asked for: its clock stops, and its request may now be done."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, errors
from service.actions import standing
from service.engine import closing, dossier, settling, writer
from service.engine.hub import Hub
from service.models import Task, table_of
from service.queries import tasks, visibility
from service.schemas.tasks import TaskAnswer, TaskResolution
from service.security.principals import Principal
from service.security.scopes import Scope
from service.vault import KeyRow, subjects
from workflows.terms import Fact, Stage, TaskKind

_TASKS = table_of(Task)


async def resolve(hub: Hub, principal: Principal, task_id: UUID, body: TaskResolution) -> TaskAnswer:
    """Mark a task done, with a note that is sealed.

    Raises ``NotFound``, ``Conflict`` when it was done before, and for a call-back: its answer is what resolves it;
    ``Unauthenticated`` when suspended meanwhile.
    """
    principal.require(Scope.TASKS_RESOLVE)

    async def unit(conn: AsyncConnection) -> TaskAnswer:
        task = await _task(conn, principal, task_id)
        if task.kind is TaskKind.CALLBACK:
            raise errors.Conflict("task.callback")
        chain = audit.request_chain(task.request_id) if task.request_id else audit.tenant_chain(task.tenant)
        log = await writer.lock(conn, [chain])
        await standing.check(conn, principal)
        note = hub.vault.seal(await _key(conn, hub, task), "tasks", task_id, body.note) if body.note else None
        done = (
            sa.update(_TASKS)
            .where(_TASKS.c.id == task_id, _TASKS.c.resolved_at.is_(None))
            .values(resolved_at=log.at, resolved_by=principal.client_id, note_sealed=note)
            .returning(_TASKS.c.id)
        )
        if (await conn.execute(done)).first() is None:
            raise errors.Conflict("task.resolved")
        await settling.cancel(conn, log.at, [task_id], [Stage.TASK])
        log.record(
            chain,
            Fact.TASK_RESOLVED,
            principal.actor(),
            task.tenant,
            request_id=task.request_id,
            task_id=str(task_id),
            kind=str(task.kind),
            participant_id=task.participant_id,
            order_id=str(task.order_id) if task.order_id else None,
        )
        if task.request_id is not None:
            found = await dossier.load(conn, [task.request_id])
            await closing.close_if_done(conn, hub, log, found[task.request_id])
        await log.flush()
        return await tasks.one(conn, hub.vault, task_id)

    return await standing.run(hub, principal, unit)


async def _key(conn: AsyncConnection, hub: Hub, task: sa.Row[Any]) -> KeyRow:
    if task.request_id is None:
        return await subjects.of_house(conn, hub.vault, task.tenant)
    return await subjects.of_request(conn, hub.vault, task.tenant, task.request_id)


async def _task(conn: AsyncConnection, principal: Principal, task_id: UUID) -> sa.Row[Any]:
    query = sa.select(_TASKS).where(_TASKS.c.id == task_id, visibility.tasks(principal))
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        raise errors.NotFound
    return row
