"""What makes a request active: who must get an order, and the orders, withdrawals and clocks that follow from it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit
from service.audit import Log
from service.engine import (
    closing,
    dossier,
    ending,
    extensions,
    lifting,
    outbox,
    overlaps,
    placing,
    reach,
    settling,
    tasks,
    timers,
)
from service.engine.dossier import Dossier, Row
from service.engine.hub import Hub
from service.models import ActionRequest, Order, table_of
from service.queries.registry import Known
from workflows import extend, lift, routing, states, working_hours
from workflows.terms import Action, Actor, Event, Fact, RequestState, Stage, SubjectKind, TaskKind

_REQUESTS = table_of(ActionRequest)
_ORDERS = table_of(Order)


class Unroutable(Exception):
    """Nobody in the directory can act on a target: at which ``position`` of the request it is, and why."""

    def __init__(self, position: int, why: routing.UnknownInstitution) -> None:
        super().__init__(str(why))
        self.position = position
        self.why = why


class HoldIsOver(Exception):
    """What was to be extended does not stand any more, or stands longer already."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What activation will touch, as it looks before the locks.

    A lift or an extension has an ``original``, anything else placements and the holds that it overlaps.
    ``recipients`` are the participants concerned; ``chains`` are all the audit chains to lock before anything is
    changed.
    """

    placements: tuple[placing.Placement, ...]
    original: Dossier | None
    overlaps: tuple[Row, ...]
    recipients: frozenset[str]
    chains: frozenset[str]


async def prepare(conn: AsyncConnection, hub: Hub, known: Known, found: Dossier) -> Plan:
    """Route the targets; raise ``Unroutable`` for one that nobody in the directory can act on."""
    original_id = found.request["original_id"]
    if original_id:
        loaded = await dossier.load(conn, {original_id, *await extensions.under_way(conn, original_id)})
        original = loaded.pop(original_id)
        goes_to = _stands if found.request["action"] is Action.EXTEND else _is_lifted
        standing = {order["participant_id"] for order in await dossier.orders_of(conn, original_id) if goes_to(order)}
        chains = {found.chain, original.chain, *(extension.chain for extension in loaded.values())}
        return Plan((), original, (), frozenset(standing), frozenset(chains))
    placements = tuple(
        placing.Placement(recipient, target_id)
        for target_id, recipients in route(hub, known, found).items()
        for recipient in recipients
    )
    holds = await overlaps.find(conn, hub, found, placements)
    chains = {found.chain, *(audit.request_chain(order["request_id"]) for order in holds)}
    recipients = {placement.participant_id for placement in placements}
    return Plan(placements, None, holds, frozenset(recipients), frozenset(chains))


def _stands(order: Row) -> bool:
    return extend.reaches(order["state"], lift_ordered=order["lift_ordered"])


def _is_lifted(order: Row) -> bool:
    return lift.reaches(order["state"], was_delivered=lifting.was_delivered(order))


async def check_standing(conn: AsyncConnection, original: Dossier) -> None:
    """Raise ``HoldIsOver`` unless a participant still holds, or is still asked to hold, what an extension is about."""
    state = original.request["state"]
    if state is not RequestState.ACTIVE or not any(map(_stands, await dossier.orders_of(conn, original.id))):
        raise HoldIsOver


def route(hub: Hub, known: Known, found: Dossier) -> dict[UUID, tuple[str, ...]]:
    """Return the recipients of each target, by the directory as it is today in Vietnam."""
    today = found.request["submitted_at"].astimezone(working_hours.VIETNAM).date()
    routes: dict[UUID, tuple[str, ...]] = {}
    for target_id, target in found.targets.items():
        value = hub.vault.unseal(found.keys, "targets", target_id, target["tenant"], target["value_sealed"])
        wanted = routing.RoutingTarget(target["kind"], value, target["institution"], target["platform"])
        try:
            reached = routing.route(wanted, known.directory, today, found.request["measure"], found.request["action"])
        except routing.UnknownInstitution as unknown:
            raise Unroutable(target["position"], unknown) from None
        routes[target_id] = tuple(recipient.participant_id for recipient in reached.participants)
    return routes


async def activate(
    conn: AsyncConnection, hub: Hub, log: Log, actor: Actor, found: Dossier, plan: Plan
) -> placing.Placed:
    """Place what the request demands; its row must already say ``active``, its chains must be locked by ``log``.

    Raises ``HoldIsOver`` for an extension that comes too late.
    """
    by_hand: dict[str, UUID] = {}
    log.record(found.chain, Fact.REQUEST_ACTIVATED, actor, found.tenant, request_id=found.id)
    match found.request["action"]:
        case Action.LIFT:
            placements = await _lift(conn, hub, log, actor, found, plan)
            by_hand = await _lift_by_hand(conn, hub, log, found, plan)
        case Action.EXTEND:
            placements = await _extend(conn, log, actor, found, plan)
        case _:
            placements = list(plan.placements)
            overlaps.record(log, hub, found, plan.overlaps)
    placed = await placing.place(conn, hub, log, actor, found, placements)
    if found.request["action"] in {Action.FREEZE, Action.PRESERVE}:
        await ending.start_request_clocks(conn, log, found)
    if plan.original is not None:
        await closing.close_if_done(conn, hub, log, plan.original)
    if not placements:
        await closing.close_if_done(conn, hub, log, found)
    return placing.Placed(placed.orders, {**by_hand, **placed.unreachable})


async def _lift(
    conn: AsyncConnection, hub: Hub, log: Log, actor: Actor, found: Dossier, plan: Plan
) -> list[placing.Placement]:
    assert plan.original is not None
    orders = await dossier.orders_of(conn, plan.original.id)
    unexecuted = [order for order in orders if _is_open(order)]
    reached = await lifting.withdraw(conn, log, actor, plan.original, unexecuted)
    concerned = await extensions.lock(conn, log, plan.original.id)
    await extensions.take_back(conn, hub, log, actor, concerned, {order["id"] for order in orders})
    # What is just being sent may arrive.
    held = [order for order in orders if _is_lifted(order) or order in reached]
    await outbox.cancel_over(conn, log.at, [order["id"] for order in held])
    return await _about(conn, log, held, lift=True)


async def _lift_by_hand(conn: AsyncConnection, hub: Hub, log: Log, found: Dossier, plan: Plan) -> dict[str, UUID]:
    """Ask for a call to each participant that the original could only reach by hand: it may hold, without an order."""
    assert plan.original is not None
    names = await tasks.moot(conn, log, hub.actor, plan.original.id, plan.original.chain)
    new = [
        tasks.NewTask(
            tenant=found.tenant,
            kind=TaskKind.UNREACHABLE_PARTICIPANT,
            chain=found.chain,
            participant_id=name,
            request_id=found.id,
            within=tasks.within(found.policy),
            data={"action": str(Action.LIFT)},
        )
        for name in names
    ]
    return dict(zip(names, await tasks.open_tasks(conn, log, hub.actor, log.at, new), strict=True))


def _is_open(order: Row) -> bool:
    return (order["state"], Event.WITHDRAW) in states.MOVES


async def _extend(conn: AsyncConnection, log: Log, actor: Actor, found: Dossier, plan: Plan) -> list[placing.Placement]:
    assert plan.original is not None
    ends_at = found.request["ends_at"]
    # Read again under the lock: the hold may have ended, or been extended by another request.
    original = (await dossier.load(conn, [plan.original.id]))[plan.original.id]
    await check_standing(conn, original)
    if not original.request["ends_at"] or not log.at < original.request["ends_at"] < ends_at:
        raise HoldIsOver
    orders = [order for order in await dossier.orders_of(conn, plan.original.id) if _stands(order)]
    ids = [order["id"] for order in orders]
    generations = await timers.next_generations(conn, ids, [Stage.END])
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
                generation=generations[order["id"], Stage.END],
            )
            for order in orders
        ],
    )
    await ending.start_request_clocks(conn, log, replace(original, request={**original.request, "ends_at": ends_at}))
    log.record(
        plan.original.chain,
        Fact.REQUEST_EXTENDED,
        actor,
        found.tenant,
        request_id=plan.original.id,
        by_request_id=str(found.id),
        ends_at=ends_at,
    )
    return await _about(conn, log, orders, lift=False)


async def _about(conn: AsyncConnection, log: Log, orders: Sequence[Row], *, lift: bool) -> list[placing.Placement]:
    sequences = await lifting.next_sequences(conn, [order["id"] for order in orders])
    if lift and orders:
        ids = [order["id"] for order in orders]
        ordered = sa.update(_ORDERS).where(_ORDERS.c.id.in_(ids))
        await conn.execute(ordered.values(lift_ordered=True, changed_at=log.at))
    return [
        placing.Placement(
            order["participant_id"], order["target_id"], original=order["id"], sequence=sequences[order["id"]]
        )
        for order in orders
    ]


async def out_of_reach(conn: AsyncConnection, plan: Plan) -> list[str]:
    """Return the participants that this plan would address and that the hub cannot reach now."""
    return sorted(plan.recipients - set(await reach.order_endpoints(conn, plan.recipients)))


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
