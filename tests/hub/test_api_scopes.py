"""Each door opens for its scope and for no other: made from the contract, so that a new door is asked too."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import world as worlds
from apis import Api, System, grown

from service import clock
from service.contract import examples
from service.security import scopes, tokens
from service.security.scopes import Scope
from workflows.terms import Role, Sector

pytest_plugins = ["api_fixtures"]

HUB = json.loads((Path(__file__).parents[2] / "openapi" / "hub.v1.json").read_text("utf-8"))
GUARDED = {
    operation["operationId"]: (path, method, {Scope(each["accessToken"][0]) for each in operation["security"]})
    for path, item in HUB["paths"].items()
    for method, operation in item.items()
    if operation["security"]
}
# Systems that together may hold every scope, each with all the roles of its sector.
SYSTEMS = (
    ("all-agency", worlds.AGENCY, Sector.AGENCY),
    ("all-bank", "vietcombank", Sector.BANK),
    ("all-hub", "hoatoc-hub", Sector.HUB),
)


async def test_a_door_is_shut_without_its_scope_and_writes_nothing(api: Api) -> None:
    systems = await everybody(api)
    before = await api.counts()
    for name, (_, _, needed) in GUARDED.items():
        for system, held in systems.values():
            if held - needed:
                answer = await call(api, name, token(api, system, held - needed))
                assert (answer.status_code, answer.json()["code"]) == (403, "scope.missing"), (name, system.id)
                assert any(scope.value in answer.json()["detail"] for scope in needed), name
    assert grown(before, await api.counts()) == {}


async def test_a_door_is_open_with_its_scope_alone(api: Api) -> None:
    systems = await everybody(api)
    for name, (_, _, needed) in GUARDED.items():
        for scope in needed:
            system = next(system for system, held in systems.values() if scope in held)
            answer = await call(api, name, token(api, system, {scope}))
            refused = answer.status_code in {401, 403} and not answer.json()["code"].startswith("authority.")
            assert not refused and answer.status_code < 500, (name, scope, answer.text)


async def test_a_token_never_opens_more_than_its_system_may(api: Api) -> None:
    forged = token(api, api.bank, set(Scope))
    assert (await api.http.get("/v1/orders", headers=forged)).status_code == 200
    for path in ("/v1/requests", "/v1/tasks", "/v1/participants", "/v1/policies/vn-default"):
        assert (await api.http.get(path, headers=forged)).status_code == 403


async def everybody(api: Api) -> dict[str, tuple[System, set[Scope]]]:
    found = {}
    for name, tenant, sector in SYSTEMS:
        roles = [role for role in Role if sector in scopes.SECTORS[role]]
        system = await api.enroll(System(name), tenant, *roles)
        found[name] = (system, set(scopes.scopes_of(roles, sector)))
    return found


def token(api: Api, system: System, granted: set[Scope]) -> dict[str, str]:
    address = api.hub.settings.address
    made, _, _ = tokens.issue_access_token(
        api.hub.signing[0],
        issuer=address,
        audience=address,
        client_id=system.id,
        subject=system.id,
        scopes=granted,
        jkt=system.kid,
        now=clock.utc_now(),
        lifetime=timedelta(minutes=5),
    )
    return {"Authorization": f"DPoP {made}"}


async def call(api: Api, name: str, headers: dict[str, str]) -> httpx.Response:
    path, method, _ = GUARDED[name]
    shown = examples.load()[name]
    placed = {key: value for key, value in shown.parameters.items() if f"{{{key}}}" in path}
    body: dict[str, Any] = {"json": shown.requests[name]} if shown.requests else {}
    if isinstance(body.get("json"), str):
        body = {"content": body["json"], "headers": {"Content-Type": "application/xml"}}
    headers = {**body.pop("headers", {}), **headers}
    if name == "submitRequest":
        headers = {**headers, "Idempotency-Key": uuid4().hex}
    return await api.http.request(method, path.format(**placed), headers=headers, **body)
