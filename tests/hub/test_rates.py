"""A rate of an endpoint: no more calls begin in a second, all nodes together, and nobody else waits for it."""

from collections.abc import Callable, Mapping
from uuid import UUID

import pytest
from builders import Builder
from pydantic import ValidationError
from rigs import Rig

from adapters.base import Endpoint, Receipt
from adapters.webhook import Webhook
from service.engine import lanes, parcels
from service.engine.rates import Rates
from service.models import Dispatch
from service.schemas.endpoints import NewDefinition
from workflows.terms import Channel, DispatchState

ENDPOINT = UUID(int=1)


class Taking:
    """A receiver that takes whatever comes, and the adapter before it."""

    def of(self, channel: Channel) -> Webhook:
        """Speak as the hub does."""
        return Webhook("https://hub.example")

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
        """Take it."""
        return Receipt(202, 0.01, b"", "203.0.113.5:443")


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """``seconds(0.5)`` moves the clock by which rates are kept; between the calls it stands still."""
    at = 1_000.0

    def move(by: float) -> None:
        nonlocal at
        at += by

    monkeypatch.setattr(lanes, "_monotonic", lambda: at)
    return move


async def test_no_more_calls_begin_than_the_rate_lets_and_others_do_not_wait(
    rig: Rig, build: Builder, seconds: Callable[[float], None]
) -> None:
    slow = await build.endpoint("bank-a", max_per_second=2)
    free = await build.endpoint("bank-b")
    for _ in range(7):
        await build.placed("bank-a", slow)
        await build.placed("bank-b", free)
    seen = []
    for wait in (0.0, 0.0, 0.9, 0.2, 60.0, 0.5):
        seconds(wait)
        await rig.round()
        seen.append(len(rig.speaker.to(slow)))
    # In no second more than two, also after a minute of rest.
    assert seen == [2, 2, 2, 4, 6, 6]
    assert len(rig.speaker.to(free)) == 7


async def test_a_batch_is_one_call(rig: Rig, build: Builder, seconds: Callable[[float], None]) -> None:
    rig.delivery._adapters = rig.delivery._transport = Taking()
    endpoint = await build.endpoint("bank-a", batch=True, max_per_second=1)
    for _ in range(3):
        await build.placed("bank-a", endpoint)
    assert await rig.round() == 3
    await build.placed("bank-a", endpoint)
    assert await rig.round() == 0
    seconds(1.0)
    assert await rig.round() == 1
    assert {row.state for row in await build.rows(Dispatch)} == {DispatchState.DELIVERED}


@pytest.mark.parametrize(("nodes", "begun"), [(1, 6), (2, 3), (4, 1), (12, 1)])
async def test_the_nodes_share_a_rate(rig: Rig, build: Builder, nodes: int, begun: int) -> None:
    endpoint = await build.endpoint("bank-a", max_per_second=6, max_in_flight=8)
    limits = rig.delivery._lanes
    await limits.refresh()
    assert limits.openings(nodes).free[endpoint].slots == min(begun, 8 // min(nodes, 8))


@pytest.mark.parametrize(("drawn", "reserves"), [(0.2, True), (0.3, False)])
async def test_the_only_place_is_a_retrys_one_time_in_four(
    rig: Rig, build: Builder, monkeypatch: pytest.MonkeyPatch, drawn: float, reserves: bool
) -> None:
    monkeypatch.setattr(parcels.random, "random", lambda: drawn)
    slow = await build.endpoint("bank-a", max_per_second=1)
    shared = await build.endpoint("bank-b", max_in_flight=8)
    limits = rig.delivery._lanes
    await limits.refresh()
    free = limits.openings(5).free
    assert {endpoint: (free[endpoint].slots, free[endpoint].reserves) for endpoint in (slow, shared)} == {
        slow: (1, reserves),
        shared: (1, reserves),
    }
    # Where there is more, one of them is theirs.
    assert limits.openings(1).free[shared].reserves


def test_a_rate_below_one_a_second_lets_one_begin_and_then_the_next_in_its_time() -> None:
    rates = Rates()
    assert rates.left(ENDPOINT, 0.25, 0.0) == 1
    rates.take(ENDPOINT, 0.0)
    assert [rates.left(ENDPOINT, 0.25, at) for at in (0.0, 2.0, 3.9, 4.0, 900.0)] == [0, 0, 0, 1, 1]


def test_what_began_without_being_asked_about_counts_for_its_time_and_no_longer() -> None:
    rates = Rates()
    for at in (0.0, 0.0, 0.0, 0.6):
        rates.take(ENDPOINT, at)
    assert [rates.left(ENDPOINT, 2.0, at) for at in (0.6, 0.9, 1.0, 1.5, 1.6)] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("wrong", [0, -1, 1001, 2.5, "5", True])
def test_a_rate_that_is_none_is_refused_by_its_name(wrong: object) -> None:
    with pytest.raises(ValidationError) as refused:
        NewDefinition.model_validate({"max_per_second": wrong})
    assert ("max_per_second",) in {error["loc"] for error in refused.value.errors()}
