"""What clients did under fire, kept append-only, and the checks that nothing of it was lost or doubled."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from journey_network import Network
from sqlmodel import SQLModel

from service import audit, clock, db
from service.db import Database
from service.models import ActionRequest, AuditEntry, Deadline, Dispatch, Escalation, IdempotencyKey, Order, QueueItem
from workflows.terms import Action, DeadlineState, DispatchState, Fact, OrderState, Stage

# The clocks of an order that start when it is placed.
_FIRST = frozenset({Stage.RECEIPT, Stage.ACKNOWLEDGE, Stage.EXECUTE})


@dataclass
class Asked:
    """One demand of one client: who must get it, and what the hub has said so far."""

    client: str
    body: Mapping[str, Any]
    # None where it depends on how far what is lifted has come.
    recipients: tuple[str, ...] | None
    answers: list[str] = field(default_factory=list)
    # The request that it lifts; and whether somebody lifts, or may lift, what it asks for.
    lifts: str | None = None
    is_lifted: bool = False
    may_be_lifted: bool = True
    # By the client's own clock.
    asked_at: datetime | None = None
    told_at: datetime | None = None


@dataclass(frozen=True)
class Nature:
    """What the receivers are like: who never answers, who refuses, and what they tell of as a part of the play."""

    silent: frozenset[str] = frozenset()
    refusing: frozenset[str] = frozenset()
    expected: frozenset[str] = frozenset()


class History:
    """The clients' own record; every line is written before the next thing happens."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self.asked: dict[str, Asked] = {}
        self.kinds: Counter[str] = Counter()

    def invoke(self, key: str, asked: Asked) -> None:
        """A client is about to ask."""
        self.asked[key] = asked
        asked.asked_at = clock.utc_now()
        self._write("invoke", key, "")

    def ok(self, key: str, request_id: str) -> None:
        """The hub has acknowledged it."""
        self.asked[key].answers.append(request_id)
        self.asked[key].told_at = clock.utc_now()
        self._write("ok", key, request_id)

    def fail(self, key: str, why: str) -> None:
        """The hub has said that it did not take it."""
        self._write("fail", key, why)

    def unknown(self, key: str, why: str) -> None:
        """There was no answer: it may have happened or not."""
        self._write("unknown", key, why)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def acknowledged(self) -> dict[str, str]:
        """The request that each key was acknowledged with."""
        return {key: asked.answers[-1] for key, asked in self.asked.items() if asked.answers}

    def _write(self, kind: str, key: str, what: str) -> None:
        self.kinds[f"{kind} {what}".strip() if kind in ("fail", "unknown") else kind] += 1
        self._file.write(json.dumps({"at": clock.monotonic(), "kind": kind, "key": key, "what": what}) + "\n")
        self._file.flush()


@dataclass(frozen=True)
class Found:
    """What the database holds at the end."""

    requests: dict[UUID, Mapping[str, Any]]
    keys: dict[str, Mapping[str, Any]]
    orders: dict[UUID, list[Mapping[str, Any]]]
    deadlines: Sequence[Mapping[str, Any]]
    escalations: Sequence[Mapping[str, Any]]
    dispatches: Sequence[Mapping[str, Any]]
    entries: Sequence[Mapping[str, Any]]
    queued: int
    findings: Sequence[Any] | None


async def read(database: Database, *, verify: bool = False) -> Found:
    """Read everything that the checks ask for; ``findings`` only with ``verify``, which takes its time."""
    async with database.read(db.HUB) as conn:

        async def rows(model: type[SQLModel]) -> list[Mapping[str, Any]]:
            return [dict(row._mapping) for row in (await conn.execute(sa.select(sa.inspect(model).local_table))).all()]

        orders: dict[UUID, list[Mapping[str, Any]]] = {}
        for order in await rows(Order):
            orders.setdefault(order["request_id"], []).append(order)
        return Found(
            requests={row["id"]: row for row in await rows(ActionRequest)},
            keys={row["key"]: row for row in await rows(IdempotencyKey)},
            orders=orders,
            deadlines=await rows(Deadline),
            escalations=await rows(Escalation),
            dispatches=await rows(Dispatch),
            entries=await rows(AuditEntry),
            queued=len(await rows(QueueItem)),
            findings=(await audit.verify(conn)).findings if verify else None,
        )


def failures(log: str) -> list[str]:
    """Return what a node failed to answer by a fault of its own: whatever is done to it, nobody is told 500."""
    return [f"answered 500: {line}" for line in log.splitlines() if '"event": "request.failed"' in line]


def unsettled(history: History, found: Found, nature: Nature) -> list[str]:
    """Return what still moves: orders without their final state, rungs that are yet to fire, things to be sent."""
    left = [f"queued: {found.queued}"] if found.queued else []
    for asked in history.asked.values():
        for order in found.orders.get(UUID(asked.answers[-1]), []) if asked.answers else []:
            if order["state"] not in _ends(asked, order["participant_id"], nature):
                left.append(f"order {order['id']} at {order['participant_id']} is {order['state']}")
    top = Counter(row["order_id"] for row in found.escalations if row["stage"] == "execute")
    for orders in found.orders.values():
        for order in orders:
            if order["participant_id"] in nature.silent and top[order["id"]] < 3:
                left.append(f"order {order['id']}: {top[order['id']]} rungs")
    return left


def _ends(asked: Asked, participant_id: str, nature: Nature) -> tuple[OrderState, ...]:
    """Return the states in which an order may end."""
    if asked.is_lifted:
        return OrderState.LIFTED, OrderState.WITHDRAWN
    if participant_id in nature.silent:
        return (OrderState.DELIVERED,)
    if participant_id in nature.refusing and asked.lifts is None:
        return (OrderState.REFUSED,)
    return (OrderState.EXECUTED,)


def violations(history: History, found: Found, network: Network, nature: Nature) -> list[str]:
    """Return every broken promise; none is what the test wants."""
    return [
        *_requests(history, found),
        *_orders(history, found, nature),
        *_receivers(found, network, nature),
        *_timers(found, nature.silent),
        *_clocks(history, found),
        *_audit(found),
    ]


def _audit(found: Found) -> list[str]:
    if found.findings is None:
        return ["audit: nobody has verified it"]
    return [f"audit: {finding}" for finding in found.findings]


def _requests(history: History, found: Found) -> list[str]:
    wrong = []
    for key, asked in history.asked.items():
        if not asked.answers:
            wrong.append(f"{key}: never acknowledged")
            continue
        if len(set(asked.answers)) > 1:
            wrong.append(f"{key}: two answers {asked.answers}")
        if UUID(asked.answers[-1]) not in found.requests:
            wrong.append(f"{key}: the acknowledged request {asked.answers[-1]} is lost")
        if key not in found.keys or found.keys[key]["answer"]["id"] != asked.answers[-1]:
            wrong.append(f"{key}: its idempotency row is lost or another one's")
    wrong += [f"{key}: nobody asked for this" for key in found.keys.keys() - history.asked.keys()]
    if len(found.requests) != len(found.keys):
        wrong.append(f"{len(found.requests)} requests of {len(found.keys)} keys")
    submitted = Counter(row["request_id"] for row in found.entries if row["code"] == Fact.REQUEST_SUBMITTED)
    wrong += [f"request {one}: {submitted[one]} facts of its filing" for one in found.requests if submitted[one] != 1]
    return wrong


def _orders(history: History, found: Found, nature: Nature) -> list[str]:
    wrong = unsettled(history, found, nature)
    for key, asked in history.asked.items():
        orders = found.orders.get(UUID(asked.answers[-1]), []) if asked.answers else []
        if asked.recipients is not None and sorted(order["participant_id"] for order in orders) != sorted(
            asked.recipients
        ):
            wrong.append(f"{key}: orders for {[order['participant_id'] for order in orders]}, not {asked.recipients}")
        for order in orders:
            if order["action"] is Action.FREEZE and (
                order["state"] is OrderState.EXECUTED and order["amount_held"] != order["amount"]
            ):
                wrong.append(f"order {order['id']}: {order['amount_held']} held of {order['amount']}")
    wrong += [f"dispatch {row['id']}: {row['state']}" for row in found.dispatches if row["state"] is DispatchState.DEAD]
    return wrong


def _receivers(found: Found, network: Network, nature: Nature) -> list[str]:
    wrong = []
    placed = {str(order["id"]): order for orders in found.orders.values() for order in orders}
    received = Counter((data["order_id"], str(data["action"])) for data in network.told("received"))
    for one, order in placed.items():
        times = received[one, str(order["action"])]
        # What was withdrawn before it arrived never needs to; what arrived all the same is lifted.
        if times != 1 and not (times == 0 and order["state"] is OrderState.WITHDRAWN):
            wrong.append(f"order {one}: received as {times} messages")
    wrong += [
        f"order {one}: {action} received as {times} messages" for (one, action), times in received.items() if times > 1
    ]
    wrong += [f"order {one}: received, and in no database" for one, _ in received if one not in placed]
    booked: Counter[str] = Counter()
    for sandbox in network.sandboxes.values():
        booked.update(sandbox.ledger.holds.keys() | sandbox.ledger.blocked.keys())
        for hold in sandbox.ledger.holds.values():
            if sandbox.ledger.held(hold.order.target) != hold.asked:
                wrong.append(f"account of order {hold.order.id}: {sandbox.ledger.held(hold.order.target)} held")
    executed = {
        one
        for one, order in placed.items()
        if order["state"] is OrderState.EXECUTED and order["action"] is not Action.LIFT
    }
    wrong += [f"order {one}: executed, and booked {booked[one]} times" for one in executed if booked[one] != 1]
    wrong += [f"order {one}: booked, and not executed" for one in booked.keys() - executed]
    for kind in {"signature_refused", "malformed", "refused", "answer_failed", "out_of_order"} - nature.expected:
        wrong += [f"a receiver tells {kind}: {data}" for data in network.told(kind)]
    notices = sum(row["kind"] == "notice" for row in found.dispatches)
    if len(network.told("notice")) != notices:
        wrong.append(f"{len(network.told('notice'))} notices received of {notices}")
    return wrong


def _timers(found: Found, silent: frozenset[str]) -> list[str]:
    wrong = []
    raised = Counter(row["deadline_id"] for row in found.escalations)
    told = Counter(row["deadline_id"] for row in found.entries if row["code"] == Fact.DEADLINE_MISSED)
    by_rung = Counter((row["order_id"], str(row["stage"]), row["rung"]) for row in found.escalations)
    wrong += [f"rung {one} fired {count} times" for one, count in by_rung.items() if count != 1]
    for row in found.deadlines:
        has_fired = row["state"] is DeadlineState.MISSED
        times = (raised if row["rung"] else told)[row["id"]]
        if times != int(has_fired):
            wrong.append(f"deadline {row['id']} ({row['stage']} {row['rung']}) is {row['state']}, fired {times} times")
        if has_fired and row["settled_at"] < row["due_at"]:
            wrong.append(f"deadline {row['id']} fired before it was due")
    for orders in found.orders.values():
        for order in orders:
            rungs = {rung for one, stage, rung in by_rung if one == order["id"] and stage == "execute"}
            if order["participant_id"] in silent and rungs != {1, 2, 3}:
                wrong.append(f"silent order {order['id']}: rungs {sorted(rungs)}")
    return wrong


def _clocks(history: History, found: Found) -> list[str]:
    """Of each order nobody touched, its clocks began between the question and the answer, by the client's own clock."""
    wrong = []
    spans = {UUID(asked.answers[-1]): asked for asked in history.asked.values() if asked.answers}
    for row in found.deadlines:
        asked = spans.get(row["request_id"])
        if asked is None or asked.is_lifted or asked.lifts or row["rung"] or row["stage"] not in _FIRST:
            continue
        assert asked.asked_at is not None and asked.told_at is not None
        if row["generation"] == 0 and not asked.asked_at <= row["started_at"] <= asked.told_at:
            wrong.append(
                f"deadline {row['id']} began at {row['started_at']}, asked {asked.asked_at}, told {asked.told_at}"
            )
    return wrong


def lateness(found: Found) -> float:
    """Return by how many seconds the latest firing was late (a hub that is down fires when it is back)."""
    late = [
        (row["settled_at"] - row["due_at"]).total_seconds()
        for row in found.deadlines
        if row["state"] is DeadlineState.MISSED
    ]
    return max(late, default=0.0)
