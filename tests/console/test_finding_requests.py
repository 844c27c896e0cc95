"""A request is found by its number or its case: what was typed is in no address, a case that was looked for a fact."""

import json
import re
from typing import Any

import pytest
import world as worlds
from console_desk import Desk
from console_site import Open, look_over
from playwright.sync_api import Page, expect
from world import AGENCY

from service import i18n
from service.models import AuditEntry
from workflows.terms import Role


def look_for(page: Page, text: str) -> None:
    page.locator("#by-text").fill(text)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def searches(desk: Desk) -> list[dict[str, Any]]:
    made = desk.run(desk.world.rows(AuditEntry, code="person.searched", actor_id="tim-kiem"))
    return [json.loads(each["data"]) for each in made]


def test_a_request_is_found_by_its_number_and_by_its_case(desk: Desk, at_desk: Open) -> None:
    case = "77/2026/CA-TIM"
    found = desk.run(desk.world.submit(worlds.freeze(case_number=case)))
    other = desk.run(desk.world.submit(worlds.freeze()))
    page = at_desk(role=Role.READER, tenant=AGENCY, person="tim-kiem", java_script_enabled=False).page
    page.goto(f"{desk.address}/")

    look_for(page, found.reference.lower())
    expect(page.locator(".request h2")).to_have_text(found.reference)
    assert searches(desk) == [], "a request's number names nobody"

    look_for(page, f" {case} ")
    expect(page.locator(".request h2")).to_have_text(found.reference)
    assert re.fullmatch(r".*/\?searched=[0-9a-f]{12}", page.url), page.url
    (made,) = searches(desk)
    assert (made["by"], made["door"], made["found"]) == ("case_number", "console", 1)
    assert case not in json.dumps(made)
    with page.expect_navigation():
        page.locator("a[hreflang=en]").click()
    expect(page.locator(".request h2")).to_have_text(found.reference)

    look_for(page, "khong-co")
    expect(page.locator(".empty")).to_contain_text("There is no request under this number.")
    look_for(page, "")
    assert page.url == f"{desk.address}/"
    expect(page.locator(".request h2").filter(has_text=other.reference)).to_have_count(1)


def test_a_search_that_is_over_says_so(desk: Desk, at_desk: Open) -> None:
    found = desk.run(desk.world.submit(worlds.freeze()))
    page = at_desk(role=Role.READER, tenant=AGENCY, person="tra-cuu").page
    page.goto(f"{desk.address}/")
    look_for(page, found.reference)
    expect(page.locator(".request h2")).to_have_text(found.reference)
    page.context.clear_cookies(name="hoatoc_search_requests")
    page.reload()
    expect(page.locator("#search-over")).to_be_visible()


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_the_list_with_its_search_is_accessible_and_fits_a_narrow_screen(desk: Desk, at_desk: Open, lang: str) -> None:
    def reader(**options: Any) -> Any:
        return at_desk(role=Role.READER, tenant=AGENCY, person="tra-cuu", **options)

    look_over(reader, desk.address, ("/", "/?searched=0123456789ab"), lang)
