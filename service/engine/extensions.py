"""Extensions of a hold that are under way: read under its lock, and taken back when what they prolong ends first."""

from collections.abc import Collection, Iterable
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit
from service.audit import Log
from service.engine import closing, dossier, lifting
from service.engine.dossier import Dossier
from service.engine.hub import Hub
from service.models import ActionRequest, table_of
from workflows import states
from workflows.terms import Action, Actor, Event, RequestState

_REQUESTS = table_of(ActionRequest)


async def under_way(conn: AsyncConnection, original_id: UUID) -> set[UUID]:
    """Return the extensions of a hold that are active."""
    query = sa.select(_REQUESTS.c.id).where(
        _REQUESTS.c.original_id == original_id,
        _REQUESTS.c.action == Action.EXTEND,
        _REQUESTS.c.state == RequestState.ACTIVE,
    )
    return set((await conn.execute(query)).scalars())


async def lock(conn: AsyncConnection, log: Log, original_id: UUID) -> tuple[Dossier, ...]:
    """Read again, under the lock of a hold, which extensions of it are under way, and lock those that are new.

    Whatever activates an extension locks its original: one that was approved while the lock was waited for is seen.
    """
    ids = await under_way(conn, original_id)
    await log.also(map(audit.request_chain, ids))
    return tuple((await dossier.load(conn, ids)).values()) if ids else ()


async def take_back(
    conn: AsyncConnection, hub: Hub, log: Log, actor: Actor, extensions: Iterable[Dossier], ended: Collection[UUID]
) -> None:
    """Withdraw what locked extensions still ask for about holds that ended: nobody need prolong these any more.

    ``ended`` are the orders whose hold is over.
    """
    for extension in extensions:
        asked = [
            order
            for order in await dossier.orders_of(conn, extension.id)
            if order["original_id"] in ended and (order["state"], Event.WITHDRAW) in states.MOVES
        ]
        await lifting.withdraw(conn, log, actor, extension, asked)
        await closing.close_if_done(conn, hub, log, extension)
