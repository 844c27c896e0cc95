"""The administrators' door: every route asks for its scope, answers in its shape, and tells strangers nothing."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import registry_forms as forms
from builders import Builder
from fastapi import FastAPI
from fastapi.routing import APIRoute

from service.api import endpoints, registry, tasks
from service.engine.hub import OPERATOR, Hub
from service.security.principals import Principal, ScopeMissing, of_person
from service.web import doors, guards
from workflows.terms import Role, Sector

ADMIN = of_person("admin", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.HUB_ADMIN, Role.COORDINATOR])


class Door:
    """The admin routes behind the guards; ``who`` is the caller that a token would have told."""

    def __init__(self, hub: Hub) -> None:
        self.who: Principal = ADMIN
        app = FastAPI()
        app.state.hub = hub
        for part in (registry, endpoints, tasks):
            app.include_router(part.router)
        app.dependency_overrides[doors.caller] = lambda: self.who
        guards.install(app)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://hub.example")

    async def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return await self.client.request(method, f"/v1{path}", json=body)


@pytest.fixture
async def door(hub: Hub) -> AsyncIterator[Door]:
    """The door, open for an administrator of the hub."""
    made = Door(hub)
    yield made
    await made.client.aclose()


def routes() -> Iterator[APIRoute]:
    for part in (registry, endpoints, tasks):
        yield from (route for route in part.router.routes if isinstance(route, APIRoute))


def test_every_operation_has_an_id_of_its_own() -> None:
    ids = [route.operation_id for route in routes()]
    assert len(set(ids)) == len(ids) == 26
    assert {"listParticipants", "enrollClient", "registerEndpoint", "setPolicy", "resolveTask"} <= set(ids)


async def test_a_member_is_run_through_its_door(door: Door, build: Builder) -> None:
    await build.participant("bank-a", status="listed")
    client = forms.client().model_dump(mode="json", exclude_none=True)
    made = await door.ask("POST", "/participants/bank-a/clients", client)
    assert made.status_code == 201, made.text
    hook = await door.ask("POST", "/participants/bank-a/endpoints", forms.webhook().model_dump(mode="json"))
    assert hook.status_code == 201, hook.text
    assert hook.json()["secret"].startswith("whsec_")
    endpoint = hook.json()["endpoint"]["id"]
    turned = await door.ask("POST", f"/participants/bank-a/endpoints/{endpoint}/secrets", {})
    assert turned.status_code == 201, turned.text
    duty = {
        "name": "Trực ban",
        "reached_by": {"channel": "email", "address": "truc@bank.example"},
        "hours": {"starts": "22:00", "ends": "06:00"},
    }
    contact = await door.ask("POST", "/participants/bank-a/contacts", duty)
    assert contact.status_code == 201, contact.text
    shown = (await door.ask("GET", "/participants/bank-a")).json()
    assert shown["status"] == "active"
    assert shown["contacts"][0]["hours"] == {"starts": "22:00:00", "ends": "06:00:00"}
    assert "whsec_" not in str(shown)
    gone = await door.ask("DELETE", f"/participants/bank-a/contacts/{contact.json()['id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await door.ask("GET", "/participants/bank-a")).json()["contacts"] == []
    revoked = await door.ask("POST", "/participants/bank-a/revocations", {"kid": made.json()["kid"]})
    assert revoked.status_code == 204
    stop = {"kind": "participant", "id": "bank-a"}
    assert (await door.ask("POST", "/participants/bank-a/suspensions", stop)).json()["suspended"]
    listed = (await door.ask("GET", "/participants?sector=bank&status=suspended")).json()
    assert [each["id"] for each in listed["items"]] == ["bank-a"]
    assert not (await door.ask("POST", "/participants/bank-a/resumptions", stop)).json()["suspended"]


async def test_policies_and_clocks_are_set_and_shown(door: Door, build: Builder) -> None:
    await build.participant(OPERATOR, Sector.HUB)
    shipped = (await door.ask("GET", "/policies/vn-default")).json()
    assert (shipped["version"], shipped["created_by"]) == (2, None)
    text = shipped["text"].replace("version = 2", "version = 3")
    assert (await door.ask("PUT", "/policies/vn-default", {"text": text})).json()["version"] == 3
    assert (await door.ask("GET", "/policies/vn-default")).json()["created_by"] == "admin"
    assert (await door.ask("GET", "/policies/none-such")).status_code == 404
    limit = {"stage": "execute", "within_seconds": 90, "legal_basis": "emergency"}
    assert (await door.ask("POST", "/time-limits", limit)).status_code == 201
    assert [each["within_seconds"] for each in (await door.ask("GET", "/time-limits")).json()["items"]] == [90]
    day = await door.ask("PUT", "/calendar-days/2027-03-03", {"kind": "holiday"})
    assert day.json() == {"day": "2027-03-03", "kind": "holiday"}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/participants/bank-a/clients", {"id": "c", "roles": ["maker"], "key": {}}, "/key/kty"),
        ("/participants/bank-a/endpoints", {"channel": "fax"}, "/channel"),
        ("/participants/bank-a/endpoints", {"channel": "pull", "url": "https://x.example"}, "/url"),
        ("/participants/bank-a/contacts", {"name": " ", "reached_by": {"channel": "email", "address": "a@b"}}, "/name"),
        ("/participants/bank-a/suspensions", {"kind": "bank", "id": "bank-a"}, "/kind"),
        ("/time-limits", {"stage": "execute", "within_seconds": 1.5}, "/within_seconds"),
        ("/time-limits", {"stage": "execute", "within_seconds": True}, "/within_seconds"),
    ],
)
async def test_bad_input_is_a_problem_that_names_the_field(
    door: Door, build: Builder, path: str, body: Any, field: str
) -> None:
    await build.participant("bank-a")
    answer = await door.ask("POST", path, body)
    assert answer.status_code == 422
    assert field in [each["field"] for each in answer.json()["errors"]]


async def test_another_agency_is_as_unknown_as_none_at_every_route(door: Door, build: Builder) -> None:
    for name in ("agency-a", "agency-b"):
        await build.participant(name, Sector.AGENCY)
    door.who = forms.agency_admin("agency-a")
    officer = forms.officer().model_dump(mode="json")
    duty = forms.contact().model_dump(mode="json")
    stop = {"kind": "officer", "id": "officer-n"}
    for method, rest, body in (
        ("GET", "", None),
        ("POST", "/officers", officer),
        ("POST", "/contacts", duty),
        ("POST", "/suspensions", stop),
        ("POST", "/revocations", {"kid": "k" * 43}),
    ):
        foreign, unknown = [
            await door.ask(method, f"/participants/{name}{rest}", body) for name in ("agency-b", "nobody")
        ]
        assert (foreign.status_code, foreign.content) == (404, unknown.content)
        assert (await door.ask(method, f"/participants/agency-a{rest}", body)).status_code in (200, 201, 404)
    listed = (await door.ask("GET", "/participants")).json()["items"]
    assert [each["id"] for each in listed] == ["agency-a"]


async def test_each_route_asks_for_a_scope(hub: Hub, build: Builder) -> None:
    await build.participant("bank-a")
    nobody = of_person("nobody", tenant="bank-a", sector=Sector.BANK, roles=[])
    values: dict[str, Any] = {"participant_id": "bank-a", "name": "vn-default", "caller": nobody, "hub": hub}
    asked = 0
    for route in routes():
        names = route.endpoint.__annotations__.keys() - {"return"}
        given = {name: values.get(name, _Anything()) for name in names}
        with pytest.raises(ScopeMissing):
            await route.endpoint(**given)
        asked += 1
    assert asked == 26


class _Anything:
    """Stands for a body or an id that no route may look at before it knows the caller."""

    text = "no toml ="
    kid = "k"
    sha256 = "s"

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return False
