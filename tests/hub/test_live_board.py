"""The live board reads the same from both databases: groups, counts, filters, pages, and who may see what."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
import steps
import world as worlds
from builders import Builder
from rigs import Rig
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.requests import Request
from world import World

from service import clock, db
from service.console import live, streaming, watching
from service.console.watching import Watch
from service.engine.hub import OPERATOR, Hub
from service.errors import TooManyRequests
from service.models import ActionRequest, Deadline, EndpointState, Order
from service.queries import cursors, dispatch_health, live_board
from service.queries.board import pressure
from service.queries.board_lines import Board, Filter, Group
from service.security import principals
from service.security.principals import Principal
from workflows.terms import Action, OrderState, Role, Sector, Stage, Urgency

Forward = Callable[..., Awaitable[None]]

COORDINATOR = principals.of_person("lan", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.COORDINATOR])


def reader(agency: str) -> Principal:
    return principals.of_person("an", tenant=agency, sector=Sector.AGENCY, roles=[Role.READER])


async def load(
    hub: Hub,
    wanted: Filter | None = None,
    *,
    who: Principal = COORDINATOR,
    limit: int = 25,
    at: timedelta | None = None,
) -> Board:
    async with hub.database.read(who.reach) as conn:
        now = await db.now(conn) + (at or timedelta())
        return await live_board.load(conn, who, wanted or Filter(), now=now, limit=limit)


def ids(board: Board) -> dict[Group, list[UUID]]:
    return {group: [line.id for line in lines] for group, lines in board.lines.items() if lines}


@pytest.fixture
async def network(hub: Hub) -> World:
    world = World(hub)
    await world.settle_in()
    return world


async def test_an_order_moves_from_group_to_group_as_its_time_runs_out_and_as_it_is_answered(
    hub: Hub, network: World, fast_forward: Forward
) -> None:
    filed = await network.active(worlds.freeze())
    (order,) = await network.orders(filed.id)
    board = await load(hub)
    assert ids(board) == {Group.RUNNING: [order["id"]]}
    (line,) = board.lines[Group.RUNNING]
    receipt = min(await network.rows(Deadline, subject_id=order["id"], rung=0), key=lambda each: each["due_at"])
    assert (line.stage, line.due_at, line.started_at) == (receipt["stage"], receipt["due_at"], receipt["started_at"])
    assert (line.reference, line.amount, line.rung, line.channel) == (filed.reference, 150_000_000, 0, "webhook")
    assert (line.participant_id, line.heard_at, line.attempts) == ("vietcombank", None, 0)

    whole = receipt["due_at"] - receipt["started_at"]
    passed = [await load(hub, at=whole * part) for part in (0.7, 0.8)]
    assert [list(ids(each)) for each in passed] == [[Group.RUNNING], [Group.QUARTER]]

    await fast_forward(minutes=20)
    await network.fire()
    late = await load(hub)
    assert ids(late) == {Group.BREACHED: [order["id"]]}
    (line,) = late.lines[Group.BREACHED]
    assert line.due_at == receipt["due_at"] and line.stage is Stage(receipt["stage"]) and line.rung >= 1

    await network.answer(order, outcome="executed", amount_held={"value": "92500000", "currency": "VND"})
    done = await load(hub)
    assert ids(done) == {Group.DONE: [order["id"]]}
    (line,) = done.lines[Group.DONE]
    assert line.is_partly and line.amount_done == 92_500_000 and line.due_at is None and line.heard_at is not None
    assert ids(await load(hub, at=timedelta(hours=25))) == {}


async def test_what_is_due_counts_as_missed_before_a_worker_says_so(hub: Hub, network: World) -> None:
    filed = await network.active(worlds.freeze())
    (order,) = await network.orders(filed.id)
    receipt = min(await network.rows(Deadline, subject_id=order["id"], rung=0), key=lambda each: each["due_at"])
    whole = receipt["due_at"] - receipt["started_at"]
    for late, group in ((timedelta(seconds=-1), Group.QUARTER), (timedelta(seconds=1), Group.BREACHED)):
        board = await load(hub, at=whole + late)
        assert ids(board) == {group: [order["id"]]}, late
        (line,) = board.lines[group]
        assert line.due_at == receipt["due_at"] and line.stage is Stage(receipt["stage"])
        assert board.totals[group] == 1
    page = await load(hub, Filter(group=Group.BREACHED), at=whole + timedelta(seconds=1))
    assert ids(page) == {Group.BREACHED: [order["id"]]}


async def test_what_was_missed_in_a_state_that_the_order_has_left_is_no_breach(hub: Hub, build: Builder) -> None:
    order = (await build.placed()).order_id
    (deadline,) = await build.rows(Deadline)
    await build.change(Deadline, deadline.id, state="missed", due_at=deadline.started_at)
    assert list(ids(await load(hub))) == [Group.BREACHED]
    await build.change(Order, order, state=OrderState.DELIVERED)
    board = await load(hub)
    assert list(ids(board)) == [Group.RUNNING]
    assert board.lines[Group.RUNNING][0].due_at is None


@pytest.mark.parametrize("how", ["ended", "taken back"])
async def test_a_lift_that_nobody_confirms_stays_on_the_board_and_is_late_until_it_is_confirmed(
    hub: Hub, network: World, fast_forward: Forward, how: str
) -> None:
    filed = await network.active(worlds.freeze())
    (order,) = await network.orders(filed.id)
    done = {"outcome": "executed", "amount_held": {"value": "150000000", "currency": "VND"}}
    if how == "ended":
        # Late at first: what was missed in the order's former life is no part of its lift.
        await fast_forward(minutes=61)
        await network.fire()
        await network.answer(order, **done)
        await fast_forward(hours=72)
        await network.fire()
    else:
        await network.answer(order, outcome="received")
        await network.active(worlds.lift(filed.id))
        (asked,) = [row for row in await network.rows(Order) if row["original_id"] == order["id"]]
        await network.answer(order, **done)
        # What the lift itself asks is answered; what was done too late is still to be undone.
        await network.answer(asked, outcome="executed")
    (state,) = [row["state"] for row in await network.orders(filed.id)]
    assert state is {"ended": OrderState.LAPSED, "taken back": OrderState.WITHDRAWN}[how]
    (line,) = (await load(hub)).lines[Group.RUNNING]
    assert (line.id, line.action, line.rung) == (order["id"], Action.LIFT, 0) and line.due_at is not None
    assert not await _pressing(hub, filed.id)

    late = line.due_at - await steps.now(network) + timedelta(seconds=1)
    assert ids(await load(hub, at=late))[Group.BREACHED] == [order["id"]]
    for _ in range(3):
        # Long after the last rung it is owed all the same.
        await fast_forward(hours=3)
        await network.fire()
        assert ids(await load(hub))[Group.BREACHED] == [order["id"]]
        assert await _pressing(hub, filed.id) == 1
    await network.answer(order, outcome="lifted")
    told = await load(hub)
    assert order["id"] in ids(told)[Group.DONE] and not told.lines[Group.BREACHED] + told.lines[Group.RUNNING]
    assert not await _pressing(hub, filed.id)


async def _pressing(hub: Hub, request_id: UUID) -> int:
    """How many orders of the request are escalated and owed, once something of it is overdue."""
    async with hub.database.read(COORDINATOR.reach) as conn:
        found = await pressure(conn, COORDINATOR, [request_id], await db.now(conn))
    return found[request_id].escalations if found[request_id].overdue_since else 0


async def test_each_group_is_counted_whole_and_shown_page_by_page_without_a_gap(hub: Hub, build: Builder) -> None:
    placed = [(await build.placed(f"bank-{number}")).order_id for number in range(5)]
    deadlines = await build.rows(Deadline)
    for number, deadline in enumerate(deadlines):
        # Two of them at one instant: the cursor must not lose one.
        moved = timedelta(minutes=(number + 1) // 2)
        await build.change(
            Deadline, deadline.id, due_at=deadlines[0].due_at + moved, started_at=deadlines[0].started_at + moved
        )
    first = await load(hub, limit=2)
    assert first.totals == {Group.BREACHED: 0, Group.QUARTER: 0, Group.RUNNING: 5, Group.DONE: 0}
    assert len(first.lines[Group.RUNNING]) == 2 and set(first.next) == {Group.RUNNING}
    seen: list[UUID] = []
    after: str | None = None
    for _ in range(3):
        page = await load(hub, Filter(group=Group.RUNNING, after=after), limit=2)
        assert page.totals[Group.RUNNING] == 5
        seen += [line.id for line in page.lines[Group.RUNNING]]
        after = page.next.get(Group.RUNNING)
    assert after is None and len(seen) == 5 and set(seen) == set(placed)
    assert seen[:2] == [line.id for line in first.lines[Group.RUNNING]]


async def test_behind_the_last_line_the_board_still_says_how_many_there_are(hub: Hub, build: Builder) -> None:
    for number in range(2):
        await build.placed(f"bank-{number}")
    last = (await load(hub, limit=2)).lines[Group.RUNNING][-1]
    assert last.due_at is not None
    behind = cursors.write(last.due_at, last.id)
    page = await load(hub, Filter(group=Group.RUNNING, after=behind), limit=2)
    assert page.lines[Group.RUNNING] == [] and page.totals[Group.RUNNING] == 2


async def test_done_orders_are_paged_the_latest_first(hub: Hub, build: Builder) -> None:
    placed = [(await build.placed(f"bank-{number}")).order_id for number in range(3)]
    for order in placed:
        await build.change(Order, order, state=OrderState.REFUSED)
    seen: list[UUID] = []
    after: str | None = None
    for _ in range(3):
        page = await load(hub, Filter(group=Group.DONE, after=after), limit=1)
        seen += [line.id for line in page.lines[Group.DONE]]
        after = page.next.get(Group.DONE)
    assert after is None and seen == placed[::-1]


async def test_the_board_is_narrowed_by_whom_by_what_and_by_text(hub: Hub, network: World) -> None:
    filed = await network.active(worlds.freeze())
    for wanted, found in (
        (Filter(participant="vietcombank"), 1),
        (Filter(participant="techcombank"), 0),
        (Filter(agency=worlds.AGENCY), 1),
        (Filter(agency="vietcombank"), 0),
        (Filter(sector=Sector.BANK), 1),
        (Filter(sector=Sector.TELECOM), 0),
        (Filter(action=Action.FREEZE), 1),
        (Filter(action=Action.TAKEDOWN), 0),
        (Filter(urgency=Urgency.HOA_TOC), 1),
        (Filter(urgency=Urgency.KHAN), 0),
        (Filter(text=filed.reference[-6:].lower()), 1),
        (Filter(text="01/2026"), 1),
        (Filter(text="%"), 0),
    ):
        assert (await load(hub, wanted)).totals[Group.RUNNING] == found, wanted


async def test_an_agency_sees_its_own_orders_and_nobody_elses(hub: Hub, build: Builder) -> None:
    order = await build.placed()
    tenant = (await build.row(ActionRequest, id=order.request_id)).tenant
    for who, found in ((reader(tenant), 1), (reader("agency-b"), 0), (COORDINATOR, 1)):
        assert (await load(hub, who=who)).totals[Group.RUNNING] == found
        async with hub.database.read(who.reach) as conn:
            agencies, participants = await live_board.present(conn, who)
        assert (agencies, participants) == (({tenant}, {order.participant_id}) if found else (set(), set()))


async def test_a_look_that_finds_no_free_connection_is_followed_by_another(
    hub: Hub, network: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await network.submit(worlds.freeze())
    real, looks = live_board.marker, []

    async def marker(conn: Any) -> tuple[int, int]:
        looks.append(1)
        if len(looks) == 1:
            raise PoolTimeout
        return await real(conn)

    monkeypatch.setattr(live_board, "marker", marker)
    watch = Watch()
    with watch.place(hub, "lan"):
        await asyncio.wait_for(watch._moved.wait(), 10)
    assert len(looks) == 2


async def test_what_is_recorded_while_a_reader_is_being_told_is_told_at_once(
    hub: Hub, network: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def seated() -> bool:
        return True

    monkeypatch.setattr(streaming, "ALIVE", 3600.0)
    watch = Watch()
    served = SimpleNamespace(state=SimpleNamespace(hub=hub, watch=watch))
    request = Request({"type": "http", "query_string": b"", "headers": [], "path": live.PATH, "app": served})
    with watch.place(hub, "lan"):
        asked = live.Asked.of(request, clock.utc_now())
        events = streaming._events(hub, watch, seated, live._teller(request, COORDINATOR, asked))
        told = [await anext(events)]
        while "alive" not in told[-1]:
            told.append(await anext(events))
        # The reader has not come back for more yet, as one behind a slow line has not.
        moved = watch.next_move
        filed = await network.active(worlds.freeze())
        async with asyncio.timeout(30):
            await moved.wait()
            while filed.reference not in (await anext(events)):
                pass
        await events.aclose()


async def test_a_person_has_a_few_boards_and_the_last_one_ends_the_looking(hub: Hub, network: World) -> None:
    watch = Watch()
    with contextlib.ExitStack() as boards:
        for _ in range(watching.PER_PERSON):
            boards.enter_context(watch.place(hub, "lan"))
        with pytest.raises(TooManyRequests), watch.place(hub, "lan"):
            pass
        with watch.place(hub, "minh"):
            looking = watch._looking
        assert looking is not None and watch._looking is looking
    await asyncio.wait({looking}, timeout=5)
    assert watch._looking is None and looking.cancelled()


async def test_any_fact_moves_the_marker_and_nothing_else_does(hub: Hub, network: World) -> None:
    async def marker() -> tuple[int, int]:
        async with hub.database.read(db.HUB) as conn:
            return await live_board.marker(conn)

    before = await marker()
    await load(hub)
    assert await marker() == before
    await network.submit(worlds.freeze())
    assert await marker() != before


async def test_an_order_is_due_by_what_it_owes_next(hub: Hub, network: World, rig: Rig) -> None:
    async def stage() -> Stage | None:
        (line,) = (await load(hub)).lines[Group.RUNNING]
        return line.stage

    filed = await network.active(worlds.freeze())
    (order,) = await network.orders(filed.id)
    assert await stage() is Stage.RECEIPT
    await rig.round()
    assert await stage() is Stage.ACKNOWLEDGE
    await network.answer(order, outcome="received")
    assert await stage() is Stage.EXECUTE


async def test_a_lift_that_arrived_is_due_by_what_it_owes_next(
    hub: Hub, network: World, rig: Rig, fast_forward: Forward
) -> None:
    filed = await network.active(worlds.freeze())
    await rig.round()
    (order,) = await network.orders(filed.id)
    await network.answer(order, outcome="executed", amount_held={"value": "150000000", "currency": "VND"})
    await fast_forward(hours=72)
    await network.fire()
    (line,) = (await load(hub)).lines[Group.RUNNING]
    assert line.stage is Stage.RECEIPT
    await rig.round()
    (after,) = (await load(hub)).lines[Group.RUNNING]
    assert after.id == order["id"] and after.stage is not Stage.RECEIPT
    assert after.due_at is not None and line.due_at is not None and after.due_at > line.due_at


async def test_lines_are_read_of_the_groups_that_are_asked_for_and_all_are_counted(hub: Hub, build: Builder) -> None:
    order = (await build.placed()).order_id
    async with hub.database.read(COORDINATOR.reach) as conn:
        now = await db.now(conn)
        for groups in ((Group.BREACHED, Group.QUARTER), (Group.RUNNING,)):
            found = await live_board.load(conn, COORDINATOR, Filter(), now=now, limit=5, groups=groups)
            assert found.totals[Group.RUNNING] == 1
            assert ids(found) == ({Group.RUNNING: [order]} if Group.RUNNING in groups else {})


async def test_a_hand_over_reads_the_endpoints_whose_breaker_is_open_alone(hub: Hub, build: Builder) -> None:
    placed = [await build.placed(bank) for bank in ("bank-a", "bank-b")]
    async with hub.database.read(COORDINATOR.reach) as conn:
        now = await db.now(conn)
    state = {"failures": 7, "open_seconds": 60, "open_until": now + timedelta(seconds=60), "changed_at": now}
    await build.write(EndpointState, endpoint_id=placed[0].endpoint_id, tenant="bank-a", **state)
    async with hub.database.read(COORDINATOR.reach) as conn:
        every = await dispatch_health.load(conn, COORDINATOR, now)
        (open_one,) = (await dispatch_health.load(conn, COORDINATOR, now, tripped=True)).lanes
    assert len(every.lanes) == 2 and open_one in every.lanes
    assert (open_one.participant_id, open_one.failures, open_one.waiting) == ("bank-a", 7, 1)
