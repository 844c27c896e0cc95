"""An order that is late is seen wherever it stands: on a crowded card, by its link, and on its own page."""

import functools
import re
from typing import Any

import pytest
import steps
import world as worlds
from console_desk import Desk
from console_site import Open, Watched, look_over
from playwright.sync_api import expect
from world import AGENCY

from service import i18n
from service.engine.hub import OPERATOR
from workflows.terms import Role

DESK = {"role": Role.COORDINATOR, "tenant": OPERATOR, "person": "tran-lan-thu"}
BANKER = {"role": Role.PARTICIPANT_OPERATOR, "tenant": "vietcombank", "person": "le-van-b"}


def crowd(desk: Desk, late: int) -> tuple[Any, list[dict[str, Any]]]:
    """A request with eight orders at one bank, the last ``late`` of which it is silent about beyond their deadline."""
    about = [{**worlds.freeze()["target"], "value": f"99900000123{place:02}"} for place in range(8)]
    filed = desk.run(desk.world.active(steps.preserve(*about)))
    orders = sorted(desk.run(desk.world.orders(filed.id)), key=lambda order: order["target_id"])
    desk.make_late(*(order["id"] for order in orders[8 - late :]), stage="execute")
    return filed, orders


def opened(desk: Desk, enter: Open, path: str, **options: Any) -> Watched:
    watched = enter(**{**DESK, **options})
    watched.page.goto(f"{desk.address}{path}")
    return watched


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_of_many_orders_at_one_bank_those_that_are_late_are_shown_whole(
    desk: Desk, at_desk: Open, scripts: bool
) -> None:
    filed, orders = crowd(desk, late=2)
    page = opened(desk, at_desk, f"/requests/{filed.id}", java_script_enabled=scripts).page
    cards = page.locator(".lane.is-over .order")
    expect(cards).to_have_count(2)
    for card in cards.all():
        expect(card).to_contain_text("quá hạn")
        expect(card.get_by_role("button", name="Leo thang ngay Bậc 1 Vietcombank")).to_be_visible()
    page.locator(".lane summary").click()
    lines = page.locator(".lane .folded li")
    expect(lines).to_have_count(6)
    # Each folded one is opened by its link, and its page tells its clocks too.
    with page.expect_navigation():
        lines.first.get_by_role("link", name="Mở lệnh").click()
    expect(page.locator("#order-clock")).to_contain_text("Thực hiện")
    assert page.url.rpartition("/")[2] in {str(order["id"]) for order in orders[:6]}


def test_what_is_late_beyond_what_a_card_shows_is_named_first_and_escalated_on_its_page(
    desk: Desk, at_desk: Open
) -> None:
    filed, _ = crowd(desk, late=7)
    page = opened(desk, at_desk, f"/requests/{filed.id}").page
    expect(page.locator(".lane .order")).to_have_count(6)
    page.locator(".lane summary").click()
    lines = page.locator(".lane .folded li")
    expect(lines).to_have_count(2)
    expect(lines.first).to_contain_text("Đang quá hạn")
    expect(lines.last).not_to_contain_text("Đang quá hạn")
    with page.expect_navigation():
        lines.first.get_by_role("link", name="Mở lệnh").click()
    address = page.url
    clock = page.locator("#order-clock")
    expect(clock.get_by_role("timer").filter(has_text="quá hạn")).to_be_visible()
    expect(clock.locator(".ladder .coming")).to_contain_text("Thực hiện")
    with page.expect_navigation():
        clock.get_by_role("button", name="Leo thang ngay").click()
    assert page.url == address
    desk.run(desk.world.fire())
    page.reload()
    expect(clock.locator(".ladder li:not(.coming)")).to_have_text(re.compile(r"1\s*Thực hiện · \d\d:\d\d:\d\d"))
    assert "escalation.hastened" in desk.run(desk.world.facts(filed.id))


def test_its_bank_and_its_agency_read_the_clocks_of_an_order_and_cannot_press(desk: Desk, at_desk: Open) -> None:
    filed = desk.run(desk.world.active(worlds.freeze()))
    (order,) = desk.run(desk.world.orders(filed.id))
    desk.make_late(order["id"], stage="execute")
    reader = {"role": Role.READER, "tenant": AGENCY, "person": "tra-cuu"}
    for who in (BANKER, reader):
        page = opened(desk, at_desk, f"/orders/{order['id']}", **who).page
        expect(page.locator("#order-clock")).to_contain_text("quá hạn")
        assert page.locator(".escalate").count() == 0


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_the_pages_are_accessible_complete_and_fit_a_narrow_screen(desk: Desk, at_desk: Open, lang: str) -> None:
    filed, orders = crowd(desk, late=7)
    paths = (f"/requests/{filed.id}", f"/orders/{orders[-1]['id']}")
    look_over(functools.partial(at_desk, **DESK), desk.address, paths, lang)
