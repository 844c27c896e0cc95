"""The breakers: a failing endpoint is left in peace, people learn of it at once, and urgent orders still try."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from builders import Builder, make_hub
from hypothesis import given
from hypothesis import strategies as st
from rigs import FastForward, Rig, refused

from service import audit, clock
from service.engine import breaker
from service.engine.hub import Hub
from service.models import Attempt, Deadline, EndpointState, QueueItem, Task
from workflows.terms import DeadlineState, DispatchKind, Stage, TaskKind

DOWN, UP = "endpoint.down", "endpoint.up"


async def failing(build: Builder, rig: Rig, count: int, fault: BaseException | None = None) -> UUID:
    """Queue normal notices at an endpoint that fails."""
    await build.participant("agency-a")
    await build.participant("bank-a")
    endpoint = await build.endpoint("bank-a")
    await more(build, endpoint, count)
    rig.speaker.fail(endpoint, fault or refused("connect.timeout"))
    return endpoint


async def more(build: Builder, endpoint: UUID, count: int, **dispatch: Any) -> None:
    for _ in range(count):
        await build.dispatch("bank-a", endpoint, **{"kind": DispatchKind.NOTICE, "urgent": False, **dispatch})


async def test_five_failures_in_a_row_open_the_breaker_and_a_person_is_told(build: Builder, rig: Rig) -> None:
    endpoint = await failing(build, rig, 4)
    await rig.round()
    assert await build.facts(audit.tenant_chain("bank-a")) == []
    placed = await build.placed("bank-a", endpoint)
    await rig.round()
    assert await build.facts(audit.tenant_chain("bank-a")) == [DOWN, "task.opened"]
    assert DOWN in await build.facts(placed.chain)
    state = await build.row(EndpointState, endpoint_id=endpoint)
    assert (state.failures, state.open_seconds, state.open_until is not None) == (5, 10, True)
    task = await build.row(Task, kind=TaskKind.ENDPOINT_DOWN)
    assert (task.data["endpoint_id"], task.participant_id) == (str(endpoint), "bank-a")
    assert (task.due_at - task.opened_at).total_seconds() == 900
    assert (await build.row(Deadline, subject_id=task.id, stage=Stage.TASK)).state is DeadlineState.PENDING


async def test_an_open_breaker_touches_no_rows_and_costs_no_attempts(
    build: Builder, rig: Rig, fast_forward: FastForward
) -> None:
    endpoint = await failing(build, rig, 5)
    await rig.round()
    await more(build, endpoint, 3)
    await fast_forward(seconds=9)
    before = await build.rows(QueueItem)
    assert await rig.round() == 0
    assert await build.rows(QueueItem) == before


async def test_after_the_pause_one_probe_goes_out_and_its_success_closes_the_breaker(
    build: Builder, rig: Rig, fast_forward: FastForward
) -> None:
    endpoint = await failing(build, rig, 5)
    await rig.round()
    await more(build, endpoint, 3)
    await fast_forward(seconds=11)
    rig.speaker.heal(endpoint)
    assert await rig.round() == 1
    state = await build.row(EndpointState, endpoint_id=endpoint)
    assert (state.open_until, state.open_seconds, state.probed_by) == (None, 0, None)
    assert (await build.facts(audit.tenant_chain("bank-a")))[-2:] == [UP, "task.resolved"]
    task = await build.row(Task, kind=TaskKind.ENDPOINT_DOWN)
    assert task.resolved_at is not None
    assert (await build.row(Deadline, subject_id=task.id)).state is DeadlineState.CANCELLED
    # Five are retries, and these may use half of the eight slots.
    assert [await rig.round(), await rig.round()] == [6, 1]


async def test_a_failed_probe_doubles_the_pause_up_to_five_minutes(
    build: Builder, rig: Rig, fast_forward: FastForward
) -> None:
    endpoint = await failing(build, rig, 5)
    await rig.round()
    pauses = []
    for _ in range(7):
        await more(build, endpoint, 1)
        state = await build.row(EndpointState, endpoint_id=endpoint)
        pauses.append(state.open_seconds)
        await fast_forward(seconds=state.open_seconds + 1)
        assert await rig.round() == 1
    assert pauses == [10, 20, 40, 80, 160, 300, 300]
    assert await build.facts(audit.tenant_chain("bank-a")) == [DOWN, "task.opened"]


async def test_an_urgent_order_may_always_be_the_probe(build: Builder, rig: Rig, fast_forward: FastForward) -> None:
    endpoint = await failing(build, rig, 5)
    await rig.round()
    await more(build, endpoint, 2)
    first, second = [await build.placed("bank-a", endpoint) for _ in range(2)]
    assert await rig.round() == 1
    assert rig.speaker.to(endpoint)[-1].body["order_id"] == str(first.order_id)
    assert (await build.row(EndpointState, endpoint_id=endpoint)).open_seconds == 10
    assert await rig.round() == 1
    assert rig.speaker.to(endpoint)[-1].body["order_id"] == str(second.order_id)
    await fast_forward(seconds=3)
    rig.speaker.heal(endpoint)
    assert await rig.round() == 1
    assert UP in await build.facts(audit.tenant_chain("bank-a"))


async def test_a_probe_that_is_under_way_is_the_only_one(build: Builder, rig: Rig, fast_forward: FastForward) -> None:
    endpoint = await failing(build, rig, 5)
    await rig.round()
    await more(build, endpoint, 3)
    await fast_forward(seconds=11)
    gate = rig.speaker.hang(endpoint)
    assert await rig.delivery.claim_once() == 1
    assert (await build.row(EndpointState, endpoint_id=endpoint)).probed_by == str(rig.node.boot)
    assert await rig.delivery.claim_once() == 0
    gate.set()
    await rig.delivery.settled()


class _Plain:
    """The breaker of one endpoint as its rule is written: all outcomes are kept, and summed each time."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bool]] = []
        self.consecutive = 0
        self.is_open = False

    def observe(self, at: int, failed: bool) -> bool | None:
        """Return whether it opens or closes, None where it stays as it is."""
        self.consecutive = self.consecutive + 1 if failed else 0
        self.seen.append((at, failed))
        inside = [bad for when, bad in self.seen if when >= at - 60]
        many = len(inside) >= 10 and 2 * sum(inside) >= len(inside)
        if failed and (self.is_open or self.consecutive >= 5 or many):
            self.is_open = True
            return True
        if not failed and self.is_open:
            self.seen, self.is_open = [], False
            return False
        return None


# How many seconds pass before an attempt ends, and whether it failed.
@given(st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, 7, 30, 59, 60, 61]), st.booleans()), min_size=30, max_size=120))
def test_the_breaker_moves_as_a_plain_sum_over_its_minute_says(told: list[tuple[int, bool]]) -> None:
    endpoint, at = clock.new_id(), 0
    tripped: set[UUID] = set()
    breakers, plain = breaker.Breakers(), _Plain()
    with mock.patch("asyncio.get_running_loop", return_value=SimpleNamespace(time=lambda: float(at))):
        for passed, failed in told:
            at += passed
            error = "http.503" if failed else None
            moves = breakers.observe([breaker.Outcome(endpoint, "bank-a", "webhook", error, None, "a")], tripped)
            moved = plain.observe(at, failed)
            assert [move.opens for move in moves] == ([] if moved is None else [moved])
            if moved is not None:
                (tripped.add if moved else tripped.discard)(endpoint)


async def test_half_of_ten_within_a_minute_opens_the_breaker(build: Builder, rig: Rig) -> None:
    endpoint = await failing(build, rig, 4)
    await rig.round()
    rig.speaker.heal(endpoint)
    await more(build, endpoint, 5)
    await rig.round()
    assert await build.rows(EndpointState) == []
    rig.speaker.fail(endpoint, refused())
    await more(build, endpoint, 1)
    await rig.round()
    assert DOWN in await build.facts(audit.tenant_chain("bank-a"))


@pytest.mark.parametrize(
    "fault",
    [
        refused("http.429"),
        refused("message.too_large", retryable=False),
        refused("channel.unavailable"),
        ZeroDivisionError("a defect of ours"),
    ],
    ids=["it is busy", "one message", "no relay", "our defect"],
)
async def test_what_is_not_the_endpoints_fault_opens_nothing(fault: BaseException, build: Builder, rig: Rig) -> None:
    await failing(build, rig, 8, fault)
    await rig.round()
    assert len(await build.rows(Attempt)) == 8
    assert await build.rows(EndpointState) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_two_nodes_open_a_breaker_once_and_share_its_probe(
    hub: Hub, build: Builder, rig: Rig, tmp_path: Path, fast_forward: FastForward
) -> None:
    other_hub = make_hub(hub.settings.database_url, tmp_path, node="node-b")
    other = await Rig(other_hub, rig.speaker).start()
    try:
        endpoint = await failing(build, rig, 8)
        await rig.node.beat()
        # Each node may use half of the lane, so each sees five failures of its own only after a second round.
        assert await rig.delivery.claim_once() == 4
        assert await other.delivery.claim_once() == 4
        await rig.delivery.settled()
        await other.delivery.settled()
        await more(build, endpoint, 2)
        assert await rig.delivery.claim_once() == 2
        await rig.delivery.settled()
        assert await build.facts(audit.tenant_chain("bank-a")) == [DOWN, "task.opened"]
        await more(build, endpoint, 4)
        await fast_forward(seconds=11)
        await rig.node.beat()
        await other.node.beat()
        gate = rig.speaker.hang(endpoint)
        assert await rig.delivery.claim_once() == 1
        assert await other.delivery.claim_once() == 0
        gate.set()
        await rig.delivery.settled()
    finally:
        await other.stop()
        await other_hub.database.close()


async def test_the_probe_of_a_dead_node_is_free_again(build: Builder, rig: Rig, fast_forward: FastForward) -> None:
    endpoint = await failing(build, rig, 5)
    await rig.round()
    state = EndpointState.__table__  # type: ignore[attr-defined]
    await rig.hub.database.write(lambda conn: conn.execute(state.update().values(probed_by=str(endpoint))))
    await more(build, endpoint, 1)
    await fast_forward(seconds=11)
    assert await rig.round() == 1
