"""When a request is done: each of its orders is final and no participant is left to be reached by hand."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.audit import Log
from service.engine import settling, statuses
from service.engine.dossier import Dossier
from service.engine.hub import Hub
from service.models import ActionRequest, Order, Task, table_of
from workflows import lift, states
from workflows.terms import Fact, RequestEvent, RequestState, TaskKind

_REQUESTS = table_of(ActionRequest)
_ORDERS = table_of(Order)
_TASKS = table_of(Task)
_BY_HAND = sa.exists().where(
    _TASKS.c.request_id == _REQUESTS.c.id,
    _TASKS.c.kind == TaskKind.UNREACHABLE_PARTICIPANT,
    _TASKS.c.resolved_at.is_(None),
)
_ASKED = ("state", "action", "delivered_at", "answered_at", "lift_ordered")
_STANDING = (
    sa.select(
        _REQUESTS.c.state.label("request_state"), _BY_HAND.label("by_hand"), *(_ORDERS.c[name] for name in _ASKED)
    )
    .outerjoin_from(_REQUESTS, _ORDERS, _ORDERS.c.request_id == _REQUESTS.c.id)
    .where(_REQUESTS.c.id == sa.bindparam("request"))
)


async def close_if_done(conn: AsyncConnection, hub: Hub, log: Log, dossier: Dossier) -> bool:
    """Close an active request whose last order became final; return whether it did."""
    found = (await conn.execute(_STANDING, {"request": dossier.id})).all()
    assert found, "a dossier is of a request that is there"
    if any(row.request_state is not RequestState.ACTIVE or row.by_hand for row in found):
        return False
    orders = [row for row in found if row.state is not None]
    if any(not states.is_final(row.state, row.action, _is_out_there(row)) for row in orders):
        return False
    state = states.advance_request(RequestState.ACTIVE, RequestEvent.CLOSE)
    await conn.execute(sa.update(_REQUESTS).where(_REQUESTS.c.id == dossier.id).values(state=state, closed_at=log.at))
    await settling.cancel(conn, log.at, [dossier.id])
    log.record(dossier.chain, Fact.REQUEST_CLOSED, hub.actor, dossier.tenant, request_id=dossier.id)
    await statuses.tell(conn, hub, log.at, [statuses.News(dossier, Fact.REQUEST_CLOSED, str(state))])
    return True


def _is_out_there(order: sa.Row[Any]) -> bool:
    # A lift that was sent waits for its answer, even where nobody knows whether the order itself ever arrived.
    return lift.was_delivered(order.delivered_at, order.answered_at) or order.lift_ordered
