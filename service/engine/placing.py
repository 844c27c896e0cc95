"""What the transaction that makes a request active writes: one order per participant and target, clocks, dispatches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock
from service.audit import Log
from service.engine import messages, order_keys, outbox, reach, tasks, timers
from service.engine.dossier import Dossier
from service.engine.hub import Hub
from service.inserting import Rows
from service.models import Order, table_of
from workflows import deadlines, policy, retry, states
from workflows.terms import (
    Action,
    Actor,
    DispatchKind,
    Fact,
    OrderState,
    Stage,
    SubjectKind,
    TaskKind,
)

_ORDERS = table_of(Order)


@dataclass(frozen=True, slots=True)
class Placement:
    """One order to place: at which participant, about which target, by which action.

    ``original`` is the order that a lift or an extension is about; ``rerouted_from`` the one answered "not mine".
    """

    participant_id: str
    target_id: UUID
    original: UUID | None = None
    rerouted_from: UUID | None = None
    sequence: int = 1
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """What was placed, and which participants the hub cannot reach, with the tasks opened for them."""

    orders: dict[UUID, Placement]
    unreachable: dict[str, UUID]


async def place(
    conn: AsyncConnection, hub: Hub, log: Log, actor: Actor, dossier: Dossier, placements: Sequence[Placement]
) -> Placed:
    """Place the orders of an active request, all or nothing, by one statement on PostgreSQL.

    A participant that has no endpoint for orders, or has not joined, gets no order but a task for the coordinator.
    """
    at = log.at
    endpoints = await reach.order_endpoints(conn, {placement.participant_id for placement in placements})
    reachable = [placement for placement in placements if placement.participant_id in endpoints]
    rules = dossier.policy
    orders: list[dict[str, Any]] = []
    clocks: list[timers.Timer] = []
    outgoing: list[outbox.Outgoing] = []
    placed: dict[UUID, Placement] = {}
    for placement in reachable:
        order_id = clock.new_id()
        endpoint = endpoints[placement.participant_id]
        limits = [(limit.stage, deadlines.due(limit, at)) for limit in _limits(dossier, placement, endpoint, rules)]
        placed[order_id] = placement
        orders.append(_order_row(hub, dossier, placement, order_id, limits, at))
        clocks += _order_clocks(dossier, placement, order_id, limits, at)
        outgoing.append(_outgoing(hub, dossier, placement, order_id, endpoint, limits, at))
        log.record(
            dossier.chain,
            Fact.ORDER_PLACED,
            actor,
            dossier.tenant,
            request_id=dossier.id,
            order_id=str(order_id),
            participant_id=placement.participant_id,
            target=dossier.targets[placement.target_id]["position"],
            action=str(dossier.request["action"]),
            amount=_text(dossier.request["amount"]),
            rerouted_from_id=str(placement.rerouted_from) if placement.rerouted_from else None,
            original_order_id=str(placement.original) if placement.original else None,
        )
    await outbox.enqueue(conn, hub.vault, at, outgoing, Rows(_ORDERS, orders), timers.rows(clocks))
    missing = sorted({placement.participant_id for placement in placements} - set(endpoints))
    return Placed(placed, await _ask_for_another_way(conn, log, hub.actor, dossier, missing))


async def _ask_for_another_way(
    conn: AsyncConnection, log: Log, actor: Actor, dossier: Dossier, missing: Iterable[str]
) -> dict[str, UUID]:
    names = list(missing)
    opened = await tasks.open_tasks(
        conn,
        log,
        actor,
        log.at,
        [
            tasks.NewTask(
                tenant=dossier.tenant,
                kind=TaskKind.UNREACHABLE_PARTICIPANT,
                chain=dossier.chain,
                participant_id=name,
                request_id=dossier.id,
                within=tasks.within(dossier.policy),
                data={"action": str(dossier.request["action"])},
            )
            for name in names
        ],
    )
    return dict(zip(names, opened, strict=True))


def _limits(
    dossier: Dossier, placement: Placement, endpoint: reach.EndpointRow, rules: policy.Policy
) -> tuple[deadlines.Limit, ...]:
    target = dossier.targets[placement.target_id]
    return deadlines.limits_for(
        dossier.request["action"],
        target["kind"],
        endpoint.sector,
        measure=dossier.request["measure"],
        urgency=dossier.request["urgency"],
        intimate=target["intimate"],
        participant_id=placement.participant_id,
        legal_basis=dossier.request["legal_basis"],
        overrides=rules.limit_overrides,
    )


def _order_row(
    hub: Hub,
    dossier: Dossier,
    placement: Placement,
    order_id: UUID,
    limits: Iterable[tuple[Stage, datetime]],
    at: datetime,
) -> dict[str, Any]:
    owed = [due_at for stage, due_at in limits if states.is_owed(stage, OrderState.PLACED, is_to_let_go=False)]
    target = dossier.targets[placement.target_id]
    value = hub.vault.unseal(dossier.keys, "targets", target["id"], target["tenant"], target["value_sealed"])
    return {
        "id": order_id,
        "tenant": dossier.tenant,
        "participant_id": placement.participant_id,
        "request_id": dossier.id,
        "target_id": placement.target_id,
        "action": dossier.request["action"],
        "state": OrderState.PLACED,
        "sequence": placement.sequence,
        "subject_index": hub.vault.blind_index(placement.participant_id, target["kind"], value),
        "amount": dossier.request["amount"],
        "ends_at": dossier.request["ends_at"],
        "original_id": placement.original,
        "rerouted_from_id": placement.rerouted_from,
        "lift_ordered": False,
        "placed_at": at,
        "changed_at": at,
        "due_at": min(owed, default=None),
        "tight_at": min((deadlines.tight(at, each) for each in owed), default=None),
    }


def _order_clocks(
    dossier: Dossier,
    placement: Placement,
    order_id: UUID,
    limits: Iterable[tuple[Stage, datetime]],
    at: datetime,
) -> list[timers.Timer]:
    def timer(stage: Stage, due_at: datetime) -> timers.Timer:
        return timers.Timer(
            tenant=dossier.tenant,
            subject_kind=SubjectKind.ORDER,
            subject_id=order_id,
            chain=dossier.chain,
            stage=stage,
            started_at=at,
            due_at=due_at,
            request_id=dossier.id,
            participant_id=placement.participant_id,
        )

    clocks = [timer(stage, due_at) for stage, due_at in limits]
    # That of an extension keeps it from asking for longer than what it would have prolonged.
    if dossier.request["ends_at"]:
        clocks.append(timer(Stage.END, dossier.request["ends_at"]))
    return clocks


def _outgoing(
    hub: Hub,
    dossier: Dossier,
    placement: Placement,
    order_id: UUID,
    endpoint: reach.EndpointRow,
    limits: Sequence[tuple[Stage, datetime]],
    at: datetime,
) -> outbox.Outgoing:
    request = dossier.request
    target = dossier.targets[placement.target_id]
    action: Action = request["action"]
    body = messages.order_body(
        hub.vault,
        dossier.keys,
        request=request,
        case_number=dossier.case_number,
        agency=dossier.agency,
        officer=dossier.officer,
        second_officer=dossier.second_officer,
        target=target,
        order_id=order_id,
        participant_id=placement.participant_id,
        action=action,
        sequence=placement.sequence,
        amount=request["amount"],
        whole_account=request["whole_account"],
        ends_at=request["ends_at"],
        deadlines=limits,
        drill=hub.settings.drill,
        lifts=placement.original if action is Action.LIFT else None,
        lifts_action=dossier.hold_action if action is Action.LIFT else None,
        extends=placement.original if action is Action.EXTEND else None,
        reason=placement.reason,
    )
    return outbox.Outgoing(
        tenant=dossier.tenant,
        participant_id=placement.participant_id,
        kind=DispatchKind.ORDER,
        endpoint_id=endpoint.id,
        channel=endpoint.channel,
        message_type=messages.order_type(action),
        subject=str(order_id),
        sequence=placement.sequence,
        body=body,
        signature=order_keys.sign(hub, str(order_id), body, at),
        request_id=dossier.id,
        key=dossier.keys.get(dossier.id),
        order_id=order_id,
        urgent=retry.is_urgent(action, request["urgency"]),
        order_key=reach.order_key(dossier.hold_case_id, target["value_index"], endpoint.id),
        deadline_at=max((due for _, due in limits), default=None),
    )


def _text(amount: int | None) -> str | None:
    return None if amount is None else str(amount)
