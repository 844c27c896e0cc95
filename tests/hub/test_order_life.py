"""Random walks through the life of requests and orders; after each step what must always hold is checked.

A walk is told by its seed alone: a failure names the seed, the number of the step and the steps that led there.
"""

import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import rigs
import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from rigs import FastForward, Rig
from steps import vnd
from world import World

from service import errors
from service.actions import resolve_task
from service.engine import settling
from service.engine.hub import Hub
from service.models import ActionRequest, Approval, Deadline, Dispatch, Escalation, Order, Task
from service.schemas.tasks import TaskResolution
from workflows import states
from workflows.terms import (
    Action,
    DeadlineState,
    Event,
    LegalBasis,
    OrderState,
    RefusalCode,
    RequestState,
    Stage,
    TaskKind,
)

SEEDS = range(8)
STEPS = 80
BANKS = ("970436", "Techcombank", "BIDV", "ACB")  # the last one is known and out of reach
ACCOUNTS = ("9990001112223", "9990001112224")
PAUSES = (30, 30, 130, 130, 330, 330, 700, 1_900, 3_700, 14_000, 50_000, 270_000)
OPEN = {OrderState.PLACED, OrderState.DELIVERED, OrderState.ACKNOWLEDGED}
OVER = {RequestState.CLOSED, RequestState.LAPSED, RequestState.WITHDRAWN, RequestState.REFUSED}
Row = dict[str, Any]


class Broken(AssertionError):
    """Something that must always hold did not."""


class Walk:
    """One walk: what it did, and the states that it left at the last check."""

    def __init__(self, world: World, rig: Rig, seed: int, fast_forward: FastForward) -> None:
        self.world, self.rig, self.forward = world, rig, fast_forward
        self.chance = random.Random(seed)
        self.seed = seed
        self.told: list[str] = []
        self.before: dict[Any, OrderState] = {}
        self.requests_before: dict[Any, RequestState] = {}
        self.said: list[tuple[Row, dict[str, Any]]] = []

    async def run(self) -> None:
        """Walk, then let everybody do what is asked of them, and see everything come to its end."""
        moves: list[tuple[int, Callable[[], Awaitable[str]]]] = [
            (5, self.file),
            (2, self.file_emergency),
            (4, self.approve),
            (1, self.withdraw),
            (18, self.answer),
            (2, self.repeat),
            (3, self.lift),
            (2, self.extend),
            (5, self.deliver),
            (6, self.wait),
            (1, self.resolve),
        ]
        weights = [weight for weight, _ in moves]
        for _ in range(STEPS):
            [(_, move)] = self.chance.choices(moves, weights)
            await self.step(move)
        await self.step(self.come_to_an_end)
        for row in await self.world.rows(ActionRequest):
            self.must(row["state"] in OVER, f"a request stays {row['state']} although everybody has answered")
        self.must(not await self.world.rows(Deadline, state="pending"), "a clock runs although all is over")

    async def step(self, move: Callable[[], Awaitable[str]]) -> None:
        """Make one move; a refusal is a move like another, a fault is not. Then check."""
        try:
            self.told.append(await move())
        except errors.HubError as refused:
            codes = [field.code for field in refused.fields] or [refused.code]
            self.must(refused.status < 500, f"{move.__name__} broke: {refused!r}")
            self.told.append(f"{move.__name__}: {', '.join(codes)}")
        except Exception as fault:
            self.told.append(f"{move.__name__}: {fault!r}")
            raise Broken(self.story("a fault")) from fault
        await self.check()

    def story(self, what: str) -> str:
        """What broke, and how it came to that."""
        lines = "\n".join(f"  {number}. {line}" for number, line in enumerate(self.told, 1))
        return f"{what}\nseed {self.seed}, step {len(self.told)} of {STEPS}:\n{lines}"

    def must(self, holds: bool, what: str) -> None:
        """Fail with the seed and the story unless it holds."""
        if not holds:
            raise Broken(self.story(what))

    async def file(self) -> str:
        hours = self.chance.choice((0.5, 20, 72, 72))
        ends_at = (await steps.now(self.world) + timedelta(hours=hours)).isoformat()
        filed = await self.world.submit(worlds.freeze(target=self.target(), ends_at=ends_at, **self.case()))
        if self.chance.random() < 0.7:
            await self.world.approve(filed.id)
        return f"freeze {filed.reference} for {hours} h"

    async def file_emergency(self) -> str:
        filed = await self.world.submit(steps.emergency(target=self.target(), **self.case()))
        return f"emergency {filed.reference}"

    async def approve(self) -> str:
        request = await self.some(ActionRequest, lambda row: row["state"] not in OVER or self.chance.random() < 0.1)
        if request is None:
            return "nothing to approve"
        officer = self.chance.choice(("approver", "approver", "maker", "junior"))
        verb = self.world.review if request["legal_basis"] is LegalBasis.EMERGENCY else self.world.approve
        await verb(request["id"], officer)
        return f"{verb.__name__} {request['reference']} by {officer}"

    async def withdraw(self) -> str:
        request = await self.some(ActionRequest, lambda row: row["state"] not in OVER or self.chance.random() < 0.1)
        if request is None:
            return "nothing to withdraw"
        await self.world.withdraw(request["id"])
        return f"withdraw {request['reference']}"

    async def answer(self) -> str:
        order = await self.some(Order, lambda row: row["state"] in OPEN or self.chance.random() < 0.1)
        if order is None:
            return "nothing to answer"
        body = self.a_body(order)
        taken = await self.world.answer(order, **body)
        self.said.append((order, body))
        return f"{order['participant_id']} on {order['action']} {order['state']}: {body} -> {taken.state}"

    async def repeat(self) -> str:
        if not self.said:
            return "nothing to repeat"
        order, body = self.chance.choice(self.said)
        await self.world.answer(order, **body)
        return f"{order['participant_id']} again: {body}"

    async def lift(self) -> str:
        request = await self.some(ActionRequest, lambda row: row["state"] not in OVER or self.chance.random() < 0.1)
        if request is None:
            return "nothing to lift"
        await self.world.submit(worlds.lift(request["id"], **self.case()))
        return f"lift {request['reference']}"

    async def extend(self) -> str:
        freezes = {*OPEN, OrderState.EXECUTED}
        order = await self.some(
            Order,
            lambda row: row["action"] is Action.FREEZE and (row["state"] in freezes or self.chance.random() < 0.1),
        )
        if order is None:
            return "nothing to extend"
        filed = await self.world.submit(steps.extend(order, days=self.chance.choice((1, 3, 40))))
        if self.chance.random() < 0.7:
            await self.world.approve(filed.id)
        return f"extend {order['state']} order of {order['participant_id']}"

    async def deliver(self) -> str:
        down = self.chance.choice([None, *worlds.MEMBERS[:3]])
        if down is not None:
            self.rig.speaker.fail(self.world.endpoints[down], rigs.refused())
        sent = await self.rig.round()
        for name in worlds.MEMBERS[:3]:
            self.rig.speaker.heal(self.world.endpoints[name])
        return f"deliver {sent}, {down} down"

    async def wait(self) -> str:
        seconds = self.chance.choice(PAUSES)
        await self.forward(seconds=seconds)
        await self.world.fire()
        await self.nothing_is_overdue()
        return f"wait {seconds} s"

    async def resolve(self) -> str:
        task = await self.some(Task, lambda row: row["resolved_at"] is None)
        if task is None:
            return "nothing to resolve"
        await self.done(task)
        return f"resolve {task['kind']}"

    async def done(self, task: Row) -> None:
        await resolve_task.resolve(self.world.hub, self.world.coordinator, task["id"], TaskResolution(note=None))

    async def come_to_an_end(self) -> str:
        """Time passes, and all who are asked for something do it."""
        for _ in range(4):
            await self.forward(days=12)
            await self.world.fire()
            await self.rig.round()
            for order in await self.world.rows(Order):
                if order["state"] in OPEN:
                    held = {"amount_held": vnd(order["amount"])} if order["action"] is Action.FREEZE else {}
                    await self.world.answer(order, outcome="executed", **held, reference="end")
                elif order["lift_ordered"]:
                    await self.world.answer(order, outcome="lifted", reference="end")
            for task in await self.world.rows(Task, resolved_at=None):
                await self.done(task)
        await self.forward(days=12)
        await self.world.fire()
        return "everybody does what is asked"

    def target(self) -> dict[str, str]:
        return {
            **worlds.freeze()["target"],
            "institution": self.chance.choice(BANKS),
            "value": self.chance.choice(ACCOUNTS),
        }

    def case(self) -> dict[str, str]:
        return {"case_number": self.chance.choice(("01/2026/CA", "02/2026/CA"))}

    def a_body(self, order: Row) -> dict[str, Any]:
        outcome = self.chance.choice(["received", *["executed"] * 5, "refused", "not_mine", "lifted"])
        body: dict[str, Any] = {"outcome": outcome}
        if outcome == "executed" and order["action"] is Action.FREEZE:
            body["amount_held"] = vnd(self.chance.choice((0, 60_000_000, order["amount"], order["amount"] + 1)))
        if outcome == "refused":
            codes = [code for code in RefusalCode if code is not RefusalCode.NOT_MINE]
            body["refusal_code"] = str(self.chance.choice(codes))
        if outcome == "not_mine" and self.chance.random() < 0.7:
            body["ported_to"] = self.chance.choice((*BANKS[1:], "Khong Co"))
        if self.chance.random() < 0.5:
            body["reference"] = f"CV-{self.chance.randrange(3)}"
        return body

    async def some(self, model: Any, fits: Callable[[Row], bool] = lambda _: True) -> Row | None:
        rows = [row for row in await self.world.rows(model) if fits(row)]
        return self.chance.choice(rows) if rows else None

    async def check(self) -> None:
        """Hold everything that must always be so against the rows."""
        requests = {row["id"]: row for row in await self.world.rows(ActionRequest)}
        orders = await self.world.rows(Order)
        tasks = await self.world.rows(Task)
        pending: dict[Any, list[Row]] = {}
        for clock in await self.world.rows(Deadline, state="pending"):
            pending.setdefault(clock["subject_id"], []).append(clock)
        for order in orders:
            self.check_order(order, requests[order["request_id"]], pending.get(order["id"], []))
        for request in requests.values():
            mine = [order for order in orders if order["request_id"] == request["id"]]
            self.check_request(request, mine, tasks, pending.get(request["id"], []))
        for task in tasks:
            waits = bool(pending.get(task["id"]))
            self.must(not (waits and task["resolved_at"]), "a task that is done is still called for")
        await self.check_signatures(requests)
        await self.check_ladder()
        findings = await steps.findings(self.world)
        self.must(not findings, f"audit verify: {findings}")
        self.before = {order["id"]: order["state"] for order in orders}
        self.requests_before = {request["id"]: request["state"] for request in requests.values()}

    def check_order(self, order: Row, request: Row, clocks: list[Row]) -> None:
        was, now = self.before.get(order["id"], OrderState.PLACED), order["state"]
        told = f"{order['action']} at {order['participant_id']}"
        self.must(now in _reachable(was), f"{told} went from {was} to {now}")
        asked, held = order["amount"], order["amount_held"]
        self.must(held is None or asked is None or 0 <= held <= asked, f"{told} holds {held} of {asked}")
        stages = {clock["stage"] for clock in clocks}
        if is_final(order):
            # What was executed too late is lifted after all, and somebody waits for the answer.
            late = set(settling.PARTICIPANT_STAGES) if order["lift_ordered"] and now in _GONE else set()
            self.must(stages <= late, f"{told} is {now} and still has {stages}")
        if now in OPEN and order["ends_at"] is not None:
            self.must(Stage.END in stages, f"{told} is {now} and nothing ends it")
        if now is OrderState.EXECUTED and order["action"] is Action.FREEZE:
            self.must(Stage.END in stages, f"{told} holds and nothing ends it")
        self.must(request["state"] is not RequestState.AWAITING_APPROVAL, f"{told} was placed before it was approved")

    def check_request(self, request: Row, orders: list[Row], tasks: list[Row], clocks: list[Row]) -> None:
        was, now = self.requests_before.get(request["id"]), request["state"]
        told = f"{request['action']} {request['reference']}"
        if was is not None and was is not now:
            ways = {after for (before, _), after in states.REQUEST_MOVES.items() if before is was}
            ways |= {RequestState.CLOSED} if RequestState.ACTIVE in ways else set()
            self.must(now in ways, f"{told} went from {was} to {now}")
        by_hand = any(
            task["request_id"] == request["id"]
            and task["kind"] is TaskKind.UNREACHABLE_PARTICIPANT
            and task["resolved_at"] is None
            for task in tasks
        )
        # An execution that comes after everything was closed is lifted without opening it again.
        final = all(is_final(order) or _came_late(order, request) for order in orders)
        if now is RequestState.ACTIVE:
            self.must(by_hand or not all(map(is_final, orders)), f"{told} is active and nothing is left to do")
        if now is RequestState.CLOSED:
            self.must(final, f"{told} is closed: {[str(order['state']) for order in orders]}")
        if now in OVER:
            self.must(not clocks, f"{told} is {now} and still has {[str(clock['stage']) for clock in clocks]}")

    async def check_signatures(self, requests: dict[Any, Row]) -> None:
        signed: dict[Any, set[str]] = {}
        for approval in await self.world.rows(Approval):
            signed.setdefault(approval["request_id"], {requests[approval["request_id"]]["officer_id"]}).add(
                approval["officer_id"]
            )
        for request in requests.values():
            if request["activated_at"] is not None and request["approvals_needed"] == 2:
                self.must(len(signed.get(request["id"], ())) == 2, f"{request['reference']} is active on one word")

    async def check_ladder(self) -> None:
        fired = {row["id"]: row for row in await self.world.rows(Deadline, state="missed") if row["rung"]}
        raised = [row["deadline_id"] for row in await self.world.rows(Escalation)]
        self.must(sorted(raised) == sorted(fired), "a rung fired twice, or without an escalation")
        for row in await self.world.rows(Escalation):
            self.must(row["raised_at"] >= row["due_at"], "a rung fired early")

    async def nothing_is_overdue(self) -> None:
        at: datetime = await steps.now(self.world)
        for clock in await self.world.rows(Deadline, state=DeadlineState.PENDING):
            # What came due while the test itself was looking is for the next time.
            self.must(clock["due_at"] > at - timedelta(seconds=5), f"{clock['stage']} was due and did not fire")
        for order in await self.world.rows(Order):
            over = order["ends_at"] is not None and order["ends_at"] < at - timedelta(seconds=5)
            holds = order["action"] is Action.FREEZE and order["state"] in {*OPEN, OrderState.EXECUTED}
            self.must(not (over and holds), f"a hold at {order['participant_id']} outlives its end")
            if order["state"] is OrderState.LAPSED and order["lift_ordered"]:
                sent = await self.world.rows(Dispatch, order_id=order["id"], message_type="vn.hoatoc.order.lift")
                by_request = await self.world.rows(Order, original_id=order["id"], action=Action.LIFT)
                self.must(bool(sent or by_request), "a hold ended and nobody was told")


_GONE = {OrderState.LAPSED, OrderState.WITHDRAWN}


def is_final(order: Row) -> bool:
    """Whether nothing more can come of an order."""
    out_there = order["delivered_at"] is not None or order["answered_at"] is not None or order["lift_ordered"]
    return states.is_final(order["state"], order["action"], out_there)


def _came_late(order: Row, request: Row) -> bool:
    late = order["state"] is OrderState.LAPSED and order["lift_ordered"]
    return bool(late and request["closed_at"] is not None and order["changed_at"] >= request["closed_at"])


def _reachable(state: OrderState) -> set[OrderState]:
    """The states that a step may lead to: one move, or two where it was sent, or answered, and ended in one go."""
    one = {state} | {states.MOVES[state, event] for event in Event if (state, event) in states.MOVES}
    return one | {states.MOVES[way, event] for way in one for event in Event if (way, event) in states.MOVES}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_happens_in_whatever_order_the_rules_hold(
    hub: Hub, fast_forward: FastForward, seed: int
) -> None:
    world = World(hub)
    await world.settle_in()
    powers = sa.update(table(worlds.Officer)).where(table(worlds.Officer).c.id == "maker")
    await hub.writer.run(lambda conn: conn.execute(powers.values(powers=["order", "emergency", "approve"])))
    rig = await Rig(hub).start()
    try:
        await Walk(world, rig, seed, fast_forward).run()
    finally:
        await rig.stop()
