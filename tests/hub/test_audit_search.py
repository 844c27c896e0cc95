"""The audit's page finds a request from its first fact on, as its own form sends the search, on both databases."""

import re

import browsing
import pytest
import steps
from rigs import FastForward
from world import World

from service.engine.hub import OPERATOR, Hub
from service.queries import facts
from workflows.terms import Role
from workflows.working_hours import VIETNAM

_FIELDS = re.compile(r'<input class="form-control" id="by-\w+" name="(\w+)" type="\w+" value="([^"]*)"')


@pytest.fixture
async def world(hub: Hub) -> World:
    made = World(hub)
    await made.settle_in()
    return made


async def test_what_is_older_than_the_window_is_found_by_its_request_or_its_days(
    world: World, fast_forward: FastForward, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await steps.held(world)
    filed = (await steps.now(world)).astimezone(VIETNAM).date().isoformat()
    await fast_forward(days=40)
    looked: list[facts.Wanted] = []
    really = facts.search

    async def search(*given: object, **how: object) -> facts.Found:
        looked.append(given[2])  # type: ignore[arg-type]
        return await really(*given, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(facts, "search", search)
    async with browsing.signed_in(world.hub, Role.AUDITOR, OPERATOR, "vu-hai-an") as auditor:
        form = dict(_FIELDS.findall(await auditor.get("/audit")))
        assert (looked[-1].until - looked[-1].since).days == 31
        found = await auditor.post("/audit", "/audit", **{**form, "request": str(order["request_id"])})
        page = await auditor.get(found)
        assert page.count('<tr role="row" class="line">') == len(await world.facts(order["request_id"]))
        # A last day alone is no mistake, however long ago it is.
        found = await auditor.post("/audit", "/audit", **{**form, "until": filed})
        assert str(order["request_id"]) in await auditor.get(found)
        assert (looked[-1].until - looked[-1].since).days == 30
        await auditor.get(f"/audit?since={filed}&until=2020-01-01", status=422)
