"""The clocks of an appeal: each fires once and late, climbs from the agency upwards, and stops when it is answered."""

import json
from datetime import timedelta
from typing import Any

import appeal_steps
import browsing
import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from opening import opened
from world import AGENCY, World

from service import db
from service.engine import rungs
from service.engine.hub import OPERATOR, Hub
from service.engine.rungs import Ladder, RungState
from service.models import (
    ActionRequest,
    AuditEntry,
    Contact,
    Deadline,
    Dispatch,
    Escalation,
    Participant,
    TimeLimit,
)
from service.schemas.appeals import AppealDetail
from workflows import policy
from workflows.terms import Action, DeadlineState, RequestState, Role

ABOVE = "vnta"  # stands in for the ministry: a member of the tests' network that has a duty contact


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network in which the agency has a duty contact and belongs to somebody."""
    made = World(hub)
    await made.settle_in()

    async def unit(conn: Any) -> None:
        await made._member(conn, AGENCY, await db.now(conn))
        participants = table(Participant)
        mine = sa.update(participants).where(participants.c.id == AGENCY)
        await conn.execute(mine.values(parent_id=ABOVE))

    await made.hub.writer.run(unit)
    return made


async def contested(world: World) -> tuple[dict[str, Any], AppealDetail]:
    """A hold with an appeal of its bank against it."""
    order = await steps.held(world)
    return order, await appeal_steps.file(world, order)


async def until(world: World, instant: Any, fast_forward: Any, **more: float) -> None:
    """Move to an instant, or a little past it, and fire what is due."""
    left = instant - await steps.now(world) + timedelta(**more)
    await fast_forward(seconds=left.total_seconds())
    await world.fire()


async def raised(world: World, stage: str) -> list[tuple[int, list[str], Any]]:
    """The rungs of a stage that fired: their numbers, whom they reached, and about whom."""
    rows = await world.rows(Escalation, stage=stage)
    return [
        (row["rung"], [each["participant_id"] for each in row["reached"] if each["contacts"]], row["participant_id"])
        for row in sorted(rows, key=lambda row: row["rung"])
    ]


async def missed(world: World) -> list[dict[str, Any]]:
    """The facts of missed clocks of appeals, as data."""
    rows = [json.loads(row["data"]) for row in await world.rows(AuditEntry, code="deadline.missed")]
    return [row for row in rows if row["stage"].startswith("appeal")]


async def test_the_first_answer_is_due_after_four_hours_around_the_clock(world: World, fast_forward: Any) -> None:
    _, filed = await contested(world)
    await until(world, filed.answer_due_at, fast_forward, seconds=-30)
    assert await missed(world) == []
    await until(world, filed.answer_due_at, fast_forward, seconds=1)
    [fact] = await missed(world)
    assert (fact["stage"], fact["subject"], fact["participant_id"]) == ("appeal_answer", str(filed.id), AGENCY)
    assert await raised(world, "appeal_answer") == [(1, [AGENCY], AGENCY)]
    await until(world, filed.filed_at, fast_forward, hours=6, seconds=1)
    await until(world, filed.filed_at, fast_forward, hours=12, seconds=1)
    assert await raised(world, "appeal_answer") == [
        (1, [AGENCY], AGENCY),
        (2, [AGENCY, OPERATOR], AGENCY),
        (3, [OPERATOR, ABOVE], AGENCY),
    ]
    assert await world.fire() == 0
    assert await steps.findings(world) == []


async def test_the_decision_is_due_when_the_working_day_is_over_and_the_ladder_waits_for_that(
    world: World, fast_forward: Any
) -> None:
    _, filed = await contested(world)
    await appeal_steps.reply(world, filed)
    # The ladder's first rung says 24 h, which may be in the night before the day that still counts.
    await until(world, filed.decision_due_at, fast_forward, seconds=-30)
    assert await missed(world) == [] and await raised(world, "appeal_decision") == []
    for number, hours in enumerate((0, 4, 12), start=1):
        await until(world, filed.decision_due_at, fast_forward, hours=hours, seconds=-1)
        assert len(await raised(world, "appeal_decision")) == number - 1
        await until(world, filed.decision_due_at, fast_forward, hours=hours, seconds=1)
        assert len(await raised(world, "appeal_decision")) == number
    assert [whom for _, whom, _ in await raised(world, "appeal_decision")] == [
        [AGENCY],
        [AGENCY, OPERATOR],
        [OPERATOR, ABOVE],
    ]
    assert await raised(world, "appeal_answer") == []


async def test_an_answer_in_time_stops_its_clock_and_a_late_one_the_ladder(world: World, fast_forward: Any) -> None:
    _, filed = await contested(world)
    await appeal_steps.reply(world, filed)
    [answer] = await world.rows(Deadline, subject_id=filed.id, stage="appeal_answer")
    assert answer["state"] is DeadlineState.MET
    late = await appeal_steps.file(world, await steps.held(world, case_number="02/2026/CA"))
    await until(world, late.answer_due_at, fast_forward, seconds=1)
    await appeal_steps.reply(world, late)
    await fast_forward(hours=6)
    await world.fire()
    assert await raised(world, "appeal_answer") == [(1, [AGENCY], AGENCY)]
    [answer] = await world.rows(Deadline, subject_id=late.id, stage="appeal_answer", rung=0)
    assert answer["state"] is DeadlineState.MISSED  # late is late


@pytest.mark.parametrize("outcome", ["upheld", "rejected"])
async def test_a_decision_stops_everything(world: World, outcome: str, fast_forward: Any) -> None:
    order, filed = await contested(world)
    await until(world, filed.answer_due_at, fast_forward, seconds=1)
    await appeal_steps.decide(world, filed, outcome)
    assert await steps.pending(world, filed.id) == []
    if outcome == "upheld":
        await world.answer(order, outcome="lifted")
    await fast_forward(days=15)
    await world.fire()
    assert await raised(world, "appeal_answer") == [(1, [AGENCY], AGENCY)]
    assert await raised(world, "appeal_decision") == []


async def test_an_appeal_outlives_its_hold_and_its_request(world: World, fast_forward: Any) -> None:
    order, filed = await contested(world)
    await world.submit(worlds.lift(order["request_id"]))
    [lift] = await steps.of_action(world, Action.LIFT)
    await world.answer(lift, outcome="executed")
    assert (await steps.request_now(world, order["request_id"]))["state"] is RequestState.CLOSED
    assert len(await steps.pending(world, filed.id)) == 2
    await until(world, filed.decision_due_at, fast_forward, seconds=1)
    assert sorted(fact["stage"] for fact in await missed(world)) == ["appeal_answer", "appeal_decision"]


async def test_a_rung_that_reaches_nobody_is_told_and_the_next_one_fires_at_once(
    world: World, fast_forward: Any
) -> None:
    contacts = table(Contact)
    off = sa.update(contacts).where(contacts.c.tenant.in_([AGENCY, OPERATOR])).values(active=False)
    await world.hub.writer.run(lambda conn: conn.execute(off))
    _, filed = await contested(world)
    await until(world, filed.answer_due_at, fast_forward, seconds=1)
    assert [(rung, whom) for rung, whom, _ in await raised(world, "appeal_answer")] == [(1, []), (2, []), (3, [ABOVE])]


async def test_a_request_of_before_there_were_appeals_climbs_the_shipped_ladder(
    world: World, fast_forward: Any
) -> None:
    order = await steps.held(world)
    shipped = policy.to_snapshot(policy.loads("vn-default"))
    older = {**shipped, "name": "ours", "version": 7}
    older["ladders"] = [ladder for ladder in shipped["ladders"] if not ladder["stage"].startswith("appeal")]
    requests = table(ActionRequest)
    await world.hub.writer.run(
        lambda conn: conn.execute(sa.update(requests).where(requests.c.id == order["request_id"]).values(policy=older))
    )
    filed = await appeal_steps.file(world, order)
    await until(world, filed.answer_due_at, fast_forward, seconds=1)
    [rung] = await world.rows(Escalation, stage="appeal_answer")
    assert (rung["rung"], rung["policy_name"]) == (1, "vn-default")
    shown = await ladder(world, order["request_id"], "appeal_answer")
    assert (shown.policy_name, shown.policy_version) == ("vn-default", policy.loads("vn-default").version)


async def ladder(world: World, request_id: Any, stage: str) -> Ladder:
    """The ladder behind a stage of the one appeal against a request, as the duty desk is shown it."""
    async with world.hub.database.read(world.coordinator.reach) as conn:
        found = await rungs.of_request(conn, world.hub, world.coordinator, request_id)
    [shown] = [each for each in found if each.stage == stage]
    assert (shown.order_id, shown.participant_id, shown.is_appeal) == (None, AGENCY, True)
    return shown


async def test_the_ladder_is_shown_as_it_is_climbed(world: World, fast_forward: Any) -> None:
    order, filed = await contested(world)
    shown = await ladder(world, order["request_id"], "appeal_decision")
    assert [rung.due_at - filed.decision_due_at for rung in shown.rungs] == [
        timedelta(hours=each) for each in (0, 4, 12)
    ]
    assert [[place.house for place in rung.places] for rung in shown.rungs] == [
        [AGENCY],
        [AGENCY, OPERATOR],
        [OPERATOR, ABOVE],
    ]
    assert shown.current is None
    await until(world, filed.decision_due_at, fast_forward, seconds=1)
    shown = await ladder(world, order["request_id"], "appeal_decision")
    assert (shown.current, shown.rungs[0].state, shown.rungs[1].state) == (1, RungState.DONE, RungState.NEXT)
    # The first answer is late too, and no answer any more once it is decided.
    assert (await ladder(world, order["request_id"], "appeal_answer")).current == 3
    await appeal_steps.decide(world, filed, "rejected")
    for stage in ("appeal_answer", "appeal_decision"):
        assert (await ladder(world, order["request_id"], stage)).current is None
    async with browsing.signed_in(world.hub, Role.COORDINATOR, OPERATOR, "tran-lan-thu", "en") as desk:
        page = await desk.get(f"/requests/{order['request_id']}/ladders")
    [agency] = await world.rows(Participant, id=AGENCY)
    assert f"{agency['short_name']} · Decision of an appeal" in page and "An appeal against this request" in page


async def test_an_operator_may_set_another_time_for_an_agency(world: World) -> None:
    for stage, participant_id, seconds in (("appeal_answer", AGENCY, 3600), ("appeal_decision", "bidv", 60)):
        row = {
            "id": worlds.uuid4(),
            "stage": stage,
            "within_seconds": seconds,
            "participant_id": participant_id,
            "created_by": "test",
            "created_at": await steps.now(world),
            "action": None,
            "target_kind": None,
            "legal_basis": None,
        }
        await world.hub.writer.run(lambda conn, row=row: db.insert_rows(conn, table(TimeLimit), [row]))
    world.hub.registry.forget()
    _, filed = await contested(world)
    assert filed.answer_due_at - filed.filed_at == timedelta(hours=1)
    assert filed.decision_due_at - filed.filed_at > timedelta(hours=23)


async def test_the_notice_tells_the_agency_to_act_and_names_nobody(world: World, fast_forward: Any) -> None:
    order = await steps.held(world)
    filed = await appeal_steps.file_for_a_person(world, order_id=str(order["id"]))
    await until(world, filed.filed_at, fast_forward, hours=12, seconds=1)
    letters = {}
    for row in await world.rows(Dispatch, kind="notice"):
        sealed = await opened(world.hub, "dispatches", row["id"], row["tenant"], row["message_sealed"])
        body = json.loads(sealed)["body"]
        letters[row["participant_id"], body["rung"]] = body
    assert letters.keys() == {(AGENCY, 1), (AGENCY, 2), (OPERATOR, 2), (OPERATOR, 3), (ABOVE, 3)}
    first = letters[AGENCY, 1]
    assert first["due_at"] == filed.answer_due_at.isoformat().replace("+00:00", "Z")
    assert "trả lời khiếu nại lần đầu" in first["subject"] and "giải quyết khiếu nại ngay" in first["text"]
    assert "press" in letters[ABOVE, 3]["text"]
    told = json.dumps(list(letters.values()), ensure_ascii=False)
    secrets = [appeal_steps.STATEMENT, *appeal_steps.APPELLANT.values(), filed.reference]
    assert [each for each in secrets if each in told] == []


async def test_each_clock_fires_once_whoever_looks(world: World, fast_forward: Any) -> None:
    for number in range(5):
        order = await steps.held(world, case_number=f"{number}/2026/CA")
        filed = await appeal_steps.file(world, order)
    await until(world, filed.decision_due_at, fast_forward, hours=13)
    assert await world.fire() == 0
    clocks = [row for row in await world.rows(Deadline) if str(row["subject_kind"]) == "appeal"]
    assert len(clocks) == len({(row["subject_id"], row["stage"], row["rung"]) for row in clocks}) == 5 * 2 * 4
    assert all(row["settled_at"] >= row["due_at"] for row in clocks)
    assert len(await missed(world)) == 10
    assert await steps.findings(world) == []
