"""Whoever never leaves the keyboard approves a request and does not wait for a rung: Tab and Enter alone."""

import secrets
from typing import Any

import pytest
import world as worlds
from console_desk import Desk
from console_site import Open
from playwright.sync_api import Page, expect

from service.engine.hub import OPERATOR
from workflows.terms import Role

DESK: dict[str, Any] = {"role": Role.COORDINATOR, "tenant": OPERATOR, "person": "tran-lan-thu"}


def reach(page: Page, where: str) -> None:
    """Press Tab until the focus is on the element, as a hand does that never leaves the keys."""
    for _ in range(80):
        if page.locator(where).evaluate("each => each === document.activeElement"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"the keyboard does not reach {where}", pytrace=False)


def press(page: Page, where: str) -> None:
    """Reach the element and press Enter, and wait for the page that it leads to."""
    reach(page, where)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def test_the_keyboard_alone_approves_a_request(desk: Desk, at_desk: Open) -> None:
    number = "999" + "".join(secrets.choice("0123456789") for _ in range(10))
    request_id = desk.file(worlds.freeze(target={**worlds.freeze()["target"], "value": number}))
    page = at_desk().page
    page.goto(f"{desk.address}/requests/{request_id}")
    press(page, "#sign-link")
    reach(page, "#signature")
    page.keyboard.insert_text(desk.sign(request_id))
    press(page, "#by-paste button")
    expect(page.locator(".said.good h2")).to_contain_text("Bạn đã phê duyệt")
    assert desk.state(request_id) == "active"


@pytest.mark.parametrize("place", ["requests", "orders"])
def test_the_keyboard_alone_escalates_an_order(desk: Desk, at_desk: Open, place: str) -> None:
    filed = desk.run(desk.world.active(worlds.freeze()))
    (order,) = desk.run(desk.world.orders(filed.id))
    desk.make_late(order["id"], stage="execute")
    page = at_desk(**DESK).page
    page.goto(f"{desk.address}/{place}/{filed.id if place == 'requests' else order['id']}")
    press(page, ".escalate button")
    expect(page.locator("h1")).to_be_visible()
    assert "escalation.hastened" in desk.run(desk.world.facts(filed.id))
