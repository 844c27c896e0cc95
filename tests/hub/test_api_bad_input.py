"""Bad input costs nothing: each gets a problem that names the field, nothing is written, and never a 5xx."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import world as worlds
from apis import Api, System, grown

from service import clock
from workflows.terms import Role

pytest_plugins = ["api_fixtures"]

# Made up; none of it may ever stand in an answer or in a log line.
CANARIES = ("7779998887776", "+84977766655", "PHAM THI CHIM VANG")
OTHER_TARGET = {"kind": "account", "institution": "970436", "holder_name": CANARIES[2]}
KEY, JSON = "Idempotency-Key", "application/json"
Case = tuple[Any, int, str, str | None]


def freeze(**changes: Any) -> dict[str, Any]:
    """A good freeze with the canaries in it."""
    contact = {"name": CANARIES[2], "phone": CANARIES[1]}
    return worlds.freeze(target={**OTHER_TARGET, "value": CANARIES[0]}, contact=contact, **changes)


def target(**changes: Any) -> dict[str, Any]:
    return freeze() | {"target": {**freeze()["target"], **changes}}


def takedown(kind: str, value: Any, **more: Any) -> dict[str, Any]:
    return worlds.takedown({"kind": kind, "value": value, **more})


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


def at(**after: float) -> str:
    return (clock.utc_now() + timedelta(**after)).isoformat()


def wrong_shapes() -> dict[str, Case]:
    aml = {"legal_basis": "aml_postponement", "officer_id": "approver"}
    return {
        "unknown field": (freeze(colour="red"), 422, "/colour", "field.unknown"),
        "unknown field inside": (target(colour="red"), 422, "/target/colour", "field.unknown"),
        "field with a person's name": (freeze(**{CANARIES[2]: 1}), 422, "/*", "field.unknown"),
        "missing field": (without(freeze(), "document"), 422, "/document", "field.missing"),
        "no action": (without(freeze(), "action"), 422, "/action", "field.missing"),
        "unknown action": (freeze(action="thaw"), 422, "/action", "field.not_in_list"),
        "unknown kind": (target(kind="soul"), 422, "/target/kind", "field.not_in_list"),
        "wrong type": (freeze(officer_id=7), 422, "/officer_id", "field.wrong_type"),
        "a list for an object": (freeze(document=[]), 422, "/document", "field.wrong_type"),
        "not an object": ([freeze()], 422, "", "field.wrong_type"),
        "a number as amount": (freeze(amount={"value": 150000000}), 422, "/amount/value", "field.wrong_type"),
        "float amount": (freeze(amount={"value": 1.5}), 422, "/amount/value", "field.wrong_type"),
        "float amount as text": (freeze(amount={"value": "1.5"}), 422, "/amount/value", "field.pattern"),
        "negative amount": (freeze(amount={"value": "-1"}), 422, "/amount/value", "field.pattern"),
        "no amount at all": (freeze(amount={"value": "0"}), 422, "/amount/value", "field.pattern"),
        "other digits": (freeze(amount={"value": "١٢٣"}), 422, "/amount/value", "field.pattern"),
        "huge amount": (freeze(amount={"value": "9" * 16}), 422, "/amount/value", "field.pattern"),
        "other currency": (freeze(amount={"value": "1", "currency": "USD"}), 422, "/amount/currency", None),
        "neither amount nor whole": (without(freeze(), "amount"), 422, "", "freeze.amount_or_whole_account"),
        "amount and whole": (freeze(whole_account={"reason": "x"}), 422, "", "freeze.amount_or_whole_account"),
        "end in the past": (freeze(ends_at=at(hours=-1)), 422, "/ends_at", "ends_at.past"),
        "end before the start": (
            freeze(starts_at=at(minutes=4), ends_at=at(minutes=3)),
            422,
            "/ends_at",
            "ends_at.past",
        ),
        "end beyond the maximum": (freeze(ends_at=at(days=31)), 422, "/ends_at", "ends_at.beyond_maximum"),
        "end beyond three working days": (
            freeze(ends_at=at(days=29), **aml),
            422,
            "/ends_at",
            "ends_at.beyond_maximum",
        ),
        "start far ahead": (freeze(starts_at="2999-01-01T00:00:00Z", **aml), 422, "/starts_at", "starts_at.future"),
        "start ahead": (freeze(starts_at=at(minutes=6)), 422, "/starts_at", "starts_at.future"),
        "start long ago": (freeze(starts_at=at(days=-2)), 422, "/starts_at", "starts_at.past"),
        "instant without offset": (freeze(ends_at="2026-11-25T00:00:00"), 422, "/ends_at", "field.instant"),
        "instant as a number": (freeze(ends_at=1_800_000_000), 422, "/ends_at", "field.instant"),
        "instant as digits": (freeze(ends_at="1800000000"), 422, "/ends_at", "field.instant"),
        "the last instant of all": (freeze(starts_at="9999-12-31T23:59:59Z"), 422, "/starts_at", "field.instant"),
        "a year 3000 by its offset": (
            {**takedown("domain", "scam.example.com"), "ends_at": "2999-12-31T23:59:59-23:59"},
            422,
            "/ends_at",
            "field.instant",
        ),
        "before the first instant": (freeze(ends_at="0001-01-01T00:00:00+14:00"), 422, "/ends_at", "field.instant"),
        "day as a number": (
            freeze(document={"number": "1", "date": 0, "sha256": "ab" * 32}),
            422,
            "/document/date",
            "field.date",
        ),
        "unknown bank": (target(institution="Ngan hang khong co"), 422, "/target/institution", "institution.unknown"),
        "unknown BIN": (target(institution="970999"), 422, "/target/institution", "institution.unknown"),
        "unknown officer": (freeze(officer_id="nobody"), 422, "/officer_id", "officer.unknown"),
        "bad card": (target(kind="card", value="4000000000000000"), 422, "/target/value", "target.card"),
        "unknown original": (worlds.lift(uuid4()), 422, "/original_request_id", "request.unknown"),
        "original is no id": (
            {**worlds.lift(uuid4()), "original_request_id": "x"},
            422,
            "/original_request_id",
            "field.uuid",
        ),
        "malformed E.164": (takedown("phone", "0977766655"), 422, "/targets/0/value", "field.pattern"),
        "too short E.164": (takedown("phone", "+8412345"), 422, "/targets/0/value", None),
        "no such country": (takedown("phone", "+9999999999"), 422, "/targets/0/value", "target.e164"),
        "malformed punycode": (takedown("domain", "xn--zzzzzz9999.vn"), 422, "/targets/0/value", "target.domain"),
        "plain text as punycode": (takedown("domain", "xn--vietcombank-.vn"), 422, "/targets/0/value", "target.domain"),
        "punycode in a URL": (
            takedown("url", "https://xn--zzzzzz9999.vn/"),
            422,
            "/targets/0/value",
            None,
        ),
        "punycode in a mailbox": (takedown("email", "a@xn--zzzzzz9999.vn"), 422, "/targets/0/value", "target.domain"),
        "a public suffix": (takedown("domain", "com.vn"), 422, "/targets/0/value", "target.public_suffix"),
        "a zero-width joiner": (takedown("domain", "viet\u200dcombank.vn"), 422, "/targets/0/value", "target.domain"),
        "an address for a domain": (takedown("domain", "203.0.113.7"), 422, "/targets/0/value", "target.domain"),
        "a URL with a password": (takedown("url", "https://a:b@x.example.com/"), 422, "/targets/0/value", "target.url"),
        "a URL that grows": (takedown("url", "https://a.com/" + "ạ" * 2000), 422, "/targets/0/value", "field.too_long"),
        "a script as URL": (takedown("url", "javascript:alert(1)"), 422, "/targets/0/value", "target.url"),
        "101 targets": (
            worlds.takedown(*({"kind": "domain", "value": f"scam-{n}.example.com"} for n in range(101))),
            422,
            "/targets",
            "field.too_many",
        ),
        "no target": (worlds.takedown(), 422, "/targets", "field.too_few"),
        "a target twice": (
            worlds.takedown(*[{"kind": "domain", "value": "scam.example.com"}] * 2),
            422,
            "/targets/1",
            "target.repeated",
        ),
        "a measure that cannot be": (
            {**takedown("phone", "+84980000001"), "measure": "remove"},
            422,
            "/measure",
            "measure.not_for_target",
        ),
        "money as a takedown": (takedown("account", CANARIES[0]), 422, "/targets/0/kind", "field.not_in_list"),
    }


def wrong_texts() -> dict[str, Case]:
    good = json.dumps(freeze())
    return {
        "over 64 KiB": (good[:-1] + " " * 65_536 + "}", 413, "", "body.too_large"),
        "NaN": (good.replace('"150000000"', "NaN"), 400, "/amount/value", "json.not_a_number"),
        "Infinity": (good.replace('"150000000"', "-Infinity"), 400, "/amount/value", "json.not_a_number"),
        "1e999": (good.replace('"150000000"', "1e999"), 400, "/amount/value", "json.number_range"),
        "a long integer": (good.replace('"150000000"', "9" * 30), 400, "/amount/value", "json.number_range"),
        "duplicate keys": (good[:-1] + ', "action": "lift"}', 400, "/action", "json.duplicate_key"),
        "duplicate keys inside": (good.replace('"currency"', '"value"'), 400, "/amount/value", "json.duplicate_key"),
        "NUL": (good.replace("01/2026/CA", "01\\u0000"), 400, "/case_number", "json.control_character"),
        "a raw NUL": (good.replace("01/2026/CA", "01\x00"), 400, "", "json.control_character"),
        "text that turns": (good.replace("01/2026/CA", "01\\u202e"), 400, "/case_number", "json.control_character"),
        "a lone surrogate": (good.replace("01/2026/CA", "01\\ud800"), 400, "/case_number", "json.lone_surrogate"),
        "depth": (good[:-1] + ', "x": ' + "[" * 40 + "]" * 40 + "}", 400, "", "json.depth"),
        "depth without end": ("[" * 60_000, 400, "", "json.depth"),
        "no JSON": (good[:-1], 400, "", "json.syntax"),
        "two values": (good + good, 400, "", "json.trailing_data"),
        "nothing": ("", 400, "", "json.empty"),
        "no UTF-8": (good.encode("utf-16"), 400, "", None),
        "a byte order mark": (b"\xef\xbb\xbf" + good.encode(), 400, "", "json.bom"),
    }


async def test_a_wrong_field_is_named_and_nothing_is_written(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    before = await api.counts()
    for name, (body, status, field, code) in wrong_shapes().items():
        check(name, await api.file(body), status, field, code)
    assert grown(before, await api.counts()) == {}
    check_no_canary(caplog.text)


async def test_a_text_that_is_not_strict_json_is_refused_and_nothing_is_written(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    before = await api.counts()
    for name, (content, status, field, code) in wrong_texts().items():
        check(name, await send(api, content), status, field, code)
    assert grown(before, await api.counts()) == {}
    check_no_canary(caplog.text)


async def test_a_wrong_header_is_named_and_nothing_is_written(api: Api) -> None:
    before, good = await api.counts(), json.dumps(freeze())
    cases: dict[str, tuple[Mapping[str, str], int, str, str]] = {
        "wrong type": ({"Content-Type": "text/plain"}, 415, "Content-Type", "body.content_type"),
        "form": ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "Content-Type", "body.content_type"),
        "other charset": (
            {"Content-Type": "application/json; charset=utf-16"},
            415,
            "Content-Type",
            "body.content_type",
        ),
        "compressed": ({"Content-Encoding": "gzip"}, 415, "Content-Encoding", "body.content_encoding"),
        "no key": ({KEY: ""}, 400, KEY, "field.too_short"),
        "short key": ({KEY: "1234567"}, 400, KEY, "field.too_short"),
        "long key": ({KEY: "1" * 129}, 400, KEY, "field.too_long"),
        "odd key": ({KEY: "one two three"}, 400, KEY, "field.pattern"),
    }
    for name, (headers, status, field, code) in cases.items():
        check(name, await send(api, good, headers), status, field, code)
    missing = await api.http.post("/v1/requests", content=good, headers={**api.police.headers, "Content-Type": JSON})
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key.missing")
    assert grown(before, await api.counts()) == {}


async def test_the_same_key_with_another_body_is_refused_and_with_the_same_answered_again(api: Api) -> None:
    key = uuid4().hex
    first = await api.file(freeze(), key)
    assert first.status_code == 201 and "idempotency-replayed" not in first.headers
    before = await api.counts()
    again = await api.file(freeze(), key)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.json() == first.json() and again.headers["location"] == first.headers["location"]
    check("other body", await api.file(freeze(case_number="2"), key), 422, KEY, "idempotency_key.reused")
    assert grown(before, await api.counts()) == {}


async def test_a_key_belongs_to_the_system_that_used_it(api: Api) -> None:
    key = uuid4().hex
    first = await api.file(freeze(), key)
    other = await api.enroll(System("other-system"), worlds.AGENCY, Role.MAKER)
    second = await api.file(freeze(case_number="2"), key, other)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]


async def test_a_wrong_query_is_named_and_never_a_5xx(api: Api) -> None:
    cases = {
        ("/v1/requests", "limit", "0"): "field.out_of_range",
        ("/v1/requests", "limit", "9" * 40): "field.out_of_range",
        ("/v1/requests", "limit", "ten"): "field.wrong_type",
        ("/v1/requests", "state", "asleep"): "field.not_in_list",
        ("/v1/requests", "submitted_from", "yesterday"): "field.instant",
        ("/v1/requests", "submitted_from", "0001-01-01T00:00:00+14:00"): "field.instant",
        ("/v1/requests", "after", "zzzz"): "cursor.invalid",
        ("/v1/requests", "after", "MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMHww"): "cursor.invalid",
        ("/v1/requests", "after", "ạ"): "cursor.invalid",
        ("/v1/escalations", "request_id", "x"): "field.uuid",
        ("/v1/escalations", "after", "e30"): "cursor.invalid",
    }
    for (path, name, value), code in cases.items():
        check(value, await api.get(path, api.police, **{name: value}), 422, name, code)
    for value in ("-1", "9" * 19, "9" * 40):
        check(value, await api.get("/v1/orders", api.bank, after=value), 422, "after", "field.out_of_range")
    check("id", await api.get("/v1/requests/0", api.police), 422, "request_id", "field.uuid")
    check("day", await put_day(api, "0"), 422, "day", "field.date")
    assert (await api.http.get("/v1/requests?case_number=%00", headers=api.police.headers)).status_code == 400
    assert (await api.http.get("/v1/nothing", headers=api.police.headers)).status_code == 404
    assert (await api.http.delete("/v1/requests", headers=api.police.headers)).status_code == 405


async def test_an_unknown_parameter_or_a_body_where_none_belongs_writes_nothing(api: Api) -> None:
    before = await api.counts()
    answer = await api.http.request("GET", "/v1/requests", content=b"{}", headers=api.police.headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "body.not_expected")
    assert grown(before, await api.counts()) == {}


async def test_a_wrong_acknowledgement_is_named_and_nothing_is_written(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    request = await api.active(freeze())
    path = f"/v1/orders/{request['order_list'][0]['id']}/acknowledgements"
    before = await api.counts()
    held = {"value": "1", "currency": "VND"}
    cases: dict[str, Case] = {
        "unknown field": ({"outcome": "received", "note": CANARIES[0]}, 422, "/note", "field.unknown"),
        "no outcome": ({}, 422, "/outcome", "field.missing"),
        "unknown outcome": ({"outcome": "maybe"}, 422, "/outcome", "field.not_in_list"),
        "amount too early": ({"outcome": "received", "amount_held": held}, 422, "", None),
        "no code": ({"outcome": "refused"}, 422, "", "acknowledgement.refusal_code"),
        "negative": (
            {"outcome": "executed", "amount_held": {"value": "-1"}},
            422,
            "/amount_held/value",
            "field.pattern",
        ),
        "float": ({"outcome": "executed", "amount_held": {"value": 1.0}}, 422, "/amount_held/value", None),
        "too much": (executed("150000001"), 422, "/amount_held", "amount_held.more_than_asked"),
        "nobody": ({"outcome": "not_mine", "ported_to": CANARIES[2]}, 422, "/ported_to", "institution.unknown"),
        "elsewhere": ({"outcome": "received", "ported_to": "bidv"}, 422, "", "acknowledgement.ported_to"),
    }
    for name, (body, status, field, code) in cases.items():
        check(name, await api.post(path, api.bank, body), status, field, code)
    assert grown(before, await api.counts()) == {}
    check_no_canary(caplog.text)


async def send(api: Api, content: str | bytes, headers: Mapping[str, str] | None = None) -> httpx.Response:
    given = {**api.police.headers, "Content-Type": JSON, KEY: uuid4().hex, **(headers or {})}
    return await api.http.post("/v1/requests", content=content, headers=given)


def executed(value: Any) -> dict[str, Any]:
    return {"outcome": "executed", "amount_held": {"value": value}}


async def put_day(api: Api, day: str) -> httpx.Response:
    return await api.http.put(f"/v1/calendar-days/{day}", json={"kind": "holiday"}, headers=api.admin.headers)


def check(name: str, answer: httpx.Response, status: int, field: str, code: str | None) -> None:
    assert answer.status_code == status, (name, answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/problem+json", name
    problem = answer.json()
    places = {(each["field"], each["code"]) for each in problem["errors"]}
    assert code is None or code == problem["code"] or (field, code) in places, (name, problem)
    assert not places or field in {place for place, _ in places}, (name, problem)
    texts = (problem["title"], problem["title_vi"], problem["detail"], problem["detail_vi"])
    assert all(texts) and problem["type"] == f"urn:hoatoc:problem:{problem['code']}", name
    check_no_canary(answer.text)


def check_no_canary(text: str) -> None:
    assert not any(canary in text or canary.lstrip("+") in text for canary in CANARIES)
