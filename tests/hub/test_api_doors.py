"""What a caller may learn and what a failure leaves behind: foreign things, refused authority, a commit that fails."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
import sqlalchemy as sa
import world as worlds
from apis import Api, System, grown
from sqlalchemy.ext.asyncio import AsyncConnection

from service import log
from service.models import ActionRequest, IdempotencyKey
from workflows.terms import Role, Sector

pytest_plugins = ["api_fixtures"]

ACCOUNT, PHONE, HOLDER = "7779998887776", "+84977766655", "PHAM THI CHIM VANG"
RECEIVED = {"outcome": "received"}


def seen(answer: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    """All that a caller can tell an answer by; the id of the request is its own in each answer."""
    headers = {name: value for name, value in answer.headers.items() if name not in {"date", "x-request-id"}}
    return answer.status_code, answer.content, headers


async def test_a_foreign_order_is_as_unknown_as_one_that_does_not_exist(api: Api) -> None:
    request = await api.active(worlds.freeze())
    order = request["order_list"][0]["id"]
    stranger = await api.enroll(System("tcb-system"), "techcombank", Role.PARTICIPANT_OPERATOR)
    before = await api.counts()
    for body in (RECEIVED, {"outcome": "not_mine", "ported_to": "no such bank"}):
        foreign = await api.post(f"/v1/orders/{order}/acknowledgements", stranger, body)
        unknown = await api.post(f"/v1/orders/{uuid4()}/acknowledgements", stranger, body)
        assert seen(foreign) == seen(unknown) and foreign.status_code == 404
    foreign, unknown = [await api.get(f"/v1/orders/{each}", stranger) for each in (order, uuid4())]
    assert seen(foreign) == seen(unknown) and foreign.status_code == 404
    assert (await api.get("/v1/orders", stranger)).json()["items"] == []
    assert grown(before, await api.counts()) == {}
    assert (await api.get(f"/v1/orders/{order}", api.bank)).status_code == 200


async def test_a_foreign_request_is_as_unknown_as_one_that_does_not_exist(api: Api) -> None:
    filed = (await api.file(worlds.freeze())).json()["id"]
    await other_agency(api)
    stranger = await api.enroll(System("stranger-system"), "ca-tinh-99", Role.MAKER, Role.APPROVER)
    before = await api.counts()
    officer = {"officer_id": "approver"}
    for known in (filed, str(uuid4())):
        answers = [
            await api.get(f"/v1/requests/{known}", stranger),
            await api.get(f"/v1/requests/{known}/timeline", stranger),
            await api.post(f"/v1/requests/{known}/approvals", stranger, officer),
            await api.post(f"/v1/requests/{known}/reviews", stranger, officer),
            await api.post(f"/v1/requests/{known}/withdrawals", stranger, officer),
        ]
        assert len({str(seen(answer)) for answer in answers}) == 1 and answers[0].status_code == 404
    assert (await api.get("/v1/requests", stranger)).json()["items"] == []
    lifted = [
        await api.file({**worlds.lift(each), "officer_id": "stranger"}, who=stranger) for each in (filed, uuid4())
    ]
    assert seen(lifted[0]) == seen(lifted[1]) and lifted[0].status_code == 422
    assert grown(before, await api.counts()) == {}


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("rank_too_low", {"officer_id": "junior"}),
        ("amount_over_cap", {"amount": {"value": "2000000001"}}),
        ("power_missing", {"legal_basis": "emergency", "officer_id": "junior"}),
        ("action_not_covered", {"legal_basis": "decree_147"}),
    ],
)
async def test_refused_authority_is_a_403_with_the_rules_name_one_fact_and_no_row(
    api: Api, rule: str, changes: dict[str, Any]
) -> None:
    before = await api.counts()
    key = uuid4().hex
    answer = await api.file(worlds.freeze(**changes), key)
    assert (answer.status_code, answer.json()["code"]) == (403, f"authority.{rule}")
    assert answer.json()["detail"] != answer.json()["detail_vi"]
    after = await api.counts()
    assert grown(before, after)["audit_entries"] == 1
    assert set(grown(before, after)) <= {"audit_entries", "audit_heads"}
    (fact,) = await api.facts("authority.refused")
    assert (json.loads(fact["data"])["rule"], fact["tenant"]) == (rule, worlds.AGENCY)
    # The key is still free for what the officer may do.
    assert (await api.file(worlds.freeze(), key)).status_code == 201


async def test_an_officer_cannot_approve_his_own_request(api: Api) -> None:
    filed = await api.file(worlds.freeze(officer_id="approver"))
    before = await api.counts()
    answer = await api.post(f"{filed.headers['location']}/approvals", api.police, {"officer_id": "approver"})
    assert (answer.status_code, answer.json()["code"]) == (403, "authority.same_officer")
    assert grown(before, await api.counts()) == {"audit_entries": 1}


async def test_what_is_done_twice_is_a_conflict_that_says_so(api: Api) -> None:
    filed = await api.file(worlds.freeze())
    path, officer = filed.headers["location"], {"officer_id": "approver"}
    assert (await api.post(f"{path}/approvals", api.police, officer)).status_code == 201
    before = await api.counts()
    for verb, code in (("approvals", "approval"), ("withdrawals", "approval"), ("reviews", "review")):
        answer = await api.post(f"{path}/{verb}", api.police, officer)
        assert (answer.status_code, answer.json()["code"]) == (409, f"request.not_awaiting_{code}")
    assert grown(before, await api.counts()) == {}


async def test_a_commit_that_fails_is_a_5xx_without_a_row_and_the_same_key_works_afterwards(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, key, commit = await api.counts(), uuid4().hex, AsyncConnection.commit

    async def broken(self: AsyncConnection) -> None:
        raise ConnectionResetError("the database has gone")

    monkeypatch.setattr(AsyncConnection, "commit", broken)
    failed = await api.file(worlds.freeze(), key)
    assert (failed.status_code, failed.json()["code"]) == (503, "unavailable")
    assert failed.headers["content-type"] == "application/problem+json" and failed.headers["retry-after"] == "5"
    assert "gone" not in failed.text
    monkeypatch.setattr(AsyncConnection, "commit", commit)
    assert grown(before, await api.counts()) == {}
    again = await api.file(worlds.freeze(), key)
    assert again.status_code == 201 and "idempotency-replayed" not in again.headers
    assert len(await api.world.rows(ActionRequest)) == len(await api.world.rows(IdempotencyKey)) == 1


async def test_an_answer_whose_commit_fails_was_never_given(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    request = await api.active(worlds.freeze())
    path = f"/v1/orders/{request['order_list'][0]['id']}/acknowledgements"
    before, commit = await api.counts(), AsyncConnection.commit

    async def broken(self: AsyncConnection) -> None:
        raise sa.exc.OperationalError("COMMIT", None, Exception("disk full"))

    monkeypatch.setattr(AsyncConnection, "commit", broken)
    assert (await api.post(path, api.bank, RECEIVED)).status_code == 503
    monkeypatch.setattr(AsyncConnection, "commit", commit)
    assert grown(before, await api.counts()) == {}
    given = await api.post(path, api.bank, RECEIVED)
    assert (given.status_code, given.json()["repeated"]) == (201, False)
    again = await api.post(path, api.bank, RECEIVED)
    assert (again.status_code, again.json()["repeated"], again.json()["id"]) == (201, True, given.json()["id"])


async def test_nothing_personal_reaches_a_log_line_or_a_problem(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    target = {"kind": "account", "value": ACCOUNT, "institution": "970436", "holder_name": HOLDER}
    body = worlds.freeze(target=target, contact={"name": HOLDER, "phone": PHONE})
    with logged() as lines:
        request = await api.active(body)
        path = f"/v1/orders/{request['order_list'][0]['id']}/acknowledgements"
        answers = [
            await api.post(path, api.bank, {"outcome": "received", "reference": ACCOUNT}),
            await api.get("/v1/requests", api.police, case_number=ACCOUNT),
            await api.get(f"/v1/{ACCOUNT}", api.police),
        ]
        problems = [
            await api.file({**body, "case_number": [ACCOUNT]}),
            await api.file({**body, "target": {**target, "institution": HOLDER}}),
            await api.file({**body, HOLDER: PHONE}),
            await api.file({**body, "officer_id": "junior"}),
            await api.get(f"/v1/requests/{ACCOUNT}", api.police),
        ]

        async def broken(self: AsyncConnection) -> None:
            raise sa.exc.IntegrityError("INSERT", {"value": ACCOUNT}, Exception(f"{HOLDER} {PHONE}"))

        monkeypatch.setattr(AsyncConnection, "commit", broken)
        problems.append(await api.file(body))
        monkeypatch.undo()
    assert [answer.status_code for answer in answers] == [201, 200, 404]
    assert [answer.status_code for answer in problems] == [422, 422, 422, 403, 422, 500]
    text = lines.getvalue() + "".join(answer.text for answer in [*problems, answers[2]])
    assert '"route": "/v1/orders/{order_id}/acknowledgements"' in text and '"status": 500' in text
    for canary in (ACCOUNT, PHONE, PHONE[1:], HOLDER, api.police.token, "eyJ"):
        assert canary not in text, canary


async def test_a_client_that_knocks_too_fast_waits_and_the_others_do_not(api: Api) -> None:
    for limits in api.app.state.limits.values():
        limits._sizes = ((3, 0.001), (3, 0.001))
    answers = [await api.get("/v1/requests", api.police) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[3].headers["retry-after"]) >= 1 and answers[3].json()["code"] == "rate.exceeded"
    assert (await api.get("/v1/orders", api.bank)).status_code == 200


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Catch every line of the log as production writes it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    lines = io.StringIO()
    log.configure("debug")
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(lines)
    try:
        yield lines
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


async def other_agency(api: Api) -> None:
    """Let a second agency join, with an officer of its own."""
    from_world = (await api.world.rows(worlds.Participant, id=worlds.AGENCY))[0]
    officer = (await api.world.rows(worlds.Officer, id="maker"))[0]

    async def unit(conn: AsyncConnection) -> None:
        agency = {**from_world, "id": "ca-tinh-99", "short_name": "CA 99", "sector": Sector.AGENCY}
        await worlds.db.insert_rows(conn, worlds.table(worlds.Participant), [agency])
        theirs = {**officer, "id": "stranger", "tenant": "ca-tinh-99", "number": "099-1"}
        await worlds.db.insert_rows(conn, worlds.table(worlds.Officer), [theirs])

    await api.hub.writer.run(unit)
