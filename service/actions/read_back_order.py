"""The agency, or a coordinator, asks a participant what it holds now of a freeze that it has executed."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db, errors
from service.actions import standing
from service.engine import dossier, reach, read_backs, writer
from service.engine.dossier import Row
from service.engine.hub import Hub
from service.models import Order, table_of
from service.queries import visibility
from service.schemas.common import money
from service.schemas.read_backs import ReadBackAsked
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows import read_back
from workflows.read_back import NotNow
from workflows.terms import Fact

_ORDERS = table_of(Order)


async def ask(hub: Hub, principal: Principal, order_id: UUID) -> ReadBackAsked:
    """Send the question; the answer comes as every answer about a held amount, by an acknowledgement.

    Raises ``NotFound`` for another agency's, ``Conflict`` (``read_back.no_hold``, ``read_back.on_its_way``,
    ``read_back.unreachable``), ``TooManyRequests`` (``read_back.too_soon``) and ``Unauthenticated`` when suspended
    meanwhile.
    """
    principal.require(Scope.HOLDS_ASK)

    async def unit(conn: AsyncConnection) -> ReadBackAsked:
        order = await _visible(conn, principal, order_id)
        # The sequence and the dispatch are read by the participant, the fact is the agency's.
        await db.extend(conn, db.HUB)
        log = await writer.lock(conn, {audit.request_chain(order["request_id"])})
        await standing.check(conn, principal)
        order = await _visible(conn, principal, order_id)
        await _check(conn, order, log.at)
        endpoint = (await reach.order_endpoints(conn, {order["participant_id"]})).get(order["participant_id"])
        if endpoint is None:
            raise errors.Conflict("read_back.unreachable")
        found = (await dossier.load(conn, [order["request_id"]]))[order["request_id"]]
        await read_backs.ask(conn, hub, log, found, order, endpoint)
        log.record(
            found.chain,
            Fact.HOLD_ASKED,
            principal.actor(),
            found.tenant,
            request_id=found.id,
            order_id=str(order_id),
            participant_id=order["participant_id"],
        )
        await log.flush()
        return ReadBackAsked(order_id=order_id, asked_at=log.at, amount_held=money(order["amount_held"]))

    return await standing.run(hub, principal, unit)


async def _check(conn: AsyncConnection, order: Row, now: datetime) -> None:
    asked_at = await read_backs.asked_at(conn, order["id"])
    is_on_its_way = await read_backs.is_on_its_way(conn, order["id"])
    why = read_back.not_now(order["action"], order["state"], is_on_its_way=is_on_its_way, asked_at=asked_at, now=now)
    if why is NotNow.NO_HOLD:
        raise errors.Conflict("read_back.no_hold")
    if why is NotNow.ON_ITS_WAY:
        raise errors.Conflict("read_back.on_its_way")
    if why is NotNow.TOO_SOON and asked_at is not None:
        left = asked_at + read_back.EVERY - now
        raise errors.TooManyRequests("read_back.too_soon", retry_after=int(left.total_seconds()) + 1)


async def _visible(conn: AsyncConnection, principal: Principal, order_id: UUID) -> Row:
    query = sa.select(_ORDERS).where(_ORDERS.c.id == order_id, visibility.orders(principal))
    row = (await conn.execute(query)).one_or_none()
    if row is None:
        raise errors.NotFound
    return dict(row._mapping)
