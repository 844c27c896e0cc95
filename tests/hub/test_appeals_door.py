"""Appeals at the real door: scopes, bodies, the state that needs no token, and answers that tell nothing."""

import json
import re
from typing import Any
from uuid import uuid4

import appeal_steps
import pytest
import steps
from apis import Api, System, stopped
from steps import vnd

from service.web.limits import Limits
from workflows.terms import Role

pytest_plugins = ["api_fixtures"]

SAID = {"ground": "not_involved", "statement": appeal_steps.STATEMENT}


async def filed(api: Api) -> dict[str, Any]:
    """An appeal of the bank against a hold of its own, as the door answered it."""
    order = await steps.held(api.world)
    answer = await api.post("/v1/appeals", api.bank, {**SAID, "order_id": str(order["id"])})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_whole_appeal_at_the_door(api: Api) -> None:
    made = await filed(api)
    path = f"/v1/appeals/{made['id']}"
    answered = await api.post(f"{path}/answers", api.police, {"officer_id": "maker", "text": "Đang xác minh."})
    assert (answered.status_code, answered.json()["state"]) == (201, "answered")
    body = appeal_steps.signed(api.world, made["id"], appeal_steps.decision())
    decided = await api.post(f"{path}/decisions", api.police, body)
    assert (decided.status_code, decided.json()["state"]) == (201, "upheld"), decided.text
    assert decided.json()["signature"] == body["signature"]
    shown = (await api.get(path, api.bank)).json()
    assert (shown["state"], shown["answer"], shown["decided_by"]) == ("upheld", "Đang xác minh.", None)
    [line] = (await api.get("/v1/wrongful-holds", api.police)).json()["items"]
    assert (line["agency_id"], line["upheld"], line["wrongful_holds"]) == ("ca-tinh-79", 1, 1)
    assert [each["id"] for each in (await api.get("/v1/appeals", api.police)).json()["items"]] == [made["id"]]


async def test_the_signature_is_over_the_body_as_it_was_sent_whatever_its_spacing(api: Api) -> None:
    made = await filed(api)
    body = appeal_steps.signed(api.world, made["id"], appeal_steps.decision("rejected"))
    path = f"/v1/appeals/{made['id']}/decisions"
    spaced = json.dumps(dict(reversed(body.items())), indent=3, ensure_ascii=False)
    headers = {**api.police.headers, "Content-Type": "application/json"}
    changed = spaced.replace("không liên quan", "có liên quan")
    refused = await api.http.post(path, content=changed.encode(), headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "signature.invalid")
    assert (await api.http.post(path, content=spaced.encode(), headers=headers)).status_code == 201


@pytest.mark.parametrize(
    ("who", "method", "path"),
    [
        ("police", "POST", "/v1/appeals"),
        ("bank", "POST", "/v1/appeals/{id}/answers"),
        ("bank", "POST", "/v1/appeals/{id}/decisions"),
        ("coordinator", "POST", "/v1/appeals/{id}/answers"),
        ("coordinator", "POST", "/v1/appeals/{id}/decisions"),
        ("bank", "GET", "/v1/wrongful-holds"),
        ("admin", "GET", "/v1/appeals"),
        ("admin", "GET", "/v1/appeals/{id}"),
    ],
)
async def test_a_system_without_the_scope_is_refused(api: Api, who: str, method: str, path: str) -> None:
    made = await filed(api)
    bodies = {"appeals": {**SAID, "order_id": made["order_id"]}, "answers": {"officer_id": "maker", "text": "x"}}
    body = bodies.get(path.rpartition("/")[2], appeal_steps.decision())
    system: System = getattr(api, who)
    called = path.format(id=made["id"])
    answer = await (api.get(called, system) if method == "GET" else api.post(called, system, body))
    assert (answer.status_code, answer.json()["code"]) == (403, "scope.missing")


async def test_what_is_foreign_is_answered_as_what_does_not_exist_byte_for_byte(api: Api) -> None:
    made = await filed(api)
    other = await api.enroll(System("tcb-system"), "techcombank", Role.PARTICIPANT_OPERATOR)
    agency = await api.enroll(System("mps-system"), "sbv", Role.SUPERVISOR, Role.AUDITOR)
    for system in (other, agency):
        pages = {(await api.get(f"/v1/appeals/{each}", system)).content for each in (made["id"], uuid4())}
        assert len(pages) == 1 and b'"not_found"' in pages.pop()
    bodies = [{**SAID, "order_id": str(each)} for each in (made["order_id"], uuid4())]
    answers = [await api.post("/v1/appeals", other, body) for body in bodies]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


async def test_the_state_needs_the_reference_alone_and_says_nothing_else(api: Api) -> None:
    made = await filed(api)
    shown = await api.http.get(f"/v1/appeals/{made['reference']}/state")
    assert shown.status_code == 200
    assert shown.json() == {
        "reference": made["reference"],
        "state": "filed",
        **{name: made[name] for name in ("filed_at", "answer_due_at", "decision_due_at")},
        "answered_at": None,
        "decided_at": None,
    }
    await appeal_steps.decide(api.world, await appeal_steps.shown(api.world, made["id"]), "rejected")
    assert (await api.http.get(f"/v1/appeals/{made['reference']}/state")).json()["state"] == "rejected"


async def test_a_reference_that_was_never_given_is_the_same_404_as_a_malformed_one(api: Api) -> None:
    made = await filed(api)
    tried = ["KN-261124-0000000000", made["reference"].lower(), made["reference"][:-1], made["id"], "x" * 2000, "%00"]
    answers = [await api.http.get(f"/v1/appeals/{reference}/state") for reference in tried]
    assert {answer.status_code for answer in answers[:-1]} == {404}
    assert len({answer.content for answer in answers[:-1]}) == 1
    assert answers[-1].status_code in {400, 404}
    assert re.search("reference", answers[0].text) is None


async def test_strangers_are_counted_by_address_at_both_doors(api: Api) -> None:
    made = await filed(api)
    api.app.state.limits["stranger"] = Limits(3, 600, now=stopped)
    places = [f"/v1/appeals/{made['reference']}/state", f"/appeals/{made['reference']}"]
    codes = [(await api.http.get(place)).status_code for place in places * 3]
    assert codes == [200, 200, 200, 429, 429, 429]
    limited = await api.http.get(places[0])
    assert limited.json()["code"] == "rate.exceeded" and int(limited.headers["retry-after"]) >= 1
    # Somebody with a token is not held up by strangers.
    assert (await api.get("/v1/appeals", api.bank)).status_code == 200


BAD = [
    {"ground": "not_involved", "statement": ""},
    {"ground": "not_involved", "statement": " x"},
    {"ground": "not_involved", "statement": "x" * 2001},
    {"ground": "bribed", "statement": "x"},
    {"ground": "other"},
    {"ground": "other", "statement": "x", "appellant": {"name": "A", "phone": "113"}},
    {"ground": "other", "statement": "x", "request_reference": "HT-261124-000000"},
    {"ground": "other", "statement": "x", "order_id": "1"},
    {"ground": "other", "statement": "x", "amount": "1"},
]


@pytest.mark.parametrize("body", BAD)
async def test_a_wrong_field_is_named_and_nothing_is_written(api: Api, body: dict[str, Any]) -> None:
    order = await steps.held(api.world)
    before = await api.counts()
    answer = await api.post("/v1/appeals", api.coordinator, {"order_id": str(order["id"]), **body})
    assert (answer.status_code, answer.json()["code"]) == (422, "input.invalid")
    assert answer.json()["errors"]
    assert await api.counts() == before


async def test_a_repeated_call_is_told_the_reference_of_the_first_one(api: Api) -> None:
    made = await filed(api)
    again = await api.post("/v1/appeals", api.bank, {**SAID, "order_id": made["order_id"]})
    assert (again.status_code, again.json()["code"]) == (409, "appeal.already_open")
    assert made["reference"] in again.json()["detail"]


async def test_the_console_tells_the_story_of_an_appeal_without_its_words(api: Api) -> None:
    order = await steps.held(api.world)
    await api.world.answer(order, outcome="executed", amount_held=vnd(order["amount"]))
    made = await appeal_steps.file_for_a_person(api.world, order_id=str(order["id"]))
    await appeal_steps.decide(api.world, made)
    told = (await api.get(f"/v1/requests/{order['request_id']}/timeline", api.police)).json()["facts"]
    sentences = {fact["code"]: fact["text"] for fact in told}
    assert sentences["appeal.filed"]["en"] == (
        f"A person appealed against the measure: the wrong person (appeal {made.reference})."
    )
    assert sentences["appeal.decided"]["vi"] == (
        f"Thiếu tá 079-approver đã giải quyết khiếu nại {made.reference}: được chấp nhận, người này không liên quan."
    )
    assert "an appeal against it was upheld" in sentences["order.lapsed"]["en"]
    assert appeal_steps.STATEMENT not in json.dumps(told, ensure_ascii=False)
