"""Who called, as trusted proxies alone may say; an address has its budget, and a flood of bad tokens fills no audit."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import world as worlds
from apis import DAY, Api, System, stopped
from front_servers import small_app
from world import World

from service import app as application
from service import db
from service.engine.hub import Hub
from service.security.keyring import SigningKey
from service.settings import Settings
from service.web import addresses
from service.web.crowd import CrowdGuard
from service.web.limits import Limits
from workflows.terms import Role

pytest_plugins = ["api_fixtures"]

PROXIES = addresses.networks(["10.1.0.0/24", "fd00::/8"])
FORWARDED = [
    ("203.0.113.5", [], "203.0.113.5"),
    ("203.0.113.5", ["198.51.100.1"], "203.0.113.5"),
    ("10.1.0.2", ["198.51.100.1"], "198.51.100.1"),
    ("10.1.0.2", ["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
    ("10.1.0.2", ["127.0.0.1", "198.51.100.1"], "198.51.100.1"),
    ("10.1.0.2", ["198.51.100.1, 10.1.0.9"], "198.51.100.1"),
    ("10.1.0.2", ["10.1.0.9"], "10.1.0.9"),
    ("10.1.0.2", ["198.51.100.1, unknown"], "10.1.0.2"),
    ("10.1.0.2", [""], "10.1.0.2"),
    ("10.1.0.2", ["198.51.100.1:443"], "10.1.0.2"),
    ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
    ("::ffff:10.1.0.2", ["198.51.100.1"], "198.51.100.1"),
    ("", ["198.51.100.1"], ""),
]


@pytest.mark.parametrize(("peer", "forwarded", "caller"), FORWARDED)
def test_a_forwarded_address_is_believed_as_far_as_trusted_proxies_wrote_it(
    peer: str, forwarded: list[str], caller: str
) -> None:
    assert addresses.origin(peer, [value.encode() for value in forwarded], PROXIES) == caller


def test_by_default_nobody_is_believed() -> None:
    assert addresses.origin("127.0.0.1", [b"198.51.100.1"], ()) == "127.0.0.1"


@pytest.mark.parametrize("written", ["0.0.0.0/0", "::/0", "10.1.0.5/24", "localhost"])
def test_everybody_is_no_proxy_and_neither_is_what_is_no_network(written: str) -> None:
    with pytest.raises(ValueError, match="proxies"):
        Settings(proxies=(written,))


def test_a_subscriber_who_moves_inside_his_network_stays_one() -> None:
    assert addresses.counted_as("2001:db8:1:2::7") == addresses.counted_as("2001:db8:1:2:ffff::1")
    assert addresses.counted_as("2001:db8:1:2::7") != addresses.counted_as("2001:db8:1:3::7")
    assert addresses.counted_as("::ffff:203.0.113.5") == addresses.counted_as("203.0.113.5") == "203.0.113.5"


@pytest.fixture
async def small() -> AsyncIterator[httpx.AsyncClient]:
    """The small application; each address may call three times."""
    app = small_app()
    app.state.limits["address"] = Limits(3, 3, now=stopped)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.test") as http:
        yield http


async def test_an_address_beyond_its_budget_is_told_when_to_come_back_and_no_route_hears_of_it(
    small: httpx.AsyncClient,
) -> None:
    assert [(await small.get("/v1/hello")).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    # What anybody writes into the header makes him nobody else.
    refused = await small.get("/v1/hello", headers={"X-Forwarded-For": "198.51.100.1"})
    assert refused.status_code == 429 and refused.json()["code"] == "rate.exceeded"
    assert int(refused.headers["retry-after"]) >= 1
    assert (await small.post("/v1/echo", content=b"{")).status_code == 429, "before the body is looked at"


async def test_a_call_too_many_at_one_time_is_told_to_come_back() -> None:
    app = small_app()
    full = CrowdGuard(app, most=0)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(full), base_url="http://hub.test") as http:
        refused = await http.get("/v1/hello")
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "overloaded", "2")
    assert app.state.calls == []
    with_room = CrowdGuard(app, most=1)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(with_room), base_url="http://hub.test") as http:
        assert [(await http.get("/v1/hello")).status_code for _ in range(3)] == [200, 200, 200]


async def test_bodies_that_never_end_take_no_place_in_the_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CrowdGuard.__init__, "__defaults__", (1,))
    app = small_app()
    waiting, for_ever = asyncio.Semaphore(0), asyncio.Event()

    async def dripping() -> AsyncIterator[bytes]:
        yield b'{"a":'
        waiting.release()
        await for_ever.wait()

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.test") as http:
        headers = {"Content-Type": "application/json"}
        slow = [asyncio.create_task(http.post("/v1/hello", content=dripping(), headers=headers)) for _ in range(3)]
        async with asyncio.timeout(30):
            for _ in slow:
                await waiting.acquire()
        assert (await http.get("/v1/hello")).status_code == 200
        for each in slow:
            each.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_who_tries_references_from_all_addresses_of_his_network_is_one_stranger(api: Api) -> None:
    api.app.state.limits["stranger"] = Limits(3, 3, now=stopped)
    answers = []
    for last in range(5):
        way = httpx.ASGITransport(api.app, client=(f"2001:db8:1:2::{last:x}", 1))
        async with httpx.AsyncClient(transport=way, base_url="http://hub.test") as http:
            answers.append((await http.get("/v1/appeals/KN-261124-0000000000/state")).status_code)
    assert answers == [404, 404, 404, 429, 429]


BAD = {"Authorization": "DPoP e30.e30.e30", "DPoP": "e30.e30.e30"}


async def test_a_flood_of_bad_tokens_is_a_few_facts_and_one_count(api: Api) -> None:
    api.app.state.limits["refusals"] = Limits(3, 3, now=stopped)
    before = len(await api.facts("token.refused"))
    answers = [await api.http.get("/v1/requests", headers=BAD) for _ in range(20)]
    answers += [await api.ask("e30.e30.e30") for _ in range(5)]
    assert [each.status_code for each in answers] == [401] * 3 + [429] * 22
    assert all(int(each.headers["retry-after"]) >= 1 for each in answers[3:])
    assert len(await api.facts("token.refused")) == before + 3
    assert await api.facts("refusals.counted") == []
    await api.app.state.refusals.flush()
    (counted,) = await api.facts("refusals.counted")
    assert '"count":22' in counted["data"].replace(" ", "")
    assert "198." not in counted["data"] and "127." not in counted["data"]
    await api.app.state.refusals.flush()
    assert len(await api.facts("refusals.counted")) == 1


async def test_a_good_token_from_the_same_address_is_none_the_worse(api: Api) -> None:
    api.app.state.limits["refusals"] = Limits(1, 1, now=stopped)
    for _ in range(3):
        await api.http.get("/v1/requests", headers=BAD)
    assert (await api.get("/v1/requests", api.police)).status_code == 200


async def test_many_addresses_together_do_not_fill_the_audit_either(api: Api) -> None:
    api.app.state.limits["refusals of all"] = Limits(2, 2, clients=1, now=stopped)
    before = len(await api.facts("token.refused"))
    answers = [(await api.http.get("/v1/requests", headers=BAD)).status_code for _ in range(6)]
    assert answers == [401] * 6, "an honest client among them must learn that its token is over"
    assert len(await api.facts("token.refused")) == before + 2
    await api.app.state.refusals.flush()
    assert len(await api.facts("refusals.counted")) == 1


async def test_bad_sign_in_links_are_counted_in_the_same_budget(api: Api) -> None:
    api.app.state.limits["refusals"] = Limits(2, 2, now=stopped)
    answers = [await api.http.post("/sign-in/made-up") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 429, 429]
    assert answers[3].headers["content-type"].startswith("text/html") and int(answers[3].headers["retry-after"]) >= 1
    assert len(await api.facts("sign_in.refused")) == 2


async def test_what_was_counted_is_a_fact_when_the_node_stops(hub: Hub) -> None:
    async with hub.database.read() as conn:
        now = await db.now(conn)
    keys = tuple(SigningKey.generate(not_before=now - DAY, not_after=now + 90 * DAY) for _ in range(2))
    signing = replace(hub, signing=keys)
    app = application.create_app(signing)
    app.state.limits["refusals"] = Limits(1, 1, now=stopped)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=signing.settings.address) as http:
        api = Api(World(signing), http, app)
        async with app.router.lifespan_context(app):
            for _ in range(3):
                await http.get("/v1/requests", headers=BAD)
        assert len(await api.facts("refusals.counted")) == 1


async def test_all_systems_of_an_agency_share_one_budget(api: Api) -> None:
    second = await api.enroll(System("pc02-second"), worlds.AGENCY, Role.READER)
    api.app.state.limits["agency"] = Limits(3, 3, now=stopped)
    callers = (api.police, second, api.police, second, api.police)
    assert [(await api.get("/v1/requests", who)).status_code for who in callers] == [200, 200, 200, 429, 429]
    assert (await api.get("/v1/orders", api.bank)).status_code == 200
