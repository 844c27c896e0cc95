"""Ninety days of holds in virtual time: officers who file, prolong and forget, banks that answer, sleep or are down."""

import heapq
import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from hub.conftest import FastForward
from rigs import Rig, Speaker, refused
from world import World

from adapters.base import Endpoint, Message, Receipt, Transport
from service import clock, errors
from service.engine.hub import Hub
from service.models import Deadline, Order, QueueItem
from workflows.terms import Action, OrderState, Stage

DAYS = 90
# After the last hold was filed, all of them come to their end.
DRAIN = timedelta(days=35)
# The worker looks at once when something is due; the walk looks when half a minute of it has come together.
STEP = timedelta(seconds=30)
# What bears on no hold (a bank that is slow to answer, its ladder) is looked at in passing, or after so long.
PATIENCE = timedelta(hours=2)
ENDS = (Stage.END, Stage.REVIEW)
# What P13 allows for a lift to be on its way.
AT_ONCE = timedelta(seconds=60)
# The longest wait between two attempts, with its jitter and the walk's own step, for a bank that was down at its lift.
RETRY = timedelta(minutes=12) + AT_ONCE
BANKS = {"vietcombank": "970436", "techcombank": "970407", "bidv": "970418"}
HOLDING = (OrderState.PLACED, OrderState.DELIVERED, OrderState.ACKNOWLEDGED, OrderState.EXECUTED)
LIFT, FREEZE = "vn.hoatoc.order.lift", "vn.hoatoc.order.freeze"
Act = Callable[[], Awaitable[None]]


@dataclass
class Hold:
    """What two officers signed of one hold, as the walk knows it, and what became of it."""

    request_id: UUID
    order: dict[str, Any]
    signed_until: datetime
    may_last_until: datetime
    lifted_by_agency: bool = False
    ended_at: datetime | None = None
    lift_sent_at: datetime | None = None
    attempts: int = 0


class Banks(Speaker):
    """Takes what is sent to a bank unless that bank is down, and tells the walk what has arrived."""

    def __init__(self, days: "NinetyDays") -> None:
        super().__init__()
        self.days = days
        self.outages: dict[str, list[tuple[datetime, datetime]]] = {}

    def outage_at(self, bank: str, at: datetime) -> datetime | None:
        """Return when this bank was up again for good after the outage that it was in, or hardly out of, at an instant.

        Who is down anew before the next attempt was due is not up again: that attempt failed too.
        """
        up = None
        for since, until in sorted(self.outages.get(bank, [])):
            if since <= at < until + RETRY or (up is not None and at < since <= up + RETRY):
                up = max(until, up or until)
        return up

    async def send(self, message: Message, endpoint: Endpoint, transport: Transport) -> Receipt:
        now, bank = clock.utc_now(), message.body["participant_id"]
        hold = self.days.holds_by_order.get(message.subject)
        if message.type == LIFT and hold is not None:
            hold.attempts += 1
        if any(since <= now < until for since, until in self.outages.get(bank, [])):
            raise refused()
        self.days.arrived(message)
        return Receipt(202, 0.01, b"ok", "203.0.113.5:443")


@dataclass
class NinetyDays:
    """The walk: events in the order of their instants, the holds, and whatever was wrong."""

    world: World
    fast_forward: FastForward
    chance: random.Random
    events: list[tuple[datetime, int, Act]] = field(default_factory=list)
    holds: dict[UUID, Hold] = field(default_factory=dict)
    holds_by_order: dict[str, Hold] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ids = itertools.count()
        self.banks = Banks(self)
        self.rig = Rig(self.world.hub, self.banks)

    @property
    def hub(self) -> Hub:
        """The hub under test."""
        return self.world.hub

    async def run(self, freezes: int) -> None:
        """File so many freezes in ninety days, and go on until each has come to its end."""
        began = clock.utc_now()
        over = began + timedelta(days=DAYS) + DRAIN
        for _ in range(freezes):
            self.at(began + timedelta(days=DAYS) * self.chance.random(), self.file)
        await self.rig.start()
        try:
            seen = await self.work()
            while clock.utc_now() < over and await self.step(*seen):
                seen = await self.work()
        finally:
            await self.rig.stop()

    def at(self, instant: datetime, act: Act) -> None:
        """Let something happen at an instant."""
        heapq.heappush(self.events, (instant, next(self.ids), act))

    def later(self, low: float, high: float, act: Act) -> None:
        """Let something happen in so many minutes."""
        self.at(clock.utc_now() + timedelta(minutes=self.chance.uniform(low, high)), act)

    async def look(self) -> tuple[datetime | None, datetime | None, datetime | None]:
        """Check the holds; return when the next end of one, the next other clock and the next dispatch are due."""
        clocks, queue = table(Deadline).c, table(QueueItem).c
        waits = sa.select(sa.func.min(clocks.due_at)).where(clocks.state == "pending")
        due = sa.select(
            waits.where(clocks.stage.in_(ENDS)).scalar_subquery(),
            waits.where(clocks.stage.not_in(ENDS)).scalar_subquery(),
            sa.select(sa.func.min(queue.run_at)).scalar_subquery(),
        )
        now, orders = clock.utc_now(), table(Order).c
        concerned = sa.or_(orders.state.in_(HOLDING), orders.changed_at > now - 4 * STEP)
        holds = sa.select(orders.request_id, orders.state, orders.ends_at).where(
            orders.action == Action.FREEZE, concerned
        )
        async with self.hub.database.read() as conn:
            ends, others, dispatches = (await conn.execute(due)).one()
            rows = (await conn.execute(holds)).all()
        self.check(now, rows)
        return ends, others, dispatches

    async def step(self, ends: datetime | None, others: datetime | None, dispatches: datetime | None) -> bool:
        """Go to the next instant at which anything is due and let it happen; tell whether there was one."""
        patient = others + PATIENCE if others else None
        instants = [at for at in (ends, patient, dispatches, *(event[0] for event in self.events[:1])) if at]
        if not instants:
            return False
        await self.fast_forward(seconds=max((min(instants) - clock.utc_now()).total_seconds(), STEP.total_seconds()))
        while self.events and self.events[0][0] <= clock.utc_now():
            _, _, act = heapq.heappop(self.events)
            try:
                await act()
            except errors.HubError as error:
                self.refused[error.code] = self.refused.get(error.code, 0) + 1
        return True

    async def work(self) -> tuple[datetime | None, datetime | None, datetime | None]:
        """Do what a worker does: fire what is due, send what is due. Return what is due next."""
        now, seen = clock.utc_now(), await self.look()
        if any(at and at <= now for at in seen[:2]):
            await self.world.fire()
            seen = await self.look()
        while seen[2] and seen[2] <= now:
            if self.hub.database.dialect == "postgresql":
                # Days go by between two looks: without this the node would look dead.
                await self.rig.node.beat()
            if not await self.rig.round():
                break
            seen = await self.look()
        return seen

    def check(self, now: datetime, rows: Sequence[Any]) -> None:
        """Nothing holds beyond what two have signed; what has just ended is noted with its instant."""
        for row in rows:
            hold = self.holds[row.request_id]
            # An instant that came while the walk was looking is for the next look.
            over = row.state in HOLDING and now > hold.may_last_until + 2 * STEP
            if over or row.ends_at > hold.signed_until:
                self.wrong.append(f"{row.request_id} holds at {now} and may until {hold.may_last_until}")
            if row.state in (OrderState.LAPSED, OrderState.LIFTED) and hold.ended_at is None:
                hold.ended_at = now

    # What officers do.

    async def file(self) -> None:
        bank = self.chance.choice(list(BANKS.values()))
        # Few accounts: most holds overlap another one.
        target = {**worlds.freeze()["target"], "institution": bank, "value": f"999000{self.chance.randrange(5)}"}
        hours = self.chance.choice((1, 6, 24, 72, 72, 240, 700))
        body = worlds.freeze(target=target, case_number=f"{self.chance.randrange(40) + 1}/2026/CA")
        alone = self.chance.random() < 0.2
        if alone:
            body |= {"legal_basis": "emergency"}
        else:
            body |= {"ends_at": (await steps.now(self.world) + timedelta(hours=hours)).isoformat()}
        try:
            filed = await self.world.submit(body)
        except errors.Forbidden as third:
            # Nobody has looked at the last two emergency holds: he asks a second officer at once.
            assert third.code == "authority.emergency_in_a_row"
            alone = False
            filed = await self.world.submit(body | {"legal_basis": "decree_52_11"})
        if not alone:
            await self.world.approve(filed.id)
        [order] = await self.world.orders(filed.id)
        assert filed.ends_at is not None
        hold = Hold(filed.id, order, filed.ends_at, filed.review_by or filed.ends_at)
        self.holds[filed.id] = self.holds_by_order[str(order["id"])] = hold
        if alone and self.chance.random() < 0.5:
            self.later(1, 100, lambda: self.review(hold))
        elif not alone:
            self._plan(hold)
        if self.chance.random() < 0.08:
            self.at(hold.may_last_until - timedelta(minutes=self.chance.uniform(0, 4)), lambda: self.outage(order))

    def _plan(self, hold: Hold) -> None:
        ends_at, chance = hold.order["ends_at"], self.chance.random()
        before = ends_at - timedelta(minutes=self.chance.uniform(2, 50))
        if chance < 0.2:
            self.at(before, lambda: self.prolong(hold, by_two=True))
        elif chance < 0.3:
            self.at(before, lambda: self.prolong(hold, by_two=False))
        elif chance < 0.4:
            self.at(before, lambda: self.prolong_too_late(hold))
        elif chance < 0.5:
            self.at(before, lambda: self.lift(hold))

    async def review(self, hold: Hold) -> None:
        await self.world.review(hold.request_id)
        hold.may_last_until = hold.signed_until

    async def prolong(self, hold: Hold, *, by_two: bool) -> None:
        filed = await self.world.submit(steps.extend(hold.order, days=self.chance.choice((1, 3, 7))))
        if by_two:
            await self.world.approve(filed.id)
            assert filed.ends_at is not None
            hold.may_last_until = hold.signed_until = filed.ends_at

    async def prolong_too_late(self, hold: Hold) -> None:
        filed = await self.world.submit(steps.extend(hold.order, days=7))
        self.at(hold.order["ends_at"] + timedelta(seconds=self.chance.uniform(0, 90)), lambda: self.too_late(filed.id))

    async def too_late(self, request_id: UUID) -> None:
        await self.world.approve(request_id)
        self.wrong.append(f"{request_id} prolonged a hold that was over")

    async def lift(self, hold: Hold) -> None:
        await self.world.submit(worlds.lift(hold.request_id))
        hold.lifted_by_agency = True

    async def outage(self, order: dict[str, Any]) -> None:
        now = clock.utc_now()
        outage = (now, now + timedelta(minutes=self.chance.uniform(5, 40)))
        self.banks.outages.setdefault(order["participant_id"], []).append(outage)

    # What banks do.

    def arrived(self, message: Message) -> None:
        """Note what a bank has got, and let it answer in its own time; some say nothing for hours."""
        hold = self.holds_by_order.get(message.subject)
        if not message.type.startswith("vn.hoatoc.order."):
            return
        order_id = UUID(message.body["order_id"])
        if message.type == LIFT and hold is not None:
            hold.lift_sent_at = hold.lift_sent_at or clock.utc_now()
            slow = self.chance.random() < 0.1
            self.later(*((60, 300) if slow else (0.1, 4)), lambda: self.answer(order_id, outcome="lifted"))
        elif message.type != FREEZE:
            self.later(0.1, 4, lambda: self.answer(order_id, outcome="executed"))
        elif (chance := self.chance.random()) < 0.8:
            held = steps.vnd(self.chance.choice((steps.ASKED, 1_000_000)))
            self.later(0.1, 6, lambda: self.answer(order_id, outcome="executed", amount_held=held))
        elif chance < 0.9:
            self.later(0.1, 6, lambda: self.answer(order_id, outcome="refused", refusal_code="target_closed"))
        elif chance < 0.93:
            self.later(0.1, 6, lambda: self.answer(order_id, outcome="received"))

    async def answer(self, order_id: UUID, **body: Any) -> None:
        [order] = await self.world.rows(Order, id=order_id)
        await self.world.answer(order, **body)
