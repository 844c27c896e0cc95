"""The ladder: each deadline and each rung once, by the policy of the day the request came, whoever races for it."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import make_hub, table
from opening import opened
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from steps import vnd
from world import World

from service import clock, db
from service.audit import Log
from service.engine import firing, owing
from service.engine.hub import Hub
from service.models import AuditEntry, Contact, Deadline, Dispatch, Escalation, Policy, TimeLimit
from service.queries.registry import Registry
from workflows.terms import DeadlineState, OrderState


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


async def placed(world: World, **changes: Any) -> dict[str, Any]:
    """An active freeze; returns its order."""
    filed = await world.active(worlds.freeze(**changes))
    [order] = await world.orders(filed.id)
    return order


async def raised(world: World, stage: str = "execute") -> list[tuple[int, bool]]:
    """The rungs of a stage that fired, and whether they reached somebody."""
    return [(row["rung"], row["reached_somebody"]) for row in await world.rows(Escalation, stage=stage)]


async def nobody_on_duty(world: World, *names: str) -> None:
    contacts = table(Contact)
    off = sa.update(contacts).where(contacts.c.tenant.in_(names)).values(active=False)
    await world.hub.writer.run(lambda conn: conn.execute(off))


async def limit(world: World, **values: Any) -> None:
    """An operator's own limit."""
    row = {
        "id": worlds.uuid4(),
        "created_by": "test",
        "created_at": await steps.now(world),
        "action": None,
        "target_kind": None,
        "participant_id": None,
        "legal_basis": None,
        **values,
    }
    await world.hub.writer.run(lambda conn: db.insert_rows(conn, table(TimeLimit), [row]))
    world.hub.registry.forget()


async def test_nothing_fires_a_moment_early(world: World, fast_forward) -> None:
    order = await placed(world)
    [execute] = await world.rows(Deadline, subject_id=order["id"], stage="execute")
    for _ in range(3):
        await world.fire()
    left = execute["due_at"] - await steps.now(world) - timedelta(seconds=30)
    await fast_forward(seconds=left.total_seconds())
    await world.fire()
    assert ("execute", 0, 0) in await steps.pending(world, order["id"])
    await fast_forward(seconds=31)
    await world.fire()
    for row in await world.rows(Deadline, state="missed"):
        assert row["settled_at"] >= row["due_at"]
    for row in await world.rows(Escalation):
        assert row["raised_at"] >= row["due_at"]


async def test_a_rung_that_reaches_nobody_is_a_fact_and_the_next_one_fires_at_once(world: World, fast_forward) -> None:
    await nobody_on_duty(world, "vietcombank", "hoatoc-hub")
    order = await placed(world)
    await fast_forward(minutes=10, seconds=1)
    await world.fire()
    # Neither the bank nor the coordinator answers, so the State Bank hears of it after ten minutes and not after 60.
    assert await raised(world) == [(1, False), (2, False), (3, True)]
    rungs = await world.rows(Deadline, subject_id=order["id"], stage="execute")
    assert [str(row["state"]) for row in rungs] == ["missed"] * 4
    facts = await world.facts(order["request_id"])
    assert facts.count("escalation.unreachable") == 4  # receipt, acknowledge, and two of the three for execute
    [notice] = await world.rows(Dispatch, kind="notice")
    assert notice["participant_id"] == "sbv"


async def test_a_whole_network_out_of_reach_is_told_and_does_not_spin(world: World, fast_forward) -> None:
    await nobody_on_duty(world, "vietcombank", "hoatoc-hub", "sbv")
    await placed(world)
    await fast_forward(minutes=10, seconds=1)
    await world.fire()
    assert await raised(world) == [(1, False), (2, False), (3, False)]
    assert await world.fire() == 0
    assert await world.rows(Dispatch, kind="notice") == []


async def test_a_deadline_that_is_met_cancels_the_rungs_behind_it(world: World, fast_forward) -> None:
    order = await placed(world)
    await fast_forward(minutes=10, seconds=1)
    await world.fire()
    assert ("execute", 2, 0) in await steps.pending(world, order["id"])
    await world.answer(order, outcome="executed", amount_held=vnd(order["amount"]))
    assert await steps.pending(world, order["id"]) == [("end", 0, 0)]
    await fast_forward(hours=3)
    await world.fire()
    assert await raised(world) == [(1, True)]
    # It was missed and stays missed: late is late.
    [execute] = await world.rows(Deadline, subject_id=order["id"], stage="execute", rung=0)
    assert execute["state"] is DeadlineState.MISSED


async def test_a_notice_says_when_the_stage_was_due_and_names_no_account(world: World, fast_forward) -> None:
    order = await placed(world)
    await fast_forward(minutes=31)
    await world.fire()
    [execute] = await world.rows(Deadline, subject_id=order["id"], stage="execute", rung=0)
    due_at = execute["due_at"].isoformat().replace("+00:00", "Z")
    said = []
    for row in await world.rows(Dispatch, kind="notice"):
        said.append(json.loads(await opened(world.hub, "dispatches", row["id"], row["tenant"], row["message_sealed"])))
    late = [message["body"] for message in said if message["body"]["stage"] == "execute"]
    assert {body["due_at"] for body in late} == {due_at}
    assert {body["rung"] for body in late} == {1, 2}
    for message in said:
        text = json.dumps(message, ensure_ascii=False)
        assert "9990001112223" not in text
        assert "NGUYEN VAN MAU" not in text


async def test_an_approval_that_nobody_gives_is_escalated_to_the_agency(world: World, fast_forward) -> None:
    filed = await world.submit(worlds.freeze())
    await fast_forward(minutes=31)
    await world.fire()
    # This agency has nobody on duty, so the coordinator hears of it at once.
    rows = await world.rows(Escalation)
    assert [(str(row["stage"]), row["rung"], row["order_id"], row["request_id"]) for row in rows] == [
        ("approval", 1, None, filed.id),
        ("approval", 2, None, filed.id),
    ]
    assert [[entry["participant_id"] for entry in row["reached"]] for row in rows] == [
        [worlds.AGENCY],
        [worlds.AGENCY, "hoatoc-hub"],
    ]
    await world.approve(filed.id)
    assert await world.rows(Deadline, subject_id=filed.id, state="pending", stage="approval") == []


async def test_an_edited_policy_does_not_touch_what_runs(world: World, fast_forward) -> None:
    old = await placed(world)
    await steps.delivered(world, old)
    text = """
        name = "vn-default"
        version = 3
        limits = [{ stage = "execute", within = "20 min" }]
        [[ladders]]
        stage = "execute"
        rungs = [{ number = 1, after = "20 min", reach = ["supervisor"] }]
    """
    row = {"name": "vn-default", "version": 3, "text": text, "created_by": "t", "created_at": await steps.now(world)}
    await world.hub.writer.run(lambda conn: db.insert_rows(conn, table(Policy), [row]))
    world.hub.registry.forget()
    new = await placed(world, case_number="02/2026/CA")
    await fast_forward(minutes=21)
    await world.fire()
    rows = await world.rows(Escalation, stage="execute")
    told = {row["order_id"]: (row["policy_version"], [entry["reach"] for entry in row["reached"]]) for row in rows}
    assert told == {old["id"]: (2, ["participant"]), new["id"]: (3, ["supervisor"])}
    # What follows from an old order, the lift at its end, keeps the old times too.
    [execute] = await world.rows(Deadline, subject_id=new["id"], stage="execute", rung=0)
    assert execute["due_at"] - execute["started_at"] == timedelta(minutes=20)
    await fast_forward(hours=72)
    await world.fire()
    lifts = await world.rows(Deadline, subject_id=old["id"], stage="execute", rung=0, generation=1)
    assert [row["due_at"] - row["started_at"] for row in lifts] == [timedelta(minutes=5)]


async def test_a_participants_own_limit_moves_its_deadline_and_its_ladder(world: World, fast_forward) -> None:
    await limit(world, stage="execute", within_seconds=25 * 60, participant_id="vietcombank")
    own = await placed(world)
    other = await placed(world, target={**worlds.freeze()["target"], "institution": "techcombank"})
    await fast_forward(minutes=11)
    await world.fire()
    assert [row["order_id"] for row in await world.rows(Escalation, stage="execute")] == [other["id"]]
    await fast_forward(minutes=15)
    await world.fire()
    rungs = [row for row in await world.rows(Deadline, subject_id=own["id"], stage="execute") if row["rung"] < 2]
    assert [row["due_at"] - row["started_at"] for row in rungs] == [timedelta(minutes=25)] * 2


async def test_an_operators_limit_takes_the_place_of_the_policys(world: World) -> None:
    # The policy of demonstrations has a limit of its own for every stage.
    object.__setattr__(world.hub, "registry", Registry("demo-seconds"))
    await limit(world, stage="receipt", within_seconds=77)
    order = await placed(world)
    [receipt] = await world.rows(Deadline, subject_id=order["id"], stage="receipt")
    assert (receipt["due_at"] - receipt["started_at"]) == timedelta(seconds=77)


async def test_the_hubs_own_clocks_are_the_policys_too(world: World, fast_forward) -> None:
    object.__setattr__(world.hub, "registry", Registry("demo-seconds"))
    filed = await world.active(worlds.freeze())
    [warning] = await world.rows(Deadline, subject_id=filed.id, stage="end_warning")
    assert filed.ends_at is not None
    assert filed.ends_at - warning["due_at"] == timedelta(seconds=3)
    emergency = await world.submit(steps.emergency())
    assert emergency.review_by is not None
    assert emergency.review_by - emergency.submitted_at == timedelta(seconds=10)
    [review] = await world.rows(Deadline, subject_id=emergency.id, stage="review")
    assert timedelta() <= review["due_at"] - emergency.review_by < timedelta(seconds=5)


async def test_no_operator_gives_an_emergency_hold_more_time_than_the_rule(world: World) -> None:
    await limit(world, stage="review", within_seconds=86_400)
    filed = await world.submit(steps.emergency())
    assert filed.review_by is not None
    assert filed.review_by - filed.submitted_at == timedelta(hours=2)


async def test_the_database_itself_refuses_a_second_firing(world: World, fast_forward) -> None:
    await placed(world)
    await fast_forward(minutes=11)
    await world.fire()
    for model in (Escalation, AuditEntry, Deadline):
        rows = [row for row in await world.rows(model) if row.get("deadline_id") or model is Deadline]
        twice = {**rows[0], "id": worlds.uuid4() if model is Escalation else 10**6}
        if model is AuditEntry:
            twice["sequence"] = 10**6
        with pytest.raises(IntegrityError):
            await world.hub.writer.run(lambda conn, m=model, row=twice: db.insert_rows(conn, table(m), [row]))


async def test_an_answer_and_a_firing_at_one_instant_are_told_in_the_order_in_which_they_came(
    world: World, fast_forward
) -> None:
    orders = [await placed(world, case_number=f"{number}/2026/CA") for number in range(8)]
    await fast_forward(minutes=10, seconds=1)
    await asyncio.gather(
        *(world.answer(order, outcome="executed", amount_held=vnd(order["amount"])) for order in orders),
        *(firing.fire_once(world.hub) for _ in range(4)),
    )
    await world.fire()
    for order in orders:
        [execute] = await world.rows(Deadline, subject_id=order["id"], stage="execute", rung=0)
        facts = await world.rows(AuditEntry, request_id=order["request_id"])
        codes = [(row["code"], json.loads(row["data"]).get("stage")) for row in facts]
        met, missed = (codes.count((f"deadline.{how}", "execute")) for how in ("met", "missed"))
        # One of the two, never both, and the facts agree with the row.
        assert (met, missed) == ((1, 0) if execute["state"] is DeadlineState.MET else (0, 1))
        if missed:
            assert codes.index(("deadline.missed", "execute")) < codes.index(("order.executed", None))
        assert (await steps.order_now(world, order))["state"] is OrderState.EXECUTED
        assert [stage for stage, _, _ in await steps.pending(world, order["id"])] == ["end"]
        instants = [row["at"] for row in sorted(facts, key=lambda row: row["sequence"])]
        assert instants == sorted(instants)
    assert await steps.findings(world) == []


@pytest.fixture
async def other_node(hub: Hub, database_url: str | None, tmp_path: Path) -> AsyncIterator[Hub]:
    """A second node on the same database; SQLite has one, so there it is the same node's second loop."""
    if database_url is None:
        yield hub
        return
    made = make_hub(database_url, tmp_path, node="node-b")
    yield made
    await made.database.close()


async def test_two_nodes_fire_each_deadline_once(world: World, other_node: Hub, fast_forward) -> None:
    for number in range(12):
        await placed(world, case_number=f"{number}/2026/CA")

    async def loop(hub: Hub) -> int:
        total = 0
        for _ in range(12):
            total += (await firing.fire_once(hub)).fired
        return total

    for minutes in (2, 4, 5, 20, 30):
        await fast_forward(minutes=minutes)
        await asyncio.gather(loop(world.hub), loop(other_node))
    while (await firing.fire_once(other_node)).fired:
        pass
    rows = await world.rows(Escalation)
    assert len(rows) == 12 * 5
    assert len({row["deadline_id"] for row in rows}) == len(rows)
    missed = await world.rows(AuditEntry, code="deadline.missed")
    assert len(missed) == 12 * 3
    assert {str(row["state"]) for row in await world.rows(Deadline) if row["due_at"] <= await steps.now(world)} <= {
        "missed",
        "met",
    }
    assert await steps.findings(world) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_node_fires_beside_another_one_and_leaves_its_batch_alone(
    world: World, fast_forward, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [await placed(world), await placed(world, case_number="02/2026/CA")]
    monkeypatch.setattr(firing, "BATCH", 1)
    await fast_forward(minutes=11)

    async def other_node(conn: AsyncConnection) -> int:
        found = await firing._fire(conn, world.hub, None)
        # Not committed yet, and the chain of the earliest deadline is its own.
        beside = await firing.fire_once(world.hub)
        return found.fired + beside.fired

    assert await world.hub.database.write(other_node, db.HUB) == 2
    missed = await world.rows(Deadline, state=DeadlineState.MISSED)
    assert [row["request_id"] for row in missed] == [order["request_id"] for order in orders]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_node_that_looks_past_a_batch_never_fires_a_later_deadline_of_a_chain_first(
    world: World, fast_forward, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await placed(world), await placed(world, case_number="02/2026/CA")
    monkeypatch.setattr(firing, "BATCH", 1)
    await fast_forward(minutes=11)
    await _let_wait(world, first["id"], but=1)
    committed = asyncio.Event()
    is_locked = asyncio.Event()

    async def answer(conn: AsyncConnection) -> None:
        await Log.open(conn, await db.now(conn), [f"request:{first['request_id']}"])
        deadlines = table(Deadline)
        met = sa.update(deadlines).where(
            deadlines.c.subject_id == first["id"], deadlines.c.due_at <= await db.now(conn)
        )
        await conn.execute(met.values(state=DeadlineState.MET, settled_at=await db.now(conn), settled_by="node-b"))
        await owing.renew(conn, [first["id"]])
        is_locked.set()
        await committed.wait()

    other = asyncio.create_task(world.hub.database.write(answer, db.HUB))
    await is_locked.wait()
    real = firing._candidates

    async def candidates(conn: AsyncConnection, now: Any, only: Any = None, past: int = 0, **more: Any) -> Any:
        if past and not committed.is_set():
            # What stood first is answered and gone: what is looked past now is something else.
            committed.set()
            await other
        return await real(conn, now, only, past, **more)

    monkeypatch.setattr(firing, "_candidates", candidates)
    assert (await firing.fire_once(world.hub)).fired == 1
    due = [row for row in await world.rows(Deadline, subject_id=second["id"]) if row["rung"] == 0]
    assert [row["state"] for row in due[:2]] == [DeadlineState.MISSED, DeadlineState.PENDING]


async def _let_wait(world: World, order_id: Any, *, but: int) -> None:
    """Let the deadlines of an order come tomorrow, but for its first ones."""
    rows, deadlines = (await world.rows(Deadline, subject_id=order_id))[but:], table(Deadline)

    async def unit(conn: AsyncConnection) -> None:
        for row in rows:
            later = row["due_at"] + timedelta(days=1)
            await conn.execute(sa.update(deadlines).where(deadlines.c.id == row["id"]).values(due_at=later))
        await owing.renew(conn, [order_id])

    await world.hub.writer.run(unit)


async def test_one_deadline_that_breaks_holds_up_nobody_but_itself(
    world: World, fast_forward, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = await placed(world)
    healthy = await placed(world, case_number="02/2026/CA")
    real = firing.ladders.of_order

    def of_order(subject: Any, stage: Any) -> Any:
        if subject.order["id"] == broken["id"]:
            raise KeyError("a row that nobody expected")
        return real(subject, stage)

    monkeypatch.setattr(firing.ladders, "of_order", of_order)
    await fast_forward(minutes=11)
    await world.fire()
    assert {row["order_id"] for row in await world.rows(Escalation)} == {healthy["id"]}
    assert ("execute", 0, 0) in await steps.pending(world, broken["id"])
    monkeypatch.setattr(firing.ladders, "of_order", real)
    await world.fire()
    assert {row["order_id"] for row in await world.rows(Escalation)} == {healthy["id"], broken["id"]}


async def test_more_that_break_than_a_batch_holds_hold_up_nobody_behind_them(
    world: World, fast_forward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firing, "BATCH", 2)
    broken = [(await placed(world, case_number=f"0{number}/2026/CA"))["id"] for number in (1, 2, 3)]
    await fast_forward(seconds=1)
    healthy = await placed(world, case_number="04/2026/CA")
    real = firing.ladders.of_order

    def of_order(subject: Any, stage: Any) -> Any:
        if subject.order["id"] in broken:
            raise KeyError("a row that nobody expected")
        return real(subject, stage)

    monkeypatch.setattr(firing.ladders, "of_order", of_order)
    await fast_forward(minutes=11)
    aside = firing.Aside()
    for _ in range(6):
        await firing.fire_once(world.hub, aside)
    assert {row["order_id"] for row in await world.rows(Escalation)} == {healthy["id"]}
    # They are left alone for a while, and no longer: then they fire, if they can.
    monkeypatch.setattr(firing.ladders, "of_order", real)
    assert (await firing.fire_once(world.hub, aside)).fired == 0
    at = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: at + firing.SET_ASIDE + 1)
    while (await firing.fire_once(world.hub, aside)).fired:
        continue
    assert {row["order_id"] for row in await world.rows(Escalation)} == {healthy["id"], *broken}


async def test_a_request_that_another_transaction_holds_is_left_for_the_next_call(
    world: World, other_node: Hub, fast_forward
) -> None:
    order = await placed(world)
    await fast_forward(minutes=11)
    if world.hub.database.dialect == "sqlite":
        return await _fires_after_all(world, order)
    chain = f"request:{order['request_id']}"
    async with other_node.database.read(db.HUB) as conn:
        await conn.execute(sa.text("SELECT 1 FROM audit_heads WHERE chain = :chain FOR UPDATE"), {"chain": chain})
        assert (await firing.fire_once(world.hub)).fired == 0
    return await _fires_after_all(world, order)


async def _fires_after_all(world: World, order: dict[str, Any]) -> None:
    assert await world.fire() > 0
    assert ("execute", 2, 0) in await steps.pending(world, order["id"])
