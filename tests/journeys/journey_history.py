"""What clients did under fire, kept append-only, and the checks that nothing of it was lost or doubled."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from journey_network import Network
from sqlmodel import SQLModel

from service import audit, clock, db
from service.db import Database
from service.models import ActionRequest, AuditEntry, Deadline, Dispatch, Escalation, IdempotencyKey, Order, QueueItem
from workflows.terms import DeadlineState, DispatchState, Fact, OrderState


@dataclass
class Asked:
    """One demand of one client: who must get it, and what the hub has said so far."""

    client: str
    body: Mapping[str, Any]
    recipients: tuple[str, ...]
    answers: list[str] = field(default_factory=list)


class History:
    """The clients' own record; every line is written before the next thing happens."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self.asked: dict[str, Asked] = {}
        self.kinds: Counter[str] = Counter()

    def invoke(self, key: str, asked: Asked) -> None:
        """A client is about to ask."""
        self.asked[key] = asked
        self._write("invoke", key, "")

    def ok(self, key: str, request_id: str) -> None:
        """The hub has acknowledged it."""
        self.asked[key].answers.append(request_id)
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


def unsettled(history: History, found: Found, silent: frozenset[str]) -> list[str]:
    """Return what still moves: orders without their final state, rungs that are yet to fire, things to be sent."""
    left = [f"queued: {found.queued}"] if found.queued else []
    for request_id in history.acknowledged.values():
        for order in found.orders.get(UUID(request_id), []):
            wanted = OrderState.DELIVERED if order["participant_id"] in silent else OrderState.EXECUTED
            if order["state"] is not wanted:
                left.append(f"order {order['id']} is {order['state']}")
    top = Counter(row["order_id"] for row in found.escalations if row["stage"] == "execute")
    for orders in found.orders.values():
        for order in orders:
            if order["participant_id"] in silent and top[order["id"]] < 3:
                left.append(f"order {order['id']}: {top[order['id']]} rungs")
    return left


def violations(history: History, found: Found, network: Network, silent: frozenset[str]) -> list[str]:
    """Return every broken promise; none is what the test wants."""
    return [
        *_requests(history, found),
        *_orders(history, found, silent),
        *_receivers(found, network),
        *_timers(found, silent),
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


def _orders(history: History, found: Found, silent: frozenset[str]) -> list[str]:
    wrong = unsettled(history, found, silent)
    for key, asked in history.asked.items():
        orders = found.orders.get(UUID(asked.answers[-1]), []) if asked.answers else []
        if sorted(order["participant_id"] for order in orders) != sorted(asked.recipients):
            wrong.append(f"{key}: orders for {[order['participant_id'] for order in orders]}, not {asked.recipients}")
        for order in orders:
            if order["state"] is OrderState.EXECUTED and order["amount_held"] != order["amount"]:
                wrong.append(f"order {order['id']}: {order['amount_held']} held of {order['amount']}")
    wrong += [f"dispatch {row['id']}: {row['state']}" for row in found.dispatches if row["state"] is DispatchState.DEAD]
    return wrong


def _receivers(found: Found, network: Network) -> list[str]:
    wrong = []
    placed = {str(order["id"]): order for orders in found.orders.values() for order in orders}
    received = Counter(data["order_id"] for data in network.told("received"))
    wrong += [f"order {one}: received as {received[one]} messages" for one in placed if received[one] != 1]
    wrong += [f"order {one}: received, and in no database" for one in received.keys() - placed.keys()]
    booked: Counter[str] = Counter()
    for sandbox in network.sandboxes.values():
        booked.update(sandbox.ledger.holds.keys() | sandbox.ledger.blocked.keys())
        for hold in sandbox.ledger.holds.values():
            if sandbox.ledger.held(hold.order.target) != hold.asked:
                wrong.append(f"account of order {hold.order.id}: {sandbox.ledger.held(hold.order.target)} held")
    executed = {one for one, order in placed.items() if order["state"] is OrderState.EXECUTED}
    wrong += [f"order {one}: executed, and booked {booked[one]} times" for one in executed if booked[one] != 1]
    wrong += [f"order {one}: booked, and not executed" for one in booked.keys() - executed]
    for kind in ("signature_refused", "malformed", "refused", "answer_failed", "out_of_order"):
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


def lateness(found: Found) -> float:
    """Return by how many seconds the latest firing was late (a hub that is down fires when it is back)."""
    late = [
        (row["settled_at"] - row["due_at"]).total_seconds()
        for row in found.deadlines
        if row["state"] is DeadlineState.MISSED
    ]
    return max(late, default=0.0)
