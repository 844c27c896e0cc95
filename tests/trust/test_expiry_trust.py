"""T-EXPIRY: in ninety days no hold outlives what two officers signed, and its lift is on its way within a minute."""

import random
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import trust_sizes
from hub.conftest import FastForward
from ninety_days import AT_ONCE, RETRY, Hold, NinetyDays
from world import World

from service.engine.hub import Hub
from service.models import Dispatch, Order
from workflows.terms import OrderState

# In each of the walks, which differ in their seeds only: two of them keep two cores busy.
FREEZES = {"sqlite": (100, 1_000), "postgresql": (12, 120)}
WALKS = range(2)


@pytest.fixture
async def days(hub: Hub, fast_forward: FastForward, walk: int) -> NinetyDays:
    """A settled network, and nothing filed yet; a power cut is not what this test is about."""
    if hub.database.dialect == "sqlite":
        listens = sa.event.listens_for(hub.database.engine.sync_engine, "connect")
        listens(lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    world = World(hub)
    await world.settle_in()
    return NinetyDays(world, fast_forward, random.Random(trust_sizes.seed() + walk))


@pytest.mark.parametrize("walk", WALKS)
async def test_no_hold_outlives_its_end(days: NinetyDays, walk: int, record_property: Any) -> None:
    kind = days.hub.database.dialect
    await days.run(trust_sizes.size(*FREEZES[kind]))
    late: list[timedelta] = []
    for hold in days.holds.values():
        [order] = await days.world.rows(Order, id=hold.order["id"])
        days.wrong += [f"{hold.request_id}: {what}" for what in await wrong_with(days, hold, order, late)]
    late.sort()
    p99 = late[len(late) * 99 // 100]
    if p99 > AT_ONCE:
        days.wrong.append(f"lifts arrived {p99} after the end (p99)")
    record_property(
        *trust_sizes.figure(
            "P13",
            "T-EXPIRY: holds that outlived their end in 90 days",
            n=len(days.holds),
            violations=len(days.wrong),
            walk=walk,
            lifts=len(late),
            retried=sum(hold.attempts > 1 for hold in days.holds.values()),
            lift_p99_s=round(p99.total_seconds(), 1),
            database=kind,
        )
    )
    assert days.wrong == []
    assert len(late) > len(days.holds) // 2
    assert set(days.refused) <= PROVOKED


# What the walk provokes on purpose: prolonging, lifting or reviewing what is over, and answering what was withdrawn.
PROVOKED = {
    "request.end_has_come",
    "request.not_awaiting_approval",
    "request.not_awaiting_review",
    "input.invalid",
}


async def wrong_with(days: NinetyDays, hold: Hold, order: dict[str, Any], late: list[timedelta]) -> list[str]:
    """What is wrong with how one hold ended."""
    if order["state"] in {OrderState.REFUSED, OrderState.WITHDRAWN} or hold.lifted_by_agency:
        return [] if order["state"] is not OrderState.EXECUTED else ["lifted by its agency, and held still"]
    found = []
    if hold.ended_at is None:
        return [f"never ended: {order['state']}"]
    if hold.ended_at < hold.may_last_until:
        found.append(f"ended at {hold.ended_at}, before {hold.may_last_until}, and nobody lifted it")
    if order["delivered_at"] is None:
        return found
    if order["state"] is not OrderState.LIFTED:
        found.append(f"nobody confirmed its lift: {order['state']}")
    lifts = await days.world.rows(Dispatch, order_id=order["id"], message_type="vn.hoatoc.order.lift")
    if not lifts or hold.lift_sent_at is None:
        return [*found, "no lift was sent"]
    if lifts[0]["created_at"] > hold.may_last_until + AT_ONCE:
        found.append(f"its lift was placed at {lifts[0]['created_at']}")
    outage = days.banks.outage_at(order["participant_id"], hold.may_last_until)
    if outage is None:
        late.append(hold.lift_sent_at - hold.may_last_until)
    elif hold.lift_sent_at > outage + RETRY:
        known = sorted(days.banks.outages[order["participant_id"]])
        near = [
            each for each in known if each[0] - timedelta(days=1) < hold.may_last_until < each[1] + timedelta(days=1)
        ]
        found.append(f"the bank was up at {outage} and got its lift at {hold.lift_sent_at}: {near}")
    return found
