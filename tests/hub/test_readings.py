"""Opening or searching what is personal is a fact: who, when, what, through which door; without the fact, no answer."""

import json
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import steps
import world as worlds
from apis import Api, System, grown
from builders import Builder
from rigs import FastForward
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, db
from service.actions import changes, make_sign_in_link
from service.audit import Log
from service.engine import tasks
from service.engine.hub import OPERATOR
from service.engine.tasks import NewTask
from service.models import AuditEntry, Contact
from service.schemas.policies import NewSignInLink
from workflows.terms import Role, Sector, TaskKind

pytest_plugins = ["api_fixtures"]

STATEMENT = "Đây là tài khoản lương của tôi."


async def readings(api: Api) -> list[tuple[str, str, str, str]]:
    """All openings: who, of whom, what and through which door."""
    found = [(fact["actor_tenant"], fact["actor_id"], json.loads(fact["data"])) for fact in await facts(api)]
    return [(tenant, who, data["view"], data["door"]) for tenant, who, data in found]


async def facts(api: Api) -> list[dict[str, Any]]:
    return await api.facts("person.opened")


async def at_the_console(api: Api, role: Role, tenant: str, person: str) -> httpx.AsyncClient:
    """A person who signed in."""
    body = NewSignInLink(participant_id=tenant, person=person, role=role)
    made = await make_sign_in_link.make(api.hub, changes.local_administrator("root"), body)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(api.app), base_url=api.hub.settings.address)
    assert (await client.post(made.path)).status_code == 303
    return client


async def test_every_door_to_a_persons_data_leaves_a_fact(api: Api) -> None:
    filed = await api.file(worlds.freeze())
    path = filed.headers["location"]
    await api.post(f"{path}/approvals", api.police, {"officer_id": "approver"})
    [order] = await api.world.orders(UUID(filed.json()["id"]))
    held = {"outcome": "executed", "amount_held": steps.vnd(1)}
    await api.post(f"/v1/orders/{order['id']}/acknowledgements", api.bank, held)
    body = {"order_id": str(order["id"]), "ground": "not_involved", "statement": STATEMENT}
    appeal = (await api.post("/v1/appeals", api.bank, body)).json()["id"]
    # Filing, approving, answering and contesting are facts of their own: nobody opened anything yet.
    assert await facts(api) == []
    desk = await at_the_console(api, Role.APPROVER, worlds.AGENCY, "approver")
    for url, who in (
        (path, api.police),
        (f"{path}/body", api.police),
        (f"/v1/orders/{order['id']}", api.bank),
        (f"/v1/appeals/{appeal}", api.bank),
        (path, api.coordinator),
    ):
        assert (await api.get(url, who)).status_code == 200
    for url in ("", "/approve", "/approve/content.json"):
        assert (await desk.get(f"/requests/{filed.json()['id']}{url}")).status_code == 200
    assert await readings(api) == [
        (worlds.AGENCY, "pc02-system", "request", "api"),
        (worlds.AGENCY, "pc02-system", "body", "api"),
        ("vietcombank", "vcb-system", "order", "api"),
        ("vietcombank", "vcb-system", "appeal", "api"),
        ("hoatoc-hub", "desk-system", "request", "api"),
        (worlds.AGENCY, "approver", "page", "console"),
        (worlds.AGENCY, "approver", "paper", "console"),
        (worlds.AGENCY, "approver", "body", "console"),
    ]
    for fact in await facts(api):
        assert (fact["chain"], fact["tenant"]) == (f"reads:{filed.json()['id']}", worlds.AGENCY)
        assert str(fact["request_id"]) == filed.json()["id"]
        assert set(json.loads(fact["data"])) <= {"view", "door", "order_id", "appeal_id"}
    async with api.hub.database.read() as conn:
        assert (await audit.verify(conn)).findings == ()


async def test_a_list_a_timeline_an_inbox_and_what_is_not_opened_are_no_readings(api: Api) -> None:
    request = await api.active(worlds.freeze())
    order = request["order_list"][0]["id"]
    await api.post(
        f"/v1/orders/{order}/acknowledgements", api.bank, {"outcome": "executed", "amount_held": steps.vnd(1)}
    )
    body = {"order_id": order, "ground": "not_involved", "statement": STATEMENT}
    appeal = (await api.post("/v1/appeals", api.bank, body)).json()["id"]
    before = await api.counts()
    for url, who in (
        ("/v1/requests?state=active", api.police),
        (f"/v1/requests/{request['id']}/timeline", api.police),
        (f"/v1/requests/{request['id']}/reads", api.police),
        ("/v1/orders", api.bank),
        ("/v1/appeals", api.police),
        # The coordinator sees that it was filed, and nothing of what was said.
        (f"/v1/appeals/{appeal}", api.coordinator),
        ("/v1/tasks?state=all", api.coordinator),
    ):
        assert (await api.http.get(url, headers=who.headers)).status_code == 200
    assert grown(before, await api.counts()) == {}


async def test_a_lift_shows_the_original_and_is_read_on_both(api: Api) -> None:
    request = await api.active(worlds.freeze())
    lifting = (await api.file(worlds.lift(request["id"]))).json()["id"]
    before = len(await facts(api))
    await api.get(f"/v1/requests/{lifting}", api.police)
    assert {str(fact["request_id"]) for fact in (await facts(api))[before:]} == {request["id"], lifting}


async def test_the_note_of_a_task_and_the_names_on_a_roster_are_read_on_record(api: Api) -> None:
    request = await api.active(worlds.freeze(target={**worlds.freeze()["target"], "institution": "ACB"}))
    [task] = (await api.get("/v1/tasks", api.coordinator)).json()["items"]
    note = {"note": "Đã gọi ông Mẫu theo số trong danh bạ."}
    assert (await api.post(f"/v1/tasks/{task['id']}/resolutions", api.coordinator, note)).status_code == 201
    [unreadable] = await api.world.rows(Contact, tenant="vietcombank")
    roster = "/v1/participants/vietcombank/contacts"
    await api.http.delete(f"{roster}/{unreadable['id']}", headers=api.admin.headers)
    on_duty = {"name": "Lê Văn Trực", "reached_by": {"channel": "email", "address": "truc.ban@bank.example"}}
    assert (await api.post(roster, api.admin, on_duty)).status_code == 201
    before = len(await facts(api))
    await api.get("/v1/tasks", api.coordinator, state="resolved")
    await api.get("/v1/participants/vietcombank", api.admin)
    noted, names = (await facts(api))[before:]
    assert (json.loads(noted["data"])["view"], str(noted["request_id"])) == ("note", request["id"])
    assert (json.loads(names["data"])["view"], names["chain"]) == ("roster", "tenant:vietcombank")


async def test_the_note_of_a_task_without_a_request_is_read_on_its_members_chain(api: Api) -> None:
    chain = audit.tenant_chain("vietcombank")

    async def unit(conn: AsyncConnection) -> UUID:
        log = await Log.open(conn, await db.now(conn), [chain])
        down = NewTask(tenant="vietcombank", kind=TaskKind.ENDPOINT_DOWN, chain=chain, participant_id="vietcombank")
        (task_id,) = await tasks.open_tasks(conn, log, api.hub.actor, log.at, [down])
        await log.flush()
        return task_id

    task_id = await api.hub.writer.run(unit, reach=db.HUB)
    note = {"note": "Ông Mẫu ở phòng công nghệ khởi động lại máy chủ."}
    assert (await api.post(f"/v1/tasks/{task_id}/resolutions", api.coordinator, note)).status_code == 201
    before = len(await facts(api))
    await api.get("/v1/tasks", api.coordinator, state="resolved")
    [noted] = (await facts(api))[before:]
    data = json.loads(noted["data"])
    assert (noted["chain"], data["view"], data["task_id"]) == (chain, "note", str(task_id))


async def test_a_search_by_case_number_is_a_fact_without_the_number(api: Api) -> None:
    await api.file(worlds.freeze(case_number="77/2026/CHIM"))
    answer = await api.get("/v1/requests", api.police, case_number="77/2026/CHIM")
    assert len(answer.json()["items"]) == 1
    assert (await api.get("/v1/requests", api.police, case_number="78/2026/CHIM")).json()["items"] == []
    hit, miss = await api.facts("person.searched")
    assert (hit["chain"], hit["actor_id"]) == (f"tenant:{worlds.AGENCY}", "pc02-system")
    index = api.hub.vault.blind_index(worlds.AGENCY, "case_number", "77/2026/CHIM").hex()
    assert json.loads(hit["data"]) == {"by": "case_number", "door": "api", "found": 1, "index": index}
    assert json.loads(miss["data"])["found"] == 0 and "CHIM" not in hit["data"] + miss["data"]


@pytest.mark.parametrize("url", ["", "/body", "?case_number=01/2026/CA"])
async def test_what_cannot_be_recorded_is_not_shown(api: Api, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    request = await api.active(worlds.freeze())
    path = "/v1/requests" + (url if url.startswith("?") else f"/{request['id']}{url}")

    async def commit(_: AsyncConnection) -> None:
        raise OperationalError("COMMIT", {}, OSError(28, "No space left on device"))

    monkeypatch.setattr(AsyncConnection, "commit", commit)
    refused = await api.http.get(path, headers=api.police.headers)
    assert (refused.status_code, refused.json()["code"]) == (503, "reading.unrecorded")
    assert "9990001112223" not in refused.text and "Retry-After" in refused.headers
    monkeypatch.undo()
    assert (await api.http.get(path, headers=api.police.headers)).status_code == 200


async def test_an_agency_sees_who_read_its_requests_and_nobody_elses(api: Api) -> None:
    request = await api.active(worlds.freeze())
    for who in (api.coordinator, api.police, api.coordinator):
        await api.get(f"/v1/requests/{request['id']}", who)
    path = f"/v1/requests/{request['id']}/reads"
    first = (await api.get(path, api.police, limit=2)).json()
    rest = (await api.get(path, api.police, limit=2, after=first["next"])).json()
    seen = first["items"] + rest["items"]
    assert [read["sequence"] for read in seen] == [4, 3, 2, 1] and rest["next"] is None
    assert [read["actor"]["id"] for read in seen] == ["desk-system", "pc02-system", "desk-system", "pc02-system"]
    assert seen[0]["text"]["vi"].startswith("Dữ liệu cá nhân đã được mở xem")
    assert (await api.get(path, api.police, after="x")).json()["errors"][0]["code"] == "cursor.invalid"
    build = Builder(api.hub)
    await build.participant("ca-tinh-99", Sector.AGENCY)
    stranger = await api.enroll(System("stranger-system"), "ca-tinh-99", Role.READER)
    foreign, unknown = [await api.get(f"/v1/requests/{each}/reads", stranger) for each in (request["id"], str(uuid4()))]
    assert (foreign.status_code, foreign.content) == (404, unknown.content)
    assert (await api.get(path, api.bank)).status_code == 403


async def test_a_page_that_renews_itself_is_one_opening_for_ten_minutes(api: Api, fast_forward: FastForward) -> None:
    request = await api.active(worlds.freeze())
    page, renewal = f"/requests/{request['id']}", {"Hoatoc-Presence": "here"}
    reader = await at_the_console(api, Role.READER, worlds.AGENCY, "reader")
    before = len(await facts(api))
    # Who only claims to renew what he never opened has opened it.
    await reader.get(page, headers=renewal)
    for _ in range(3):
        assert (await reader.get(page, headers=renewal)).status_code == 200
    assert len(await facts(api)) == before + 1
    other = await at_the_console(api, Role.COORDINATOR, OPERATOR, "tran-lan-thu")
    await other.get(page, headers=renewal)
    assert len(await facts(api)) == before + 2
    await reader.get(page)
    assert len(await facts(api)) == before + 3
    await fast_forward(minutes=10, seconds=1)
    await reader.get(page, headers=renewal)
    assert len(await facts(api)) == before + 4
    shown = (await reader.get(page)).text
    assert "Ai đã xem" in shown and "tran-lan-thu" in shown


async def test_a_reading_is_recorded_beside_the_requests_own_facts_and_waits_for_none_of_them(api: Api) -> None:
    request = await api.active(worlds.freeze())
    told = (await api.get(f"/v1/requests/{request['id']}/timeline", api.police)).json()["facts"]
    await api.get(f"/v1/requests/{request['id']}", api.police)
    assert (await api.get(f"/v1/requests/{request['id']}/timeline", api.police)).json()["facts"] == told
    if api.hub.database.dialect == "postgresql":
        # Somebody is at work on the request: a reader neither waits nor makes him wait.
        async with api.hub.database.read() as conn:
            await audit.Log.open(conn, await db.now(conn), [f"request:{request['id']}"])
            assert (await api.get(f"/v1/requests/{request['id']}", api.police)).status_code == 200
    rows = await api.world.rows(AuditEntry, chain=f"reads:{request['id']}")
    assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1)) and len(rows) >= 2


async def test_a_page_that_refuses_does_not_repeat_the_address(api: Api) -> None:
    reader = await at_the_console(api, Role.READER, worlds.AGENCY, "reader")
    number = "9990001112223"
    for path in (f"/requests/{number}", f"/appeals/{number}", f"/sign-in/{number}", f"/{number}"):
        refused = await reader.get(path)
        assert refused.status_code in (401, 404, 422) and number not in refused.text, path
    assert str(unknown := uuid4()) not in (await reader.get(f"/requests/{unknown}")).text
    assert number not in (await reader.get("/", params={"x": number})).text
