"""Where a new hold meets others on the same account: a fact for both agencies, and nothing more than that."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit
from service.audit import Log
from service.engine.dossier import Dossier, Row
from service.engine.hub import Hub
from service.engine.placing import Placement
from service.models import Order, table_of
from workflows import states
from workflows.terms import Action, Fact

_ORDERS = table_of(Order)


async def find(conn: AsyncConnection, hub: Hub, found: Dossier, placements: Sequence[Placement]) -> tuple[Row, ...]:
    """Return the orders of other requests that hold, or are asked to hold, what a freeze is about to hold.

    To be called before any chain is locked: two freezes of one account wait for each other here until the first is
    committed, or neither would see the other.
    """
    if found.request["action"] is not Action.FREEZE:
        return ()
    indexes = {(placement.participant_id, _index(hub, found, placement)) for placement in placements}
    holds: list[Row] = []
    for participant_id, index in sorted(indexes):
        if conn.dialect.name == "postgresql":
            key = int.from_bytes(index[:8], "big", signed=True)
            await conn.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.cast(key, sa.BigInteger))))
        query = sa.select(_ORDERS.c.id, _ORDERS.c.request_id, _ORDERS.c.tenant, _ORDERS.c.participant_id).where(
            _ORDERS.c.participant_id == participant_id,
            _ORDERS.c.subject_index == index,
            _ORDERS.c.action == Action.FREEZE,
            _ORDERS.c.state.in_(states.HOLDING),
            _ORDERS.c.request_id != found.id,
        )
        holds += [dict(row._mapping) for row in (await conn.execute(query.order_by(_ORDERS.c.id))).all()]
    return tuple(holds)


def record(log: Log, hub: Hub, found: Dossier, holds: Sequence[Row]) -> None:
    """Tell each agency that another hold exists at this participant; ``log`` has the chains of all of them."""
    for hold in holds:
        log.record(
            found.chain,
            Fact.HOLD_OVERLAPS,
            hub.actor,
            found.tenant,
            request_id=found.id,
            participant_id=hold["participant_id"],
        )
        log.record(
            audit.request_chain(hold["request_id"]),
            Fact.HOLD_OVERLAPS,
            hub.actor,
            hold["tenant"],
            request_id=hold["request_id"],
            order_id=str(hold["id"]),
            participant_id=hold["participant_id"],
        )


def _index(hub: Hub, found: Dossier, placement: Placement) -> bytes:
    target = found.targets[placement.target_id]
    value = hub.vault.unseal(found.keys, "targets", target["id"], target["tenant"], target["value_sealed"])
    return hub.vault.blind_index(placement.participant_id, target["kind"], value)
