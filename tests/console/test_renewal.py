"""Pages that renew themselves: nothing typed is lost, no key presses what nobody chose, and as of when they stand."""

import re
from datetime import UTC, datetime
from typing import Any

import bounding
import pytest
import world as worlds
from console_desk import Desk
from console_site import Open
from playwright.sync_api import Page, Route, expect

from service.engine.hub import OPERATOR
from workflows.terms import Role

DESK = {"role": Role.COORDINATOR, "tenant": OPERATOR, "person": "tran-lan-thu"}
HELD = {"value": "150000000", "currency": "VND"}
TIGHT = {"subject": "agency", "amount": 1}
ROOM = {"subject": "agency", "count": 1_000_000, "amount": 10**15}
NOW = "document.activeElement"


def watching(desk: Desk, at_desk: Open, path: str, **options: Any) -> Page:
    """A page whose clock the test moves."""
    page = at_desk(**{**DESK, **options}).page
    page.clock.install()
    page.goto(f"{desk.address}{path}")
    return page


def behind(page: Page) -> None:
    """Let the page believe that something was recorded since, and renew itself."""
    page.evaluate("document.getElementById('live').dataset.version = '0'")
    with page.expect_event("console", predicate=lambda said: said.text == "renewed"):
        page.evaluate("document.addEventListener('hoatoc:renewed', () => console.info('renewed'), { once: true })")
        page.clock.run_for(6_000)


def test_a_half_written_note_of_a_call_back_stays_and_keeps_the_cursor(desk: Desk, at_desk: Open) -> None:
    desk.run(bounding.set_bounds(desk.hub, TIGHT))
    filed = desk.run(desk.world.active(worlds.freeze()))
    desk.run(bounding.set_bounds(desk.hub, ROOM, {**ROOM, "subject": "officer"}, {**ROOM, "subject": "pair"}))
    page = watching(desk, at_desk, f"/requests/{filed.id}")
    page.locator("#callback-note").focus()
    page.keyboard.insert_text("nửa ")
    behind(page)
    page.keyboard.insert_text("câu")
    expect(page.locator("#callback-note")).to_have_value("nửa câu")
    # It stands under its card still, once; the card itself was renewed.
    expect(page.locator(".callback + #callback-form")).to_have_count(1)
    expect(page.locator("#callback-form")).to_have_count(1)


def test_the_focus_comes_back_to_the_same_control_and_to_no_other(desk: Desk, at_desk: Open) -> None:
    filed = desk.run(desk.world.active(worlds.freeze()))
    (order,) = desk.run(desk.world.orders(filed.id))
    agency = {"role": Role.MAKER, "tenant": worlds.AGENCY, "person": "maker"}
    page = watching(desk, at_desk, f"/requests/{filed.id}", **agency)
    expect(page.locator("#ask-lift")).to_be_visible()
    for place in (f"#ladders-{order['id']}", "#case-link", "#document > summary"):
        page.locator(place).focus()
        behind(page)
        assert page.locator(place).evaluate(f"each => each === {NOW}"), place
    # What is gone gives the focus to no other control: Enter would press that.
    page.locator("#case-link").evaluate("each => { each.id = 'gone'; each.focus(); }")
    behind(page)
    assert page.evaluate(f"{NOW}.id") == "live"


def test_a_pause_is_one_pages_and_a_board_begins_running(desk: Desk, at_desk: Open) -> None:
    first, second = (desk.run(desk.world.active(worlds.freeze())) for _ in range(2))
    page = at_desk(**DESK).page
    paused, running = "Đã tạm dừng cập nhật", "Tự cập nhật mỗi 5 giây"
    page.goto(f"{desk.address}/requests/{first.id}")
    page.locator("#pause").click()
    expect(page.locator("#renewal-state")).to_have_text(paused)
    page.goto(f"{desk.address}/requests/{second.id}")
    expect(page.locator("#renewal-state")).to_have_text(running)
    for board in ("/board", "/delivery"):
        page.goto(f"{desk.address}{board}")
        expect(page.locator("#renewal-state")).to_have_text("Cập nhật ngay khi có thay đổi")
        page.locator("#pause").click()
        expect(page.locator("#renewal-state")).to_have_text(paused)
        page.reload()
        expect(page.locator("#renewal-state")).to_have_text("Cập nhật ngay khi có thay đổi")
    page.goto(f"{desk.address}/requests/{second.id}")
    expect(page.locator("#renewal-state")).to_have_text(running)
    page.goto(f"{desk.address}/requests/{first.id}")
    expect(page.locator("#renewal-state")).to_have_text(paused)


def stands(page: Page) -> datetime:
    """Return as of when the page says that it stands."""
    shown = page.locator("#renewal-at time")
    at = datetime.fromisoformat(shown.get_attribute("datetime") or "").astimezone(UTC)
    words = " ".join(page.locator("#renewal-at").inner_text().split())
    assert re.fullmatch(r"Cập nhật lúc \d\d:\d\d:\d\d \d\d/\d\d/\d{4}", words)
    return at


@pytest.mark.parametrize("path", ["/board", "/delivery"])
def test_a_board_that_cannot_be_renewed_says_since_when(desk: Desk, at_desk: Open, path: str) -> None:
    page = at_desk(**DESK).page
    page.clock.install()
    page.route(f"**{path}/events*", lambda route: route.abort())
    page.goto(f"{desk.address}{path}")
    shown = page.locator("#renewal-at time")
    as_opened = shown.get_attribute("datetime") or ""
    with page.expect_response(f"{desk.address}{path}"):
        page.clock.run_for(17_000)
    expect(page.locator("#renewal-state")).to_contain_text("làm mới mỗi 15 giây")
    # What was answered is on the page a moment after the answer.
    expect(shown).not_to_have_attribute("datetime", as_opened)
    last, as_renewed = stands(page), shown.get_attribute("datetime") or ""
    page.route(f"**{path}", lambda route: route.abort())
    page.clock.run_for(17_000)
    expect(page.locator("#renewal-state")).to_have_text("Mất kết nối với trung tâm, đang thử lại")
    page.clock.run_for(60_000)
    assert stands(page) == last
    page.unroute(f"**{path}")
    with page.expect_response(f"{desk.address}{path}"):
        page.clock.run_for(17_000)
    expect(page.locator("#renewal-state")).to_contain_text("làm mới mỗi 15 giây")
    expect(shown).not_to_have_attribute("datetime", as_renewed)
    assert stands(page) > last


def test_a_stream_is_opened_however_late_its_script_comes(desk: Desk, at_desk: Open) -> None:
    page = at_desk(**DESK).page
    held: list[Route] = []
    page.route("**/hx-sse.min.js*", lambda route: held.append(route))
    page.goto(f"{desk.address}/board", wait_until="commit")
    # Nothing is compiled from a text on these pages: whether it is there is asked from outside.
    page.evaluate("""new Promise(done => {
        const look = () => (typeof htmx === "object" ? setTimeout(done, 100) : setTimeout(look, 20));
        look();
    })""")
    held[0].continue_()
    expect(page.locator("#renewal-state")).to_have_text("Cập nhật ngay khi có thay đổi")


def test_a_board_whose_stream_speaks_stands_as_of_its_last_word(desk: Desk, at_desk: Open) -> None:
    page = at_desk(**DESK).page
    page.goto(f"{desk.address}/board")
    first = page.locator("#renewal-at time").get_attribute("datetime") or ""
    expect(page.locator("#renewal-at time")).not_to_have_attribute("datetime", first)
    at = stands(page)
    # While it is paused the lines are of then, and it says so.
    page.locator("#pause").click()
    at = stands(page)
    with page.expect_event("console", predicate=lambda said: said.text == "told"):
        page.evaluate("document.addEventListener('htmx:sse:before:message', () => console.info('told'))")
    assert stands(page) == at


def test_a_request_that_cannot_be_renewed_says_since_when(desk: Desk, at_desk: Open) -> None:
    filed = desk.run(desk.world.active(worlds.freeze()))
    page = watching(desk, at_desk, f"/requests/{filed.id}")
    address = f"{desk.address}/requests/{filed.id}"
    before = stands(page)
    with page.expect_response(address):
        page.clock.run_for(6_000)
    expect(page.locator("#renewal-at time")).not_to_have_attribute("datetime", before.isoformat())
    last = stands(page)
    page.route(address, lambda route: route.abort())
    page.clock.run_for(6_000)
    expect(page.locator("#renewal-state")).to_have_text("Mất kết nối với trung tâm, đang thử lại")
    assert stands(page) == last
