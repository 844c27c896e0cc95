"""Records about persons go when their time is over, on the database's clock: nothing early, nothing late, no hold."""

import asyncio
import hashlib
import json
import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import opening
import pytest
import registry_forms as forms
import sqlalchemy as sa
import steps
import world as worlds
from builders import make_hub, table
from rigs import FastForward
from world import World

from service import audit, errors
from service.actions import (
    change_retention,
    changes,
    enroll_officer,
    erase_request,
    legal_hold,
    renew_officer,
    resume,
    suspend,
)
from service.engine import retaining
from service.engine.hub import Hub
from service.models import ActionRequest, Attempt, AuditEntry, Dispatch, Officer, SubjectKey
from service.schemas.registry import SuspendedKind, Suspension
from service.vault import Erased
from workflows import retention
from workflows.record_terms import HoldReason, RecordKind
from workflows.terms import DispatchKind, RequestState

MINH, HOA = changes.local_administrator("minh"), forms.administrator("hoa")


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    await forms.enrolled(hub, HOA)
    return made


async def ended(world: World, days_ago: float, state: RequestState = RequestState.CLOSED, **body: Any) -> UUID:
    """A request that ended so long ago."""
    filed = await world.submit(worlds.freeze(**body))
    await end(world, filed.id, days_ago, state)
    return filed.id


async def end(world: World, request_id: UUID, days_ago: float, state: RequestState = RequestState.CLOSED) -> None:
    requests = table(ActionRequest)
    at = await steps.now(world) - timedelta(days=days_ago)
    values = {"state": state, "closed_at": at}
    moved = sa.update(requests).where(requests.c.id == request_id).values(**values)
    await world.hub.database.write(lambda conn: conn.execute(moved))


async def erased(world: World) -> set[UUID]:
    """The requests whose keys are destroyed."""
    keys = await world.rows(SubjectKey, kind="request")
    return {row["id"] for row in keys if row["destroyed_at"] is not None}


async def test_what_is_over_is_erased_and_what_is_not_stays(world: World, fast_forward: FastForward) -> None:
    refused = await ended(world, 90, RequestState.REFUSED)
    fresh = await ended(world, 89.99, RequestState.WITHDRAWN)
    closed = await ended(world, 89.99)
    running = (await world.active(worlds.freeze())).id
    done = await retaining.retain(world.hub)
    assert (done.erased, await erased(world)) == (1, {refused})
    await fast_forward(days=0.02)
    assert (await retaining.retain(world.hub)).erased == 1 and await erased(world) == {refused, fresh}
    # 24 calendar months after its end, whatever the lengths of the months.
    end_at = retention.RULES[RecordKind.ENDED_MEASURE].keep.after(
        (await world.rows(ActionRequest, id=closed))[0]["closed_at"]
    )
    await fast_forward(seconds=(end_at - await steps.now(world)).total_seconds() - 60)
    assert (await retaining.retain(world.hub)).erased == 0
    await fast_forward(seconds=61)
    await retaining.retain(world.hub)
    assert await erased(world) == {refused, fresh, closed}
    # The hold that never ended is whole, 25 months after.
    [row] = await world.rows(ActionRequest, id=running)
    assert await opening.opened(world.hub, "requests", running, row["tenant"], row["body_sealed"])
    [gone] = await world.rows(ActionRequest, id=refused)
    with pytest.raises(Erased):
        await opening.opened(world.hub, "requests", refused, gone["tenant"], gone["body_sealed"])
    assert await steps.findings(world) == []


async def test_a_matter_goes_as_a_whole_with_its_last_part(world: World) -> None:
    filed = await world.active(worlds.freeze())
    lifting = (await world.submit(worlds.lift(filed.id))).id
    await end(world, filed.id, 800)
    await end(world, lifting, 729)
    assert (await retaining.retain(world.hub)).erased == 0
    await end(world, lifting, 732)
    await settle_all(world)
    assert (await retaining.retain(world.hub)).erased == 2
    assert await erased(world) == {filed.id, lifting}


async def settle_all(world: World, state: str = "delivered", days_ago: float = 0) -> None:
    """Nothing is on its way any more, and no order holds."""
    at = await steps.now(world) - timedelta(days=days_ago)

    async def unit(conn: Any) -> None:
        await conn.execute(sa.update(table(Dispatch)).values(state=state, settled_at=at))
        await conn.execute(sa.text("DELETE FROM dispatch_queue"))
        await conn.execute(sa.text("UPDATE orders SET state = 'withdrawn'"))

    await world.hub.database.write(unit)


async def test_what_a_court_needs_is_kept_until_it_is_released(world: World) -> None:
    kept = await ended(world, 91, RequestState.REFUSED)
    [row] = await world.rows(ActionRequest, id=kept)
    await legal_hold.place(world.hub, MINH, row["reference"], HoldReason.COURT)
    with pytest.raises(errors.Conflict, match=r"legal_hold\.held"):
        await legal_hold.place(world.hub, HOA, str(kept), HoldReason.INSPECTION)
    assert (await retaining.retain(world.hub)).erased == 0
    assert (await world.facts(kept))[-1] == "legal_hold.placed"
    await legal_hold.release(world.hub, MINH, str(kept))
    with pytest.raises(errors.Conflict, match=r"legal_hold\.not_held"):
        await legal_hold.release(world.hub, MINH, str(kept))
    assert (await retaining.retain(world.hub)).erased == 1
    with pytest.raises(Erased):
        await legal_hold.place(world.hub, MINH, str(kept), HoldReason.COURT)
    with pytest.raises(errors.NotFound):
        await legal_hold.place(world.hub, MINH, "HT-000000-NONE", HoldReason.COURT)


async def test_nobodys_decision_erases_what_a_court_needs(world: World) -> None:
    kept = str(await ended(world, 1, RequestState.REFUSED))
    await erase_request.ask(world.hub, MINH, kept, "15/QD-XOA")
    await legal_hold.place(world.hub, MINH, kept, HoldReason.COURT)
    with pytest.raises(errors.Conflict, match=r"erasure\.held"):
        await erase_request.confirm(world.hub, HOA, kept)
    other = str(await ended(world, 1, RequestState.REFUSED))
    await legal_hold.place(world.hub, MINH, other, HoldReason.COURT)
    with pytest.raises(errors.Conflict, match=r"erasure\.held"):
        await erase_request.ask(world.hub, MINH, other, "16/QD-XOA")
    assert await erased(world) == set()
    await legal_hold.release(world.hub, MINH, kept)
    assert await erase_request.confirm(world.hub, HOA, kept) == 1


async def test_a_term_changes_when_a_second_administrator_says_so(world: World) -> None:
    await ended(world, 40, RequestState.REFUSED)
    kind = RecordKind.REFUSED_REQUEST
    with pytest.raises(errors.InvalidInput) as wrong:
        await change_retention.propose(world.hub, MINH, kind, "P1Y", "Nghị định mẫu")
    assert [field.code for field in wrong.value.fields] == ["retention.keep"]
    proposal = await change_retention.propose(world.hub, MINH, kind, "P30D", "Nghị định mẫu")
    assert (await retaining.retain(world.hub)).erased == 0
    with pytest.raises(errors.Forbidden, match=r"second\.key_needed"):
        await change_retention.approve(world.hub, MINH, proposal)
    own = await change_retention.propose(world.hub, HOA, kind, "P40D", "Nghị định mẫu")
    with pytest.raises(errors.Conflict, match=r"retention\.same_person"):
        await change_retention.approve(world.hub, HOA, own)
    assert (await retaining.retain(world.hub)).erased == 0
    await change_retention.approve(world.hub, HOA, proposal)
    with pytest.raises(errors.Conflict, match=r"retention\.approved"):
        await change_retention.approve(world.hub, HOA, proposal)
    assert (await retaining.retain(world.hub)).erased == 1
    assert (await retaining.in_force(world.hub))[kind].written() == "P30D"
    with pytest.raises(sa.exc.IntegrityError):
        statement = sa.text("UPDATE retention_rules SET approved_by = proposed_by")
        await world.hub.database.write(lambda conn: conn.execute(statement))


async def test_delivered_contents_become_digests_and_orders_stay_what_was_signed(
    world: World, fast_forward: FastForward
) -> None:
    filed = await world.active(worlds.freeze())
    await fast_forward(minutes=11)
    await world.fire()
    dispatches = await world.rows(Dispatch, request_id=filed.id)
    told = [row for row in dispatches if row["kind"] is not DispatchKind.ORDER]
    [carried] = [row for row in dispatches if row["kind"] is DispatchKind.ORDER]
    text = await opening.opened(world.hub, "dispatches", told[0]["id"], told[0]["tenant"], told[0]["message_sealed"])
    answered = await opening.sealed_for(
        world.hub, filed.id, "attempts", carried["id"], worlds.AGENCY, "<html>đã nhận</html>"
    )
    attempt = {
        "tenant": worlds.AGENCY,
        "dispatch_id": carried["id"],
        "attempt": 1,
        "node": "node-a",
        "lease_id": filed.id,
        "started_at": await steps.now(world),
        "latency_ms": 1,
        "answer_head_sealed": answered,
    }
    await world.hub.database.write(lambda conn: conn.execute(sa.insert(table(Attempt)).values(**attempt)))
    await settle_all(world, days_ago=89.9)
    assert (await retaining.retain(world.hub)).reduced == 0
    await settle_all(world, days_ago=90)
    assert (await retaining.retain(world.hub)).reduced == len(await world.rows(Dispatch))
    [row] = await world.rows(Dispatch, id=told[0]["id"])
    assert (row["message_sealed"], row["message_sha256"]) == (b"", hashlib.sha256(text.encode()).hexdigest())
    [order_row] = await world.rows(Dispatch, id=carried["id"])
    assert order_row["message_sealed"] == carried["message_sealed"] and order_row["reduced_at"] is not None
    [seen] = await world.rows(Attempt, dispatch_id=carried["id"])
    assert seen["answer_head_sealed"] is None
    assert seen["answer_head_sha256"] == hashlib.sha256("<html>đã nhận</html>".encode()).hexdigest()
    [fact] = [fact for fact in await world.rows(AuditEntry) if fact["code"] == "records.reduced"]
    assert f'"count":{len(await world.rows(Dispatch))}' in fact["data"]
    assert (await retaining.retain(world.hub)).reduced == 0


async def test_what_was_changed_behind_the_vaults_back_stays_and_holds_up_nothing(
    world: World, fast_forward: FastForward
) -> None:
    await steps.status_endpoint(world)
    await world.active(worlds.freeze())
    await fast_forward(minutes=11)
    await world.fire()
    broken, *_ = told = [row for row in await world.rows(Dispatch) if row["kind"] is not DispatchKind.ORDER]
    dispatches, mark = table(Dispatch), broken["message_sealed"]
    changed = bytes([*mark[:-1], mark[-1] ^ 1])
    change = sa.update(dispatches).where(dispatches.c.id == broken["id"]).values(message_sealed=changed)
    await world.hub.database.write(lambda conn: conn.execute(change))
    await settle_all(world, days_ago=91)
    assert (await retaining.retain(world.hub)).reduced == len(await world.rows(Dispatch))
    left = {row["id"]: row["message_sealed"] for row in await world.rows(Dispatch) if row["message_sealed"]}
    assert left.pop(broken["id"]) == changed
    assert not left.keys() & {row["id"] for row in told}
    assert (await retaining.retain(world.hub)).reduced == 0


async def test_an_officers_name_goes_after_his_term_and_never_before_what_he_signed(
    world: World, fast_forward: FastForward
) -> None:
    signed = (await world.submit(worlds.freeze())).id
    await end(world, signed, 0, RequestState.REFUSED)
    [request] = await world.rows(ActionRequest, id=signed)
    signer, gone, back, on_duty, ending = request["officer_id"], "gone", "back", "on-duty", "ending"
    for number, officer in enumerate((gone, back, on_duty, ending)):
        body = forms.officer(officer, f"SH-9{number}")
        await enroll_officer.enroll(world.hub, forms.ADMIN, worlds.AGENCY, body)
    until = await steps.now(world) + timedelta(days=30)
    await renew_officer.renew(world.hub, forms.ADMIN, worlds.AGENCY, ending, until)
    for officer in (signer, gone, back):
        leaving = Suspension(kind=SuspendedKind.OFFICER, id=officer)
        await suspend.suspend(world.hub, forms.ADMIN, worlds.AGENCY, leaving)
    again = Suspension(kind=SuspendedKind.OFFICER, id=back)
    await resume.resume(world.hub, forms.ADMIN, worlds.AGENCY, again)
    keep = retention.RULES[RecordKind.OFFICER_NAME].keep
    left_at = (await world.rows(Officer, id=gone))[0]["left_at"]
    await fast_forward(seconds=(keep.after(left_at) - await steps.now(world)).total_seconds() - 60)
    # The request, whose term is shorter, has gone meanwhile; it had kept the name of whoever signed it.
    held = (await legal_hold.place(world.hub, MINH, str(signed), HoldReason.COURT), await retaining.retain(world.hub))
    assert held[1].names == 0
    await fast_forward(seconds=120)
    assert (await retaining.retain(world.hub)).names == 1 and await nameless(world) == {gone}
    await legal_hold.release(world.hub, MINH, str(signed))
    assert (await retaining.retain(world.hub)).names == 1 and await nameless(world) == {gone, signer}
    await fast_forward(days=31)
    assert (await retaining.retain(world.hub)).names == 1 and await nameless(world) == {gone, signer, ending}
    assert (await retaining.retain(world.hub)).names == 0
    facts = [fact for fact in await world.rows(AuditEntry) if fact["code"] == "officer.erased"]
    assert [json.loads(fact["data"])["officer_id"] for fact in facts] == [gone, signer, ending]
    assert await steps.findings(world) == []


async def nameless(world: World) -> set[str]:
    """The officers whose names nobody can open any more."""
    found = set()
    for row in await world.rows(Officer):
        try:
            assert await opening.opened(world.hub, "officers", row["id"], row["tenant"], row["name_sealed"])
        except Erased:
            found.add(row["id"])
    return found


async def test_two_nodes_erase_each_request_once(world: World, database_url: str | None, tmp_path: Any) -> None:
    # The embedded edition is one process: its own two runs at once are the case.
    other = world.hub if database_url is None else make_hub(database_url, tmp_path, "node-b")
    ids = {await ended(world, 91, RequestState.LAPSED) for _ in range(6)}
    done = await asyncio.gather(retaining.retain(world.hub), retaining.retain(other))
    assert sum(each.erased for each in done) == 6 and await erased(world) == ids
    facts = [fact["code"] for fact in await world.rows(AuditEntry)]
    assert facts.count("request.erased") == 6
    if other is not world.hub:
        await other.database.close()


async def test_in_simulated_years_nothing_goes_early_nothing_stays_late_and_no_hold_is_touched(
    world: World, fast_forward: FastForward
) -> None:
    draw = random.Random(20261129)
    held = (await world.active(worlds.freeze())).id
    kept: dict[UUID, RecordKind] = {}
    for _ in range(12):
        state = draw.choice([RequestState.CLOSED, RequestState.REFUSED, RequestState.LAPSED])
        made = await ended(world, draw.uniform(0, 60), state)
        kept[made] = RecordKind.ENDED_MEASURE if state is RequestState.CLOSED else RecordKind.REFUSED_REQUEST
    wrong: list[tuple[str, UUID]] = []
    for _ in range(25):
        await fast_forward(days=draw.uniform(20, 40))
        await retaining.retain(world.hub)
        now, gone = await steps.now(world), await erased(world)
        for row in await world.rows(ActionRequest):
            kind = kept.get(row["id"])
            over = kind is not None and retention.is_over(retention.RULES[kind].keep, row["closed_at"], now)
            if over != (row["id"] in gone):
                wrong.append(("late" if over else "early", row["id"]))
    assert wrong == [] and held not in await erased(world) and len(await erased(world)) == 12
    async with world.hub.database.read() as conn:
        assert (await audit.verify(conn)).findings == ()
