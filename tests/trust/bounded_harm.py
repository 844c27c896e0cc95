"""An agency's month and three attacks on it, and an oracle that knows without a database what must be held."""

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
import world as worlds
from builders import table
from hub.conftest import FastForward
from sqlalchemy.ext.asyncio import AsyncConnection
from world import AGENCY, World

from service import db
from service.audit import Log
from service.engine import baselines, dossier, holding
from service.models import ActionRequest, Approval, Officer, Target
from workflows.terms import RequestState

DAYS = 30
HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
MILLION, BILLION = 1_000_000, 1_000_000_000
MAKERS = tuple(f"maker-{at}" for at in range(8))
APPROVERS = tuple(f"approver-{at}" for at in range(4))
# Whose bound: how many requests, and how much money, within an hour (PROMISES P14, ADR 0021).
BOUNDS = {"officer": (20, 10 * BILLION), "agency": (100, 50 * BILLION), "pair": (20, 10 * BILLION)}
FLOOR = (5, BILLION)
# How busy an hour of the day in Vietnam is, against the busiest.
BUSY = (0.1,) * 7 + (0.5, 0.9, 1, 1, 0.8, 0.4, 0.7, 1, 1, 0.9, 0.6) + (0.3,) * 3 + (0.2,) * 3


@dataclass(frozen=True, slots=True)
class Asked:
    """One freeze: when it would become active, by whom of the two, and how much of whose money it holds."""

    at: datetime
    maker: str
    approver: str
    amount: int

    @property
    def subjects(self) -> tuple[tuple[str, str], ...]:
        """Whom it is counted for."""
        both = "+".join(sorted((self.maker, self.approver)))
        return ("officer", self.maker), ("agency", AGENCY), ("pair", both)


@dataclass
class Oracle:
    """Remembers everything in lists and says what must be held; it shares no code with the hub."""

    gone_out: list[Asked] = field(default_factory=list)
    confirmed: list[Asked] = field(default_factory=list)
    usual: dict[tuple[str, str], tuple[int, int, datetime]] = field(default_factory=dict)

    def holds(self, asked: Asked) -> bool:
        """Tell whether this one passes a bound of anybody."""
        for subject in asked.subjects:
            recent = [one for one in reversed(self.gone_out) if one.at > asked.at - HOUR and subject in one.subjects]
            count, amount = BOUNDS[subject[0]]
            if subject in self.usual:
                most, money, since = self.usual[subject]
                if asked.at - since >= WEEK:
                    count = min(count, max(FLOOR[0], 3 * most))
                    amount = min(amount, max(FLOOR[1], 3 * money))
            if len(recent) + 1 > count or sum(one.amount for one in recent) + asked.amount > amount:
                return True
        return False

    def note(self, asked: Asked, held: bool) -> None:
        """Remember what became of one: what was held was confirmed within the same quarter of an hour."""
        (self.confirmed if held else self.gone_out).append(asked)

    def learn(self, at: datetime) -> None:
        """Learn what is usual from the busy hours of the month before ``at``; its last day teaches nothing yet."""
        hours: dict[tuple[str, str], dict[datetime, list[int]]] = defaultdict(lambda: defaultdict(list))
        since: dict[tuple[str, str], datetime] = {}
        for one in (*self.gone_out, *self.confirmed):
            if not at - timedelta(days=DAYS) < one.at <= at - timedelta(days=1):
                continue
            for subject in one.subjects:
                hours[subject][one.at.replace(minute=0, second=0, microsecond=0)].append(one.amount)
                since[subject] = min(one.at, since.get(subject, one.at))
        self.usual = {
            subject: (_p99(map(len, busy.values())), _p99(map(sum, busy.values())), since[subject])
            for subject, busy in hours.items()
        }


def _p99(values: Iterable[int]) -> int:
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * 99 / 100) - 1]


class Month:
    """An agency at work: what its officers file is written as the hub writes it, and judged by the hub itself."""

    def __init__(self, world: World, fast_forward: FastForward, draw: random.Random) -> None:
        self.world = world
        self.forward = fast_forward
        self.draw = draw
        self.oracle = Oracle()
        self.wrong: list[str] = []
        self._request: Mapping[str, Any] = {}
        self._approval: Mapping[str, Any] = {}
        self._target: Mapping[str, Any] = {}
        self._dossier: dossier.Dossier

    async def settle_in(self) -> None:
        """Enrol the officers, and file the one request that all others are copies of; the month begins at midnight.

        A run at another hour of the day would meet another month from the same seed.
        """
        world = self.world
        async with world.hub.database.read() as conn:
            began = await db.now(conn)
        midnight = (began + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        await self.forward(seconds=(midnight - began).total_seconds())
        await world.settle_in()
        officers = table(Officer)
        [one] = await world.rows(Officer, id="approver")

        async def unit(conn: Any) -> None:
            rows = [
                {**one, "id": name, "number": name, "name_sealed": await worlds.name_of(conn, world.hub, name)}
                for name in (*MAKERS, *APPROVERS)
            ]
            await db.insert_rows(conn, officers, rows)

        await world.hub.writer.run(unit)
        for name in (*MAKERS, *APPROVERS):
            await world.give_key(name)
        filed = await world.submit(worlds.freeze())
        await world.approve(filed.id)
        [self._request] = await world.rows(ActionRequest, id=filed.id)
        [self._approval] = await world.rows(Approval, request_id=filed.id)
        [self._target] = await world.rows(Target, request_id=filed.id)
        async with world.hub.database.read() as conn:
            self._dossier = (await dossier.load(conn, [filed.id]))[filed.id]
        # It belongs to nobody's month.
        past = {"activated_at": self._request["activated_at"] - timedelta(days=60)}
        requests = table(ActionRequest)
        moved = sa.update(requests).where(requests.c.id == filed.id).values(**past)
        await world.hub.writer.run(lambda conn: conn.execute(moved))

    async def pass_by(self, requests: int) -> tuple[int, int]:
        """Let a month of about so many requests pass; return how many were filed and how many of them were held."""
        filed = held = 0
        for _ in range(DAYS):
            async with self.world.hub.database.read() as conn:
                today = await db.now(conn)
            await self.forward(days=1)
            for asked in self._day(today, requests / DAYS):
                filed += 1
                held += await self._file(asked)
            await baselines.learn(self.world.hub)
            self.oracle.learn(today + timedelta(days=1))
        return filed, held

    def _day(self, start: datetime, mean: float) -> Iterator[Asked]:
        """One day's freezes: by the hour of the day, some days twice as busy; amounts as losses are, many small."""
        mean *= 2 if self.draw.random() < 0.1 else 1
        for hour in range(24):
            share = BUSY[(start.hour + 7 + hour) % 24] / sum(BUSY)
            count = sum(self.draw.random() < mean * share / 50 for _ in range(50))
            minutes = sorted(self.draw.uniform(0, 60) for _ in range(count))
            for minute in minutes:
                # Two officers out of three are the same every day; amounts have their median at 80 million.
                maker = self.draw.choice(MAKERS[:4] * 2 + MAKERS)
                amount = min(int(self.draw.lognormvariate(math.log(80), 1.1) * MILLION) + 1, 5 * BILLION)
                yield Asked(start + timedelta(hours=hour, minutes=minute), maker, self.draw.choice(APPROVERS), amount)

    async def _file(self, asked: Asked) -> bool:
        expected = self.oracle.holds(asked)

        async def unit(conn: AsyncConnection) -> bool:
            passed = await self._judge(conn, asked)
            return bool(passed)

        held = await self.world.hub.writer.run(unit)
        if held is not expected:
            self.wrong.append(f"{asked}: held {held}, must be {expected}")
        self.oracle.note(asked, held)
        return held

    async def _judge(self, conn: AsyncConnection, asked: Asked) -> tuple[Any, ...]:
        request_id = uuid4()
        mine = {"officer_id": asked.maker, "amount": asked.amount, "submitted_at": asked.at, "activated_at": None}
        row = {**self._request, **mine, "id": request_id, "reference": request_id.hex[:20]}
        await db.insert_rows(conn, table(ActionRequest), [{**row, "state": RequestState.AWAITING_APPROVAL}])
        await db.insert_rows(conn, table(Target), [{**self._target, "id": uuid4(), "request_id": request_id}])
        approval = {"id": uuid4(), "request_id": request_id, "officer_id": asked.approver, "approved_at": asked.at}
        await db.insert_rows(conn, table(Approval), [{**self._approval, **approval}])
        log = await Log.open(conn, asked.at, [holding.chain(AGENCY)])
        passed = await holding.judge(conn, log, replace(self._dossier, request=row), asked.approver, ())
        requests = table(ActionRequest)
        # What is held in a benign month is released: two people heard that it was meant.
        now = {"activated_at": asked.at, "state": RequestState.ACTIVE, "held_at": asked.at if passed else None}
        await conn.execute(sa.update(requests).where(requests.c.id == request_id).values(**now))
        return passed


def burst(start: datetime, many: int) -> list[Asked]:
    """One officer's stolen key: as many small freezes as the line carries."""
    return [Asked(start + timedelta(seconds=2 * at), MAKERS[7], APPROVERS[at % 4], 90 * MILLION) for at in range(many)]


def spread(start: datetime, many: int) -> list[Asked]:
    """A system taken over: every officer of the agency files a little, so that none of them stands out."""
    return [
        Asked(start + timedelta(seconds=20 * at), MAKERS[at % 8], APPROVERS[at // 8 % 4], 50 * MILLION)
        for at in range(many)
    ]


def slow(start: datetime, many: int) -> list[Asked]:
    """Two who collude: a large amount every twelve minutes, for hours, and never many requests.

    Below what anybody may hold in an hour, so that the first goes out whatever the month was like; five of them are
    more than that.
    """
    return [Asked(start + timedelta(minutes=12 * at), MAKERS[0], APPROVERS[0], 950 * MILLION) for at in range(many)]
