"""What an officer types at the pages for filing never locks the pages themselves, on both databases."""

import browsing
import pytest
from world import AGENCY, World

from service.engine.hub import Hub
from workflows.terms import Role

NEW = "/requests/new"


@pytest.fixture
async def world(hub: Hub) -> World:
    made = World(hub)
    await made.settle_in()
    return made


async def test_a_number_without_end_in_a_pasted_text_leaves_the_draft_open(world: World) -> None:
    async with browsing.signed_in(world.hub, Role.MAKER, AGENCY, "maker") as officer:
        await officer.post(f"{NEW}/action", NEW, action="freeze")
        for text in (f"{'9' * 400} đồng", f"{'1' * 9_000}k STK 0071009990007 VCB"):
            await officer.post(f"{NEW}/text", f"{NEW}/text", text=text)
            await officer.get(f"{NEW}/text")
        page = await officer.post(f"{NEW}/found", f"{NEW}/found", status=400, pick="0" * 5_000)
        assert 'href="#f-pick' in page
        assert await officer.post(f"{NEW}/found", f"{NEW}/found", pick="0") == f"{NEW}/targets"
