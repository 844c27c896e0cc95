"""The page of a request's documents shows who did what with each of them, and the number of the fact that says so."""

import functools
from typing import Any

import pytest
import steps
import world as worlds
from console_desk import Desk
from console_site import Open, look_over
from playwright.sync_api import expect

from service import i18n
from service.actions import changes, export_evidence
from service.engine.hub import OPERATOR
from workflows.terms import Role

AUDITOR: dict[str, Any] = {"role": Role.AUDITOR, "tenant": OPERATOR, "person": "vu-hai-an"}


@pytest.fixture(scope="module")
def order(desk: Desk) -> dict[str, Any]:
    made = desk.run(steps.held(desk.world))
    desk.run(export_evidence.export(desk.hub, changes.local_administrator("root"), str(made["request_id"])))
    return made


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_the_page_is_whole_in_both_languages(desk: Desk, at_desk: Open, order: dict[str, Any], lang: str) -> None:
    look_over(functools.partial(at_desk, **AUDITOR), desk.address, [f"/requests/{order['request_id']}/custody"], lang)


def test_an_officer_follows_the_paper_from_the_request_and_an_auditor_on_to_its_facts(
    desk: Desk, at_desk: Open, order: dict[str, Any]
) -> None:
    page = at_desk().page
    page.goto(f"{desk.address}/requests/{order['request_id']}?lang=en")
    with page.expect_navigation():
        page.get_by_role("link", name="Documents and custody").click()
    lines = page.locator("section").first.locator("tbody tr")
    expect(lines.first).to_contain_text("Put in")
    expect(lines.first).to_contain_text("no. 1")
    expect(page.locator("section").first.locator("code").first).to_have_text(worlds.freeze()["document"]["sha256"])
    expect(page.locator("section").last).to_contain_text("Exported")
    assert page.locator("tbody a").count() == 0, "an officer does not read the audit"
    page = at_desk(**AUDITOR).page
    page.goto(f"{desk.address}/requests/{order['request_id']}/custody?lang=en")
    with page.expect_navigation():
        page.locator("section").first.locator("tbody a").first.click()
    expect(page.locator("#n1")).to_be_visible()
