"""A bank's system reports that it could not process a message of the hub: a person must look, the clocks go on."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.iso20022.parse import Received
from service import audit, db, errors
from service.actions import receiving, signing, standing
from service.actions.idempotency import Once
from service.actions.signing import Owner
from service.engine import tasks, writer
from service.engine.hub import Hub
from service.models import Dispatch, Order, Task, table_of
from service.queries import visibility
from service.schemas.business_messages import BusinessMessageAccepted
from service.security.principals import Principal
from service.security.scopes import Scope
from service.security.signatures import SignatureRefused
from workflows import deadlines
from workflows.terms import DispatchKind, Fact, TaskKind

_DISPATCHES = table_of(Dispatch)
_ORDERS = table_of(Order)
_TASKS = table_of(Task)
_ERROR = "message.rejected"


async def report(hub: Hub, principal: Principal, received: Received, once: Once) -> BusinessMessageAccepted:
    """Record that a message was rejected and open a task; what it was about is as undone as before.

    The bank's own reason stays in its message, whose digest the fact names. The same message again changes nothing.
    Raises ``NotFound`` for a message that this participant was never sent, ``InvalidInput`` for another one under the
    same id, ``Forbidden`` (``signature.<reason>``, kept as a fact) and ``Unauthenticated`` when suspended meanwhile.
    """
    principal.require(Scope.ORDERS_ANSWER)
    assert received.rejected is not None
    name = received.rejected.message_id

    async def unit(conn: AsyncConnection) -> BusinessMessageAccepted:
        sent = await _dispatch(conn, principal, name)
        await db.extend(conn, db.HUB)
        chain = audit.request_chain(sent["request_id"])
        log = await writer.lock(conn, [chain])
        await standing.check(conn, principal)
        earlier = await receiving.earlier(conn, principal, once)
        if earlier is not None:
            return BusinessMessageAccepted.model_validate({**earlier, "repeated": True})
        owner = Owner("participant", principal.tenant, principal.tenant)
        await signing.check_message(conn, received, owner=owner, audience=hub.settings.address, now=log.at)
        told: dict[str, Any] = {"dispatch_id": str(sent["id"]), "error": _ERROR}
        log.record(
            chain,
            Fact.DISPATCH_FAILED,
            principal.actor(),
            sent["tenant"],
            request_id=sent["request_id"],
            kind=str(sent["kind"]),
            message_type=sent["message_type"],
            order_id=str(sent["order_id"]),
            participant_id=sent["participant_id"],
            channel=str(sent["channel"]),
            rejection_sha256=once.content,
            **told,
        )
        same = sa.select(_TASKS.c.id).where(
            _TASKS.c.order_id == sent["order_id"],
            _TASKS.c.kind == TaskKind.DEAD_DISPATCH,
            _TASKS.c.resolved_at.is_(None),
        )
        if (await conn.execute(same)).first() is None:
            task = tasks.NewTask(
                tenant=sent["tenant"],
                kind=TaskKind.DEAD_DISPATCH,
                chain=chain,
                participant_id=sent["participant_id"],
                request_id=sent["request_id"],
                order_id=sent["order_id"],
                within=deadlines.DELIVERY_TASK_WITHIN,
                data={**told, "attempts": sent["attempts"]},
            )
            await tasks.open_tasks(conn, log, hub.actor, log.at, [task])
        state = sa.select(_ORDERS.c.state).where(_ORDERS.c.id == sent["order_id"])
        answer = BusinessMessageAccepted(
            message_id=received.id,
            order_id=sent["order_id"],
            state=(await conn.execute(state)).scalar_one(),
            repeated=False,
            contradicts=False,
        )
        await receiving.remember(conn, principal, once, answer.model_dump(mode="json"), log.at)
        await log.flush()
        return answer

    try:
        return await receiving.run(hub, principal, unit)
    except SignatureRefused as refused:
        raise await receiving.refuse(hub, principal, refused.reason) from None


async def _dispatch(conn: AsyncConnection, principal: Principal, name: str) -> dict[str, Any]:
    try:
        found = UUID(name)
    except ValueError:
        raise errors.NotFound from None
    query = sa.select(_DISPATCHES).where(
        _DISPATCHES.c.id == found, visibility.inbox(principal), _DISPATCHES.c.kind == DispatchKind.ORDER
    )
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        raise errors.NotFound
    return dict(row._mapping)
