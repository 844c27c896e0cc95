"""Hostile requests cost the hub nothing: each gets its problem, no route sees it, and none becomes a 5xx."""

import json
import traceback
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import httpx
import pytest
import structlog
from fastapi import APIRouter, FastAPI, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError
from starlette.types import Message, Receive, Scope, Send

from service import log
from service.errors import Conflict, Forbidden, MalformedInput, NotFound, TooManyRequests, Unauthenticated, Unavailable
from service.web import bodies, guards, request_log

JSON = {"Content-Type": "application/json"}
GOOD = {
    "kind": "account",
    "target": {"value": "0123", "kind": "account"},
    "amount": {"value": "150000000", "currency": "VND"},
}


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Money(Shape):
    value: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,14}$")]
    currency: Literal["VND"] = "VND"


class Account(Shape):
    kind: Literal["account"]
    value: Annotated[str, StringConstraints(min_length=4, max_length=34)]


class Phone(Shape):
    kind: Literal["phone"]
    value: Annotated[str, StringConstraints(pattern=r"^\+[0-9]{7,15}$")]


class Freeze(Shape):
    kind: Literal["account"]
    target: Annotated[Account | Phone, Field(discriminator="kind")]
    amount: Money
    tags: Annotated[list[str], Field(max_length=3, min_length=1)] = ["x"]
    share: Annotated[int, Field(ge=0, le=100)] = 0

    @model_validator(mode="after")
    def _checked(self) -> "Freeze":
        if self.share == 13:
            raise PydanticCustomError("freeze.amount_or_whole_account", "no", {"field": "share"})
        if self.share == 14:
            raise ValueError("this text quotes 0123")
        return self


class Other(Shape):
    kind: Literal["other"]


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.state.calls = []

    @app.post("/v1/requests")
    async def submit(
        request: Request, body: Annotated[Freeze | Other, Field(discriminator="kind")]
    ) -> dict[str, object]:
        app.state.calls.append(request.state.raw_body)
        assert request.state.json == json.loads(request.state.raw_body)
        return {"kind": body.kind}

    @app.get("/v1/requests/{request_id}")
    async def read(request_id: int, limit: Annotated[int, Query(ge=1, le=100)] = 10) -> int:
        return request_id + limit

    @app.get("/v1/keyed")
    async def keyed(idempotency_key: Annotated[str, Header()]) -> str:
        return idempotency_key

    @app.delete("/v1/requests")
    async def delete() -> None:
        app.state.calls.append(b"")

    @app.post("/oauth/token")
    async def token(request: Request) -> dict[str, str]:
        form: dict[str, str] = request.state.form
        return form

    @app.get("/v1/raise/{what}")
    async def fail(what: str) -> None:
        errors: dict[str, Exception] = {
            "conflict": Conflict("idempotency_key.reused"),
            "forbidden": Forbidden("authority.amount_over_cap", cap="50000000", basis="emergency", rank="dai_uy"),
            "missing": NotFound(),
            "unauthenticated": Unauthenticated("unauthenticated"),
            "limited": TooManyRequests("rate.exceeded", retry_after=7),
            "unavailable": Unavailable("unavailable"),
            "untold": Conflict("never.written.down"),
            "bug": RuntimeError("account 0123456789 of Nguyễn Văn A"),
        }
        raise errors[what]

    @app.get("/static/page.css")
    async def page() -> str:
        return ""

    guards.install(app)
    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://hub.test") as client:
        yield client


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert (found["status"], found["code"], found["type"]) == (status, code, f"urn:hoatoc:problem:{code}")
    for name in ("title", "detail"):
        assert found[name] and found[f"{name}_vi"] and found[name] != found[f"{name}_vi"]
    for entry in found["errors"]:
        assert entry["message"] and entry["message_vi"] and entry["message"] != entry["message_vi"]
    return found


def wrong(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(entry["field"], entry["code"]) for entry in found["errors"]]


async def test_a_good_request_arrives_whole(app: FastAPI, client: httpx.AsyncClient) -> None:
    raw = json.dumps(GOOD, indent=3).encode()
    answer = await client.post("/v1/requests", content=raw, headers={"Content-Type": "Application/JSON; charset=UTF-8"})
    assert (answer.status_code, answer.json()) == (200, {"kind": "account"})
    assert app.state.calls == [raw]


MALFORMED = [
    (b"", "json.empty", ""),
    (b'{"amount":NaN}', "json.not_a_number", "/amount"),
    (b'{"amount":{"value":1e999}}', "json.number_range", "/amount/value"),
    (b'{"kind":"account","kind":"other"}', "json.duplicate_key", "/kind"),
    (b'{"kind":"acc\\u0000ount"}', "json.control_character", "/kind"),
    (b'{"kind":"\\ud800"}', "json.lone_surrogate", "/kind"),
    (b"[" * 60_000, "json.depth", ""),
    (b"\xff", "json.invalid_utf8", ""),
    (b"{}{}", "json.trailing_data", ""),
]


@pytest.mark.parametrize(("raw", "code", "field"), MALFORMED, ids=[case[1] for case in MALFORMED])
async def test_malformed_json_is_a_400_that_names_the_place(
    app: FastAPI, client: httpx.AsyncClient, raw: bytes, code: str, field: str
) -> None:
    answer = await client.post("/v1/requests", content=raw, headers=JSON)
    assert wrong(problem(answer, 400, code)) == [(field, code)]
    assert app.state.calls == []


WRONG_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"amount": None}, "/amount", "field.wrong_type"),
    ({"amount": {}}, "/amount/value", "field.missing"),
    ({"amount": {"value": 1.5}}, "/amount/value", "field.wrong_type"),
    ({"amount": {"value": "-1"}}, "/amount/value", "field.pattern"),
    ({"amount": {"value": "1.5"}}, "/amount/value", "field.pattern"),
    ({"amount": {"value": "1", "currency": "USD"}}, "/amount/currency", "field.not_in_list"),
    ({"amount": {"value": "1", "note": 1}}, "/amount/note", "field.unknown"),
    ({"surprise": 1}, "/surprise", "field.unknown"),
    ({"0912345678": 1}, "/*", "field.unknown"),
    ({"target": {"kind": "account", "value": "1"}}, "/target/value", "field.too_short"),
    ({"target": {"kind": "account", "value": "1" * 35}}, "/target/value", "field.too_long"),
    ({"target": {"kind": "phone", "value": "0912"}}, "/target/value", "field.pattern"),
    ({"target": {"kind": "planet", "value": "1234"}}, "/target/kind", "field.not_in_list"),
    ({"target": {"value": "1234"}}, "/target/kind", "field.missing"),
    ({"target": {"kind": "account"}}, "/target/value", "field.missing"),
    ({"tags": ["a"] * 4}, "/tags", "field.too_many"),
    ({"tags": []}, "/tags", "field.too_few"),
    ({"tags": ["a", 2]}, "/tags/1", "field.wrong_type"),
    ({"share": 101}, "/share", "field.out_of_range"),
    ({"share": True}, "/share", "field.wrong_type"),
    ({"share": 13}, "/share", "freeze.amount_or_whole_account"),
    ({"share": 14}, "", "field.value"),
    ({"kind": "planet"}, "/kind", "field.not_in_list"),
]


@pytest.mark.parametrize(("change", "field", "code"), WRONG_FIELDS, ids=[str(case[0])[:40] for case in WRONG_FIELDS])
async def test_a_wrong_field_is_a_422_that_names_it(
    app: FastAPI, client: httpx.AsyncClient, change: dict[str, Any], field: str, code: str
) -> None:
    answer = await client.post("/v1/requests", json={**GOOD, **change})
    assert wrong(problem(answer, 422, "input.invalid")) == [(field, code)]
    assert app.state.calls == []


async def test_no_answer_repeats_a_value_that_was_sent(client: httpx.AsyncClient) -> None:
    secret = "9704360123456789"
    bodies_ = [
        {**GOOD, "kind": secret},
        {**GOOD, "amount": {"value": secret + "x", "currency": secret}},
        {**GOOD, "target": {"kind": secret, "value": secret}},
        {**GOOD, secret: secret},
        {**GOOD, "share": 14},
    ]
    for body in bodies_:
        answer = await client.post("/v1/requests", json=body)
        assert answer.status_code == 422
        assert secret not in answer.text and "0123" not in answer.text


async def test_an_answer_names_a_hundred_fields_at_most(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/requests", json={**GOOD, **{f"k{number}": 1 for number in range(1_500)}})
    assert len(problem(answer, 422, "input.invalid")["errors"]) == 100


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"1"])
async def test_a_body_that_is_no_object_is_a_422(app: FastAPI, client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/v1/requests", content=body, headers=JSON)
    problem(answer, 422, "input.invalid")
    assert app.state.calls == []


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/jsonx",
        "application/problem+json",
        "",
    ],
)
async def test_another_content_type_is_a_415(app: FastAPI, client: httpx.AsyncClient, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = await client.post("/v1/requests", content=json.dumps(GOOD), headers=headers)
    assert wrong(problem(answer, 415, "body.content_type")) == [("Content-Type", "body.content_type")]
    assert app.state.calls == []


async def test_two_content_types_and_a_compressed_body_are_a_415(client: httpx.AsyncClient) -> None:
    twice = [("Content-Type", "application/json"), ("Content-Type", "application/json")]
    problem(await client.post("/v1/requests", content=b"{}", headers=twice), 415, "body.content_type")
    squeezed = {**JSON, "Content-Encoding": "gzip"}
    problem(await client.post("/v1/requests", content=b"{}", headers=squeezed), 415, "body.content_encoding")


@pytest.mark.parametrize("length", ["-1", "ten", "1e3", "0x10", " ", "１"])
async def test_a_content_length_that_is_no_number_is_a_400(app: FastAPI, length: str) -> None:
    status, _, read = await raw_request(app, [], [(b"content-length", length.encode())])
    assert (status, read) == (400, 0)


async def raw_request(
    app: FastAPI, chunks: list[bytes], headers: list[tuple[bytes, bytes]] | None = None, path: str = "/v1/requests"
) -> tuple[int | None, bytes, int]:
    """Speak ASGI to the app; return status, body, and how many chunks it read."""
    sent: list[Message] = []
    read = 0

    async def receive() -> Message:
        nonlocal read
        if read == len(chunks):
            return {"type": "http.disconnect"}
        read += 1
        return {"type": "http.request", "body": chunks[read - 1], "more_body": read < len(chunks)}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json"), *(headers or [])],
        "client": ("127.0.0.1", 1),
        "server": ("hub.test", 443),
    }
    await app(scope, receive, send)
    started = [message for message in sent if message["type"] == "http.response.start"]
    body = b"".join(message.get("body", b"") for message in sent)
    return (started[0]["status"] if started else None), body, read


@pytest.mark.parametrize("length", [b"65537", b"1" + b"0" * 30, b"0" * 40 + b"65537"])
async def test_a_body_that_says_it_is_too_large_is_refused_before_a_byte_is_read(app: FastAPI, length: bytes) -> None:
    status, body, read = await raw_request(app, [b"x" * 100] * 1000, [(b"content-length", length)])
    assert (status, read) == (413, 0)
    assert json.loads(body)["code"] == "body.too_large"


async def test_a_stream_is_cut_at_64_kib_whatever_its_length_says(app: FastAPI) -> None:
    chunk = b" " * 1024
    for headers in ([], [(b"content-length", b"10")], [(b"transfer-encoding", b"chunked")]):
        status, _, read = await raw_request(app, [chunk] * 1000, headers)
        assert (status, read) == (413, 65)
    assert app.state.calls == []


async def test_64_kib_exactly_pass(app: FastAPI, client: httpx.AsyncClient) -> None:
    raw = json.dumps(GOOD).encode()
    answer = await client.post("/v1/requests", content=raw + b" " * (65_536 - len(raw)), headers=JSON)
    assert answer.status_code == 200
    assert (await client.post("/v1/requests", content=b" " * 65_537, headers=JSON)).status_code == 413


async def test_after_an_early_refusal_the_connection_ends(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/requests", content=b" " * 65_537, headers=JSON)
    assert answer.headers["connection"] == "close"


async def test_a_client_that_goes_away_gets_no_answer_and_reaches_no_route(app: FastAPI) -> None:
    status, body, _ = await raw_request(app, [])
    assert (status, body, app.state.calls) == (None, b"", [])


async def test_a_body_that_never_ends_is_cut(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_WITHIN", 0.0)

    async def receive() -> Message:
        raise TimeoutError

    with pytest.raises(MalformedInput) as caught:
        await bodies._read(receive, 10)
    assert caught.value.code == "body.incomplete"


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD", "OPTIONS"])
async def test_a_body_where_none_is_defined_is_refused(app: FastAPI, client: httpx.AsyncClient, method: str) -> None:
    answer = await client.request(method, "/v1/requests", content=b"{}", headers=JSON)
    assert answer.status_code == 400
    chunked = {"Transfer-Encoding": "chunked"}
    assert (await client.request(method, "/v1/requests", headers=chunked)).status_code == 400
    assert app.state.calls == []


async def test_an_empty_body_is_no_body(app: FastAPI, client: httpx.AsyncClient) -> None:
    assert (await client.request("DELETE", "/v1/requests", headers={"Content-Length": "0"})).status_code == 200
    assert app.state.calls == [b""]


@pytest.mark.parametrize("address", ["/v1/requests/%00", "/v1/requests/1?limit=%0a", "/v1/%ff", "/v1/x?q=%e2%80%ae"])
async def test_an_address_with_control_characters_or_broken_utf8_is_a_400(
    client: httpx.AsyncClient, address: str
) -> None:
    problem(await client.get(address), 400, "url.malformed")


async def test_wrong_parameters_and_headers_are_named(client: httpx.AsyncClient) -> None:
    found = problem(await client.get("/v1/requests/abc?limit=0"), 422, "input.invalid")
    assert wrong(found) == [("request_id", "field.wrong_type"), ("limit", "field.out_of_range")]
    found = problem(await client.get("/v1/keyed"), 400, "header.invalid")
    assert wrong(found) == [("Idempotency-Key", "field.missing")]


async def test_a_form_is_read_for_the_token_route(client: httpx.AsyncClient) -> None:
    answer = await client.post("/oauth/token", data={"grant_type": "client_credentials", "empty": ""})
    assert answer.json() == {"grant_type": "client_credentials", "empty": ""}


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"a=1&a=2", 400, "form.duplicate_parameter"),
        (b"a", 400, "form.malformed"),
        (b"a=%ff", 400, "form.malformed"),
        (b"a=%00", 400, "form.malformed"),
        (b"a=\xff", 400, "form.malformed"),
        (b"&".join(b"k%d=1" % number for number in range(17)), 400, "form.malformed"),
        (b"a=" + b"x" * 8_192, 413, "body.too_large"),
    ],
)
async def test_a_hostile_form_is_refused(client: httpx.AsyncClient, raw: bytes, status: int, code: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    problem(await client.post("/oauth/token", content=raw, headers=headers), status, code)


async def test_json_at_the_token_route_is_a_415(client: httpx.AsyncClient) -> None:
    problem(await client.post("/oauth/token", json={}), 415, "body.content_type")


async def test_unknown_addresses_and_methods_are_problems(client: httpx.AsyncClient) -> None:
    problem(await client.get("/v1/nowhere"), 404, "not_found")
    answer = await client.put("/v1/requests", json={})
    problem(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["allow"]


async def test_an_unknown_thing_and_an_unknown_address_are_byte_identical(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/raise/missing")).content == (await client.get("/v1/nowhere")).content


async def test_each_error_has_its_status_and_its_headers(client: httpx.AsyncClient) -> None:
    problem(await client.get("/v1/raise/conflict"), 409, "idempotency_key.reused")
    answer = await client.get("/v1/raise/unauthenticated")
    problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("DPoP")
    answer = await client.get("/v1/raise/limited")
    problem(answer, 429, "rate.exceeded")
    assert answer.headers["retry-after"] == "7"
    answer = await client.get("/v1/raise/unavailable")
    problem(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    found = problem(await client.get("/v1/raise/forbidden"), 403, "authority.amount_over_cap")
    assert "50.000.000 ₫" in found["detail_vi"] and "50.000.000 ₫" in found["detail"]


async def test_an_error_without_a_text_keeps_its_status_and_code(client: httpx.AsyncClient) -> None:
    problem(await client.get("/v1/raise/untold"), 409, "never.written.down")


async def test_an_unexpected_exception_is_a_500_with_an_incident_and_nothing_else(client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs() as lines:
        answer = await client.get("/v1/raise/bug")
    found = problem(answer, 500, "internal")
    assert "0123456789" not in answer.text and "Traceback" not in answer.text and "RuntimeError" not in answer.text
    assert found["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
    assert answer.headers["x-content-type-options"] == "nosniff"
    failed = next(dict(line) for line in lines if line["event"] == "request.failed")
    written = log.where_it_failed(None, "error", failed)
    assert written["error"] == "builtins.RuntimeError" and any("fail" in each for each in written["frames"])
    assert "0123456789" not in str(written)


async def test_an_answer_that_breaks_off_says_nothing_of_its_cause(app: FastAPI) -> None:
    async def breaks(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("account 0123456789")

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        return None

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises(request_log.BrokenOff) as caught:
        await request_log.RequestLog(breaks)(scope, receive, send)
    assert "0123456789" not in "".join(traceback.format_exception(caught.value))


async def test_routes_of_included_routers_are_logged_by_their_whole_template(app: FastAPI) -> None:
    inner, outer = APIRouter(prefix="/things"), APIRouter(prefix="/v1")

    @inner.get("/{thing_id}/parts")
    async def parts(thing_id: str) -> str:
        return thing_id

    outer.include_router(inner)
    app.include_router(outer)
    with structlog.testing.capture_logs() as lines:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://hub.test") as client:
            assert (await client.get("/v1/things/secret/parts")).status_code == 200
    assert [line["route"] for line in lines] == ["/v1/things/{thing_id}/parts"]


async def test_the_log_has_the_route_and_never_the_content(client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs() as lines:
        await client.get("/v1/requests/77?limit=12", headers={"Authorization": "Bearer secret-token"})
        await client.post("/v1/requests", json={**GOOD, "case": "secret-case"})
        await client.get("/v1/secret-place")
    assert [(line["method"], line["route"], line["status"]) for line in lines if line["event"] == "request"] == [
        ("GET", "/v1/requests/{request_id}", 200),
        ("POST", "/v1/requests", 422),
        ("GET", "unmatched", 404),
    ]
    assert "secret" not in str(lines) and "77" not in str([line["route"] for line in lines])


async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient) -> None:
    for answer in (
        await client.get("/v1/requests/1"),
        await client.get("/v1/nowhere"),
        await client.post("/v1/requests", content=b"", headers=JSON),
        await client.get("/v1/raise/bug"),
    ):
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
    assert "cache-control" not in (await client.get("/static/page.css")).headers
