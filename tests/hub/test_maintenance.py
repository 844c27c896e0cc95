"""A maintenance that was announced: the next channel first, people are told, and no deadline waits for it."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import world as worlds
from apis import Api, System
from builders import Builder, insert_endpoint
from opening import opened
from rigs import FastForward, Rig

from service import audit, db
from service.engine import handing_over
from service.engine.hub import Hub
from service.models import AuditEntry, Deadline, Dispatch, Endpoint, MaintenanceWindow
from service.queries import maintenance
from workflows.terms import Channel, DispatchState, Purpose, Role

pytest_plugins = ["api_fixtures"]

PATH = "/v1/participants/vietcombank"
HANDED = "dispatch.handed_over"


async def instant(hub: Hub, **ahead: float) -> datetime:
    async with hub.database.read() as conn:
        return await db.now(conn) + timedelta(**ahead)


async def announce(api: Api, who: System, path: str = PATH, **body: Any) -> httpx.Response:
    said = {"ends_at": (await instant(api.hub, hours=2)).isoformat(), "reason": "upgrade", **body}
    return await api.http.post(f"{path}/maintenance-windows", json=said, headers=who.headers)


async def rests(build: Builder, endpoint_id: UUID | None, hub: Hub, tenant: str = "bank-a") -> UUID:
    """A window of the whole participant or of one endpoint, from a minute ago on, for two hours."""
    now, window_id = await instant(hub), uuid4()
    await build.write(
        MaintenanceWindow,
        id=window_id,
        tenant=tenant,
        endpoint_id=endpoint_id,
        starts_at=now - timedelta(minutes=1),
        ends_at=now + timedelta(hours=2),
        reason="upgrade",
        announced_at=now,
    )
    return window_id


@pytest.fixture
async def ways(build: Builder) -> list[UUID]:
    """A bank with a webhook and a pull inbox, in this order."""
    await build.participant("bank-a")
    return [
        await build.endpoint("bank-a", channel=channel, position=position)
        for position, channel in enumerate((Channel.WEBHOOK, Channel.PULL), start=1)
    ]


async def test_the_next_channel_gets_the_order_at_once_and_the_endpoint_itself_is_tried_too(
    hub: Hub, build: Builder, rig: Rig, ways: list[UUID]
) -> None:
    await rests(build, ways[0], hub)
    placed = await build.placed("bank-a", ways[0])
    limits = [(row.stage, row.due_at) for row in await build.rows(Deadline)]
    assert await handing_over.hand_over(hub) == 1
    [fact] = await build.rows(AuditEntry, chain=placed.chain, code=HANDED)
    assert json.loads(fact.data)["why"] == "maintenance"
    # Nothing is held back: the announcement may be wrong, and then the first one has it.
    await rig.round()
    assert [message.id for message in rig.speaker.to(ways[0])] == [f"msg_{placed.dispatch_id.hex}"]
    states = {row.channel: row.state for row in await build.rows(Dispatch, order_id=placed.order_id)}
    assert states == {Channel.WEBHOOK: DispatchState.DELIVERED, Channel.PULL: DispatchState.CANCELLED}
    assert [(row.stage, row.due_at) for row in await build.rows(Deadline)] == limits
    async with hub.database.read() as conn:
        assert (await audit.verify(conn)).findings == ()


async def test_from_one_in_maintenance_to_another_nothing_is_passed_on_before_the_receipt_is_overdue(
    hub: Hub, build: Builder, ways: list[UUID], fast_forward: FastForward
) -> None:
    await rests(build, None, hub)
    placed = await build.placed("bank-a", ways[0])
    assert await handing_over.hand_over(hub) == 0
    await fast_forward(seconds=61)
    assert await handing_over.hand_over(hub) == 1
    [fact] = await build.rows(AuditEntry, chain=placed.chain, code=HANDED)
    assert json.loads(fact.data)["why"] == "not_received"


async def test_a_member_that_rests_at_every_endpoint_stands_in_nobodys_way(
    hub: Hub, build: Builder, ways: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing_over, "BATCH", 1)
    await rests(build, None, hub)
    await build.placed("bank-a", ways[0])
    assert await second_is_handed_over(hub, build) == 1


async def test_orders_with_no_endpoint_left_to_try_stand_in_nobodys_way(
    hub: Hub, build: Builder, ways: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing_over, "BATCH", 1)
    await build.placed("bank-a", ways[0])
    for endpoint in ways:
        await build.change(Endpoint, endpoint, active=False)
    assert await handing_over.hand_over(hub) == 0
    assert await second_is_handed_over(hub, build) == 1


async def second_is_handed_over(hub: Hub, build: Builder) -> int:
    """Place a later order at another bank's first endpoint, which is out of use; return how many were handed over."""
    await build.participant("bank-b")
    first = await build.endpoint("bank-b", channel=Channel.WEBHOOK, position=1)
    await build.endpoint("bank-b", channel=Channel.PULL, position=2)
    await build.placed("bank-b", first)
    await build.change(Endpoint, first, active=False)
    return await handing_over.hand_over(hub)


async def test_a_window_that_ended_or_is_still_ahead_changes_nothing(
    hub: Hub, build: Builder, ways: list[UUID], fast_forward: FastForward
) -> None:
    window = await rests(build, ways[0], hub)
    await build.change(MaintenanceWindow, window, ended_at=await instant(hub))
    ahead = await rests(build, ways[0], hub)
    await build.change(MaintenanceWindow, ahead, starts_at=await instant(hub, hours=1))
    await build.placed("bank-a", ways[0])
    assert await handing_over.hand_over(hub) == 0


async def test_a_bank_announces_its_own_and_ends_it_and_both_are_facts(api: Api) -> None:
    made = await announce(api, api.bank)
    assert made.status_code == 201, made.text
    shown = await api.http.get(f"{PATH}/maintenance-windows", headers=api.bank.headers)
    assert [each["id"] for each in shown.json()["items"]] == [made.json()["id"]]
    assert await resting(api) == {"vietcombank"}
    body = {"window_id": made.json()["id"]}
    ended = await api.http.post(f"{PATH}/maintenance-ends", json=body, headers=api.coordinator.headers)
    assert ended.status_code == 200 and ended.json()["ended_at"]
    assert await resting(api) == set()
    again = await api.http.post(f"{PATH}/maintenance-ends", json=body, headers=api.bank.headers)
    assert (again.status_code, again.json()["code"]) == (409, "maintenance.over")
    told = [json.loads(each["data"]) for each in await api.world.rows(AuditEntry, code="registry.changed")]
    whats = [each["what"] for each in told if each.get("window_id") == made.json()["id"]]
    assert whats == ["maintenance.announced", "maintenance.ended"]


async def test_what_is_wrong_is_named_and_nothing_is_written(api: Api) -> None:
    now = await instant(api.hub)
    assert (await announce(api, api.bank)).status_code == 201
    before = await api.counts()
    for said, field, code in (
        ({"ends_at": (now + timedelta(hours=13)).isoformat()}, "/ends_at", "maintenance.too_long"),
        ({"ends_at": (now - timedelta(hours=1)).isoformat()}, "/ends_at", "maintenance.no_time"),
        ({"starts_at": (now - timedelta(hours=1)).isoformat()}, "/starts_at", "maintenance.past"),
        ({"starts_at": (now + timedelta(days=61)).isoformat()}, "/starts_at", "maintenance.too_far"),
        ({"endpoint_id": str(uuid4())}, "/endpoint_id", "maintenance.endpoint"),
    ):
        answer = await announce(api, api.bank, **said)
        wrong = [(each["field"], each["code"]) for each in answer.json()["errors"]]
        assert (answer.status_code, wrong) == (422, [(field, code)]), said
    overlapping = await announce(api, api.bank)
    assert (overlapping.status_code, overlapping.json()["code"]) == (409, "maintenance.overlaps")
    assert await api.counts() == before
    # One that begins when the other ends does not overlap it.
    starts_at = (await maintenance_of(api))[0]["ends_at"]
    after = {"starts_at": starts_at.isoformat(), "ends_at": (starts_at + timedelta(hours=1)).isoformat()}
    assert (await announce(api, api.bank, **after)).status_code == 201


async def test_a_start_in_the_current_minute_is_now(api: Api) -> None:
    at = await instant(api.hub)
    made = await announce(api, api.bank, starts_at=at.replace(second=0, microsecond=0).isoformat())
    assert made.status_code == 201, made.text
    assert made.json()["starts_at"] == made.json()["announced_at"]


async def test_only_an_endpoint_for_orders_is_announced(api: Api) -> None:
    (row, *_) = await api.world.rows(Endpoint, tenant="vietcombank", purpose=Purpose.ORDERS)
    notices = {**row, "id": uuid4(), "purpose": Purpose.NOTICES, "position": 9}
    await api.hub.writer.run(lambda conn: insert_endpoint(conn, notices))
    answer = await announce(api, api.bank, endpoint_id=str(notices["id"]))
    wrong = [(each["field"], each["code"]) for each in answer.json()["errors"]]
    assert (answer.status_code, wrong) == (422, [("/endpoint_id", "maintenance.endpoint")])


async def test_nobody_announces_ends_or_reads_anothers(api: Api) -> None:
    other = await api.enroll(System("tcb-system"), "techcombank", Role.PARTICIPANT_OPERATOR)
    window = (await announce(api, api.bank)).json()["id"]
    assert (await announce(api, other)).status_code == 404
    assert (await announce(api, api.police)).status_code == 403
    body = {"window_id": window}
    for path in (PATH, "/v1/participants/techcombank"):
        ended = await api.http.post(f"{path}/maintenance-ends", json=body, headers=other.headers)
        assert ended.status_code == 404
    shown = await api.http.get(f"{PATH}/maintenance-windows", headers=other.headers)
    assert shown.status_code == 404
    assert await resting(api) == {"vietcombank"}


async def test_who_is_told_of_a_missed_deadline_reads_of_the_maintenance(api: Api, fast_forward: FastForward) -> None:
    assert (await announce(api, api.bank)).status_code == 201
    filed = await api.active(worlds.freeze())
    await fast_forward(minutes=31)
    await api.world.fire()
    notices = await api.world.rows(Dispatch, request_id=UUID(filed["id"]), kind="notice")
    assert notices
    for row in notices:
        text = json.loads(await opened(api.hub, "dispatches", row["id"], row["tenant"], row["message_sealed"]))
        assert "đã báo bảo trì đến" in text["body"]["text"] and "announced maintenance until" in text["body"]["text"]
        assert "the deadline runs on" in text["body"]["text"]


async def test_a_member_is_said_to_rest_once_orders_reach_none_of_its_endpoints(
    hub: Hub, build: Builder, ways: list[UUID]
) -> None:
    async def said() -> dict[str, datetime]:
        async with hub.database.read() as conn:
            return await maintenance.until(conn, {"bank-a"}, await db.now(conn))

    await rests(build, ways[0], hub)
    assert await said() == {}
    await rests(build, ways[1], hub)
    [first, _] = sorted(row.ends_at for row in await build.rows(MaintenanceWindow))
    assert await said() == {"bank-a": first}
    # A third that is out of use is none that serves.
    third = await build.endpoint("bank-a", channel=Channel.ETSI, position=3)
    assert await said() == {}
    await build.change(Endpoint, third, active=False)
    assert await said() == {"bank-a": first}


async def resting(api: Api) -> set[str]:
    async with api.hub.database.read() as conn:
        return set(await maintenance.until(conn, {"vietcombank", "techcombank"}, await db.now(conn)))


async def maintenance_of(api: Api) -> list[dict[str, Any]]:
    return await api.world.rows(MaintenanceWindow)
