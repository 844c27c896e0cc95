"""What a page says is wrong is what is wrong with the field, and a review is asked for while it can be given."""

from typing import Any
from uuid import UUID

import browsing
import pytest
import steps
import world as worlds
from browsing import Person
from rigs import FastForward
from world import AGENCY, World

from service import errors, i18n
from service.console import approving, doors
from service.engine.hub import OPERATOR, Hub
from workflows.terms import Role


@pytest.fixture
async def world(hub: Hub) -> World:
    made = World(hub)
    await made.settle_in()
    return made


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_an_error_of_fields_is_told_by_what_is_wrong_with_each(lang: str) -> None:
    unknown = {"code": "institution.unknown", "value": "970999"}
    for said in (
        doors.told(errors.InvalidInput.of("/targets", **unknown), lang),
        approving.told(errors.InvalidInput.of("/targets", **unknown), lang)["detail"],
    ):
        assert said == i18n.text("fields.institution.unknown", lang, **unknown)
    both = (errors.FieldError("/a", "field.missing"), errors.FieldError("/b", "field.too_long", {"max": 9}))
    said = doors.told(errors.InvalidInput("input.invalid", fields=(*both, both[0])), lang)
    missing, long = i18n.text("fields.field.missing", lang), i18n.text("fields.field.too_long", lang, max=9)
    assert said == f"{missing} {long}"
    assert doors.told(errors.Conflict("trace.over"), lang) == i18n.text("errors.trace.over.detail", lang)


async def test_a_form_with_a_wrong_field_says_what_is_wrong_with_it(world: World) -> None:
    async with browsing.signed_in(world.hub, Role.COORDINATOR, OPERATOR, "tran-lan-thu") as desk:
        page = await desk.post("/displays", "/displays", status=422, name="")
        assert i18n.text("fields.field.missing", "vi") in page
        assert i18n.text("errors.input.invalid.detail", "vi") not in page
        assert i18n.text("fields.cursor.invalid", "vi") in await desk.get("/?after=nothing", status=422)


async def review_links(officer: Person, request_id: UUID) -> list[int]:
    """How many ways to the review of a request stand on each page that lists or shows it."""
    return [
        (await officer.get(path)).count(f'href="/requests/{request_id}/approve"')
        for path in ("/", f"/requests/{request_id}")
    ]


async def test_a_review_is_asked_for_from_the_first_minute_until_it_is_given_or_too_late(
    world: World, fast_forward: FastForward
) -> None:
    held: Any = await world.submit(steps.emergency())
    other = await world.submit(steps.emergency(target={**worlds.freeze()["target"], "value": "9990001112299"}))
    async with (
        browsing.signed_in(world.hub, Role.APPROVER, AGENCY, "maker") as filer,
        browsing.signed_in(world.hub, Role.APPROVER, AGENCY, "approver") as officer,
    ):
        # The bank's own clocks come before that of the review.
        assert await review_links(officer, held.id) == [1, 1]
        assert await review_links(filer, held.id) == [0, 0]
        await world.review(held.id)
        assert await review_links(officer, held.id) == [0, 0]
        assert await review_links(officer, other.id) == [1, 1]
    review_by = (await steps.request_now(world, other.id))["review_by"]
    await fast_forward(seconds=(review_by - await steps.now(world)).total_seconds() + 1)
    async with browsing.signed_in(world.hub, Role.APPROVER, AGENCY, "approver") as officer:
        assert await review_links(officer, other.id) == [0, 0]
