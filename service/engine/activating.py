"""What makes a request active: who must get an order, and the orders, withdrawals and clocks that follow from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit
from service.audit import Log
from service.engine import closing, dossier, ending, lifting, placing, reach, settling, timers
from service.engine.dossier import Dossier, Row
from service.engine.hub import Hub
from service.models import ActionRequest, Order
from service.queries.registry import Known
from workflows import routing, states, working_hours
from workflows.terms import Action, Actor, Event, Fact, OrderState, RequestState, Stage, SubjectKind

_REQUESTS = ActionRequest.__table__  # type: ignore[attr-defined]
_ORDERS = Order.__table__  # type: ignore[attr-defined]
_HOLDING = (OrderState.PLACED, OrderState.DELIVERED, OrderState.ACKNOWLEDGED, OrderState.EXECUTED)


@dataclass(frozen=True, slots=True)
class Plan:
    """What activation will touch: the placements, the original of a lift or extension, the holds it overlaps.

    ``chains`` are all the audit chains to lock, sorted by ``Log.open``, before anything is changed.
    """

    placements: tuple[placing.Placement, ...]
    original: Dossier | None
    overlaps: tuple[Row, ...]
    chains: frozenset[str]


async def prepare(conn: AsyncConnection, hub: Hub, known: Known, found: Dossier) -> Plan:
    """Route the targets; raise ``routing.UnknownInstitution`` for one that nobody in the directory can act on."""
    chains = {found.chain}
    if found.request["original_id"]:
        original = (await dossier.load(conn, [found.request["original_id"]]))[found.request["original_id"]]
        return Plan((), original, (), frozenset({*chains, original.chain}))
    placements = tuple(
        placing.Placement(recipient, target_id)
        for target_id, recipients in route(hub, known, found).items()
        for recipient in recipients
    )
    overlaps = await _overlaps(conn, hub, found, placements) if found.request["action"] is Action.FREEZE else ()
    chains |= {audit.request_chain(order["request_id"]) for order in overlaps}
    return Plan(placements, None, tuple(overlaps), frozenset(chains))


def route(hub: Hub, known: Known, found: Dossier) -> dict[UUID, tuple[str, ...]]:
    """Return the recipients of each target, by the directory as it is today in Vietnam."""
    today = found.request["submitted_at"].astimezone(working_hours.VIETNAM).date()
    routes: dict[UUID, tuple[str, ...]] = {}
    for target_id, target in found.targets.items():
        value = hub.vault.unseal("targets", target_id, target["tenant"], target["value_sealed"])
        wanted = routing.RoutingTarget(target["kind"], value, target["institution"], target["platform"])
        reached = routing.route(wanted, known.directory, today, found.request["measure"])
        routes[target_id] = tuple(recipient.participant_id for recipient in reached.participants)
    return routes


async def activate(
    conn: AsyncConnection, hub: Hub, log: Log, actor: Actor, found: Dossier, plan: Plan
) -> placing.Placed:
    """Place what the request demands; its row must already say ``active``, its chains must be locked by ``log``."""
    log.record(found.chain, Fact.REQUEST_ACTIVATED, actor, found.tenant, request_id=found.id)
    match found.request["action"]:
        case Action.LIFT:
            placements = await _lift(conn, hub, log, actor, found, plan)
        case Action.EXTEND:
            placements = await _extend(conn, log, actor, found, plan)
        case _:
            placements = list(plan.placements)
            _record_overlaps(log, hub, found, plan.overlaps)
    placed = await placing.place(conn, hub, log, actor, found, placements)
    if found.request["action"] in {Action.FREEZE, Action.PRESERVE}:
        await ending.start_request_clocks(conn, log, found)
    if plan.original is not None:
        await closing.close_if_done(conn, hub, log, plan.original)
    if not placements:
        await closing.close_if_done(conn, hub, log, found)
    return placed


async def _lift(
    conn: AsyncConnection, hub: Hub, log: Log, actor: Actor, found: Dossier, plan: Plan
) -> list[placing.Placement]:
    assert plan.original is not None
    orders = await dossier.orders_of(conn, plan.original.id)
    unexecuted = [order for order in orders if (order["state"], Event.WITHDRAW) in states.MOVES]
    await lifting.withdraw(conn, hub, log, actor, plan.original, unexecuted, lift=False)
    held = [
        order
        for order in orders
        if order["state"] in {OrderState.EXECUTED, OrderState.LAPSED}
        or (order in unexecuted and lifting.was_delivered(order))
    ]
    return await _about(conn, held, lift=True)


async def _extend(conn: AsyncConnection, log: Log, actor: Actor, found: Dossier, plan: Plan) -> list[placing.Placement]:
    assert plan.original is not None
    ends_at = found.request["ends_at"]
    orders = [order for order in await dossier.orders_of(conn, plan.original.id) if order["state"] in _HOLDING]
    ids = [order["id"] for order in orders]
    # The renewal counts from the second signature, however slow a participant is to confirm it.
    await conn.execute(sa.update(_ORDERS).where(_ORDERS.c.id.in_(ids)).values(ends_at=ends_at, changed_at=log.at))
    await conn.execute(sa.update(_REQUESTS).where(_REQUESTS.c.id == plan.original.id).values(ends_at=ends_at))
    await settling.cancel(conn, log.at, [*ids, plan.original.id], (Stage.END, Stage.END_WARNING))
    await timers.start(
        conn,
        [
            timers.Timer(
                tenant=found.tenant,
                subject_kind=SubjectKind.ORDER,
                subject_id=order["id"],
                chain=plan.original.chain,
                stage=Stage.END,
                started_at=log.at,
                due_at=ends_at,
                request_id=plan.original.id,
                participant_id=order["participant_id"],
                generation=await timers.next_generation(conn, order["id"], Stage.END),
            )
            for order in orders
        ],
    )
    log.record(
        plan.original.chain,
        Fact.REQUEST_EXTENDED,
        actor,
        found.tenant,
        request_id=plan.original.id,
        by_request_id=str(found.id),
        ends_at=ends_at.isoformat(),
    )
    return await _about(conn, orders, lift=False)


async def _about(conn: AsyncConnection, orders: Sequence[Row], *, lift: bool) -> list[placing.Placement]:
    sequences = await lifting.next_sequences(conn, [order["id"] for order in orders])
    if lift and orders:
        ids = [order["id"] for order in orders]
        await conn.execute(sa.update(_ORDERS).where(_ORDERS.c.id.in_(ids)).values(lift_ordered=True))
    return [
        placing.Placement(
            order["participant_id"], order["target_id"], original=order["id"], sequence=sequences[order["id"]]
        )
        for order in orders
    ]


async def _overlaps(
    conn: AsyncConnection, hub: Hub, found: Dossier, placements: Sequence[placing.Placement]
) -> list[Row]:
    holds: list[Row] = []
    for placement in placements:
        target = found.targets[placement.target_id]
        value = hub.vault.unseal("targets", target["id"], target["tenant"], target["value_sealed"])
        query = sa.select(_ORDERS.c.id, _ORDERS.c.request_id, _ORDERS.c.tenant, _ORDERS.c.participant_id).where(
            _ORDERS.c.participant_id == placement.participant_id,
            _ORDERS.c.subject_index == hub.vault.blind_index(placement.participant_id, target["kind"], value),
            _ORDERS.c.action == Action.FREEZE,
            _ORDERS.c.state.in_(_HOLDING),
            _ORDERS.c.request_id != found.id,
        )
        holds += [dict(row._mapping) for row in (await conn.execute(query)).all()]
    return holds


def _record_overlaps(log: Log, hub: Hub, found: Dossier, overlaps: Sequence[Row]) -> None:
    # Each agency learns that another hold exists at this participant, and nothing else about it.
    for hold in overlaps:
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


async def out_of_reach(conn: AsyncConnection, plan: Plan) -> list[str]:
    """Return the participants that this plan would address and that the hub cannot reach now."""
    wanted = {placement.participant_id for placement in plan.placements}
    return sorted(wanted - set(await reach.order_endpoints(conn, wanted)))


async def start_review(conn: AsyncConnection, log: Log, found: Dossier, within: timedelta) -> None:
    """Set the clock of an emergency hold's review: unreviewed in time, it is lifted by itself."""
    await timers.start(conn, [_of_request(log, found, Stage.REVIEW, within)])


async def start_approval(conn: AsyncConnection, log: Log, found: Dossier, within: timedelta) -> None:
    """Set the clocks of a request that waits for its second officer: a reminder, and its own end."""
    clocks = [_of_request(log, found, Stage.APPROVAL, within)]
    if found.request["ends_at"]:
        clocks.append(_of_request(log, found, Stage.END, found.request["ends_at"] - log.at))
    await timers.start(conn, clocks)


def _of_request(log: Log, found: Dossier, stage: Stage, within: timedelta) -> timers.Timer:
    return timers.Timer(
        tenant=found.tenant,
        subject_kind=SubjectKind.REQUEST,
        subject_id=found.id,
        chain=found.chain,
        stage=stage,
        started_at=log.at,
        due_at=log.at + within,
        request_id=found.id,
    )


async def mark_active(conn: AsyncConnection, log: Log, found: Dossier) -> None:
    """Write the request's row: active from this transaction on."""
    await conn.execute(
        sa.update(_REQUESTS).where(_REQUESTS.c.id == found.id).values(state=RequestState.ACTIVE, activated_at=log.at)
    )
