"""T-4EYES: a seeded walk of attacks on requests that wait for their second officer; none may ever make one active."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import trust_sizes
import world as worlds
from builders import make_hub, table
from four_eyes_attacks import HOPELESS, Attacks
from hub.conftest import FastForward
from world import World

from service.engine.hub import Hub
from service.models import ActionRequest, Approval, Order
from service.security import signatures
from service.security.signatures import Kind
from workflows.terms import RequestState

# How many attempts each database sees; the transactions of several nodes race on PostgreSQL only.
ATTEMPTS = {"sqlite": (200, 2_000), "postgresql": (60, 600)}
WAITING = 6


class Walk:
    """The walk: requests that wait in pairs of twins, those that two made active, and each attack that succeeded."""

    def __init__(self, attacks: Attacks, fast_forward: FastForward, chance: random.Random) -> None:
        self.attacks, self.forward, self.chance = attacks, fast_forward, chance
        self.waiting: list[tuple[UUID, UUID]] = []
        self.by_two: set[UUID] = set()
        self.wrong: list[str] = []

    async def run(self, attempts: int) -> None:
        """Make so many attempts, in rounds in which every attack comes once, on whatever waits at the time."""
        moves = [self.hopeless(attack) for attack in HOPELESS]
        moves += [self.withdrawn, self.shared, self.doubled, self.lapsed]
        made = 0
        while made < attempts:
            self.chance.shuffle(moves)
            for number, move in enumerate(moves[: attempts - made]):
                await self.forward(seconds=self.chance.randrange(60, 600))
                await self.fill()
                await self.check(await move())
                made += 1
                if number % 5 == 0:
                    await self.control()

    async def fill(self) -> None:
        # What waits longer than two days has too little of its three left for the walk.
        now = worlds.clock.utc_now()
        rows = {
            row["id"]: row for row in await self.attacks.world.rows(ActionRequest, state=RequestState.AWAITING_APPROVAL)
        }
        self.waiting = [pair for pair in self.waiting if all(_lasts(rows.get(each), now) for each in pair)]
        while len(self.waiting) < WAITING:
            value = f"99900{self.chance.randrange(10**8):08}"
            body = worlds.freeze(target={**worlds.freeze()["target"], "value": value})
            one, twin = [(await self.attacks.world.submit(body)).id for _ in range(2)]
            self.waiting.append((one, twin))

    def hopeless(self, attack: Any) -> Any:
        async def move() -> str:
            one, twin = self.chance.choice(self.waiting)
            await attack(self.attacks, one, twin)
            return attack.__name__

        return move

    async def withdrawn(self) -> str:
        one, _ = self.take()
        await self.attacks.after_its_withdrawal(one)
        return "after_its_withdrawal"

    async def shared(self) -> str:
        one, twin = self.take()
        race = self.chance.choice((self.attacks.one_signature_on_two, self.attacks.one_identifier_on_two))
        taken = await race(one, twin)
        if len(taken) != 1:
            self.wrong.append(f"{race.__name__}: {len(taken)} of two became active")
        self.by_two |= set(taken[:1])
        return race.__name__

    async def doubled(self) -> str:
        one, _ = self.take()
        if (taken := await self.attacks.two_approvals_of_one(one)) != 1:
            self.wrong.append(f"two_approvals_of_one: {taken} were taken")
        self.by_two.add(one)
        return "two_approvals_of_one"

    async def lapsed(self) -> str:
        ends_at = worlds.clock.utc_now() + timedelta(minutes=5)
        filed = await self.attacks.world.submit(worlds.freeze(ends_at=ends_at.isoformat()))
        await self.forward(minutes=5)
        if self.chance.random() < 0.5:
            await self.attacks.world.fire()
        await self.attacks.approved(filed.id)
        return "after_its_end"

    async def control(self) -> None:
        """Two who may do it: what was attacked in vain becomes active, so nothing but the attack was in its way."""
        one, _ = self.take()
        officer = self.chance.choice(("approver", "second"))
        if not await self.attacks.approved(one, officer):
            self.wrong.append("two who may were refused")
        self.by_two.add(one)
        await self.check("control")

    def take(self) -> tuple[UUID, UUID]:
        return self.waiting.pop(self.chance.randrange(len(self.waiting)))

    async def check(self, attack: str) -> None:
        """Hold the rows against what two have signed."""
        requests = table(ActionRequest).c
        async with self.attacks.world.hub.database.read() as conn:
            activated = await conn.execute(sa.select(requests.id).where(requests.activated_at.is_not(None)))
            active = set(activated.scalars())
            ordered = list((await conn.execute(sa.select(table(Order).c.request_id))).scalars())
        if active != self.by_two or sorted(ordered) != sorted(self.by_two):
            self.wrong.append(f"{attack}: active without two, or not active with them")
            self.by_two = active | set(ordered)
        self.wrong += [f"{attack}: {fault}" for fault in self.attacks.faults]
        self.attacks.faults.clear()

    async def hold_signatures_against_each_other(self) -> None:
        """Whatever is active carries two signatures of two officers, by two keys, over the same bytes."""
        world = self.attacks.world
        owners = {key.thumbprint(): (name, key) for name, key in world.keys.items()}
        for request in await world.rows(ActionRequest):
            if request["activated_at"] is None:
                continue
            [approval] = await world.rows(Approval, request_id=request["id"])
            payload = signatures.canonical(await world.filed_bytes(request["id"]))
            signers = set()
            for text, kind in ((request["signature"], Kind.REQUEST), (approval["signature"], Kind.APPROVAL)):
                unverified = signatures.read(text, kind)
                name, key = owners[unverified.kid]
                public: Any = key.public_key
                signatures.verify(unverified, payload, public)
                signers.add(name)
            if signers != {request["officer_id"], approval["officer_id"]} or len(signers) != 2:
                self.wrong.append(f"{request['reference']} was signed by {signers}")


def _lasts(row: dict[str, Any] | None, now: Any) -> bool:
    return row is not None and row["ends_at"] - now > timedelta(days=1)


@pytest.fixture
async def hubs(hub: Hub, database_url: str | None, tmp_path: Path) -> AsyncIterator[list[Hub]]:
    """Two nodes on one database, where a database takes two."""
    if database_url is None:
        yield [hub]
        return
    other = make_hub(database_url, tmp_path, "node-b")
    yield [hub, other]
    await other.database.close()


async def test_no_hold_leaves_on_one_persons_word(
    hubs: list[Hub], fast_forward: FastForward, record_property: Any
) -> None:
    kind = hubs[0].database.dialect
    attempts = trust_sizes.size(*ATTEMPTS[kind])
    chance = random.Random(trust_sizes.seed())
    world = World(hubs[0])
    await world.settle_in()
    attacks = Attacks(world, hubs, chance)
    await attacks.enrol()
    walk = Walk(attacks, fast_forward, chance)
    await walk.run(attempts)
    await walk.hold_signatures_against_each_other()
    record_property(
        *trust_sizes.figure(
            "P12",
            "T-4EYES: activations without two officers",
            n=attempts,
            violations=len(walk.wrong),
            active_by_two=len(walk.by_two),
            database=kind,
        )
    )
    assert walk.wrong == []
    assert len(walk.by_two) > attempts // 10
