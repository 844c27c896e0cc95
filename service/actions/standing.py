"""Whether the caller is still in force once the locks are held: the agency switch stops calls in flight too."""

from datetime import datetime
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db, errors
from service.actions import record_refusal
from service.db import Unit
from service.engine.hub import OPERATOR, Hub
from service.models import Participant, table_of
from service.queries import clients
from service.security.principals import Principal
from workflows.terms import ActorKind

T = TypeVar("T")
_PARTICIPANTS = table_of(Participant)


class Fallen(Exception):
    """The caller was let in by the door, and was suspended or lost its key before its change was made."""


async def check(conn: AsyncConnection, principal: Principal) -> datetime:
    """Raise ``Fallen`` unless the caller is in force now, and return the database's instant, which costs no more.

    Ask it when the chains of the change are locked: the instant is then one of after that wait.
    A suspension or revocation is seen here, or waits until what is made here is committed: the rows asked about are
    locked against it. A system is asked about with the key of its token, a person at the console by the participant (a
    session ends with it).
    """
    if principal.kind is ActorKind.PERSON and principal.tenant == OPERATOR:
        # Nobody can suspend the operator, and its first administrator works before it has a row.
        return await db.now(conn)
    if principal.kind is ActorKind.CLIENT and principal.jkt is not None:
        client = await clients.find(conn, principal.client_id, key=principal.jkt, keep=True)
        if client is None or client.tenant != principal.tenant:
            raise Fallen
        return client.at
    query = sa.select(_PARTICIPANTS.c.status, sa.func.hub_now(type_=db.INSTANT).label("at"))
    row = (
        await conn.execute(query.where(_PARTICIPANTS.c.id == principal.tenant).with_for_update(read=True))
    ).one_or_none()
    if row is None or row.status != "active":
        raise Fallen
    at: datetime = row.at
    return at


async def run(hub: Hub, principal: Principal, unit: Unit[T]) -> T:
    """Run a unit that may ask ``check``, within the caller's own reach until it extends it (``db.extend``).

    Raises ``Unauthenticated`` as the door does, why is kept as a fact.
    """
    try:
        return await hub.writer.run(unit, reach=principal.reach)
    except Fallen:
        await record_refusal.record(hub, "client.not_in_force", principal.client_id)
        raise errors.Unauthenticated("token.refused") from None
