"""The live board as the duty desk meets it: both languages, wide and narrow, live, paused, cut off, without scripts."""

import functools
import re
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import world as worlds
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from builders import table
from console_desk import Desk
from console_site import Open, Site
from console_teller import ACCOUNTS, AGENCY, FOREIGN, HOLDERS
from playwright.sync_api import Locator, Page, expect
from sqlalchemy.ext.asyncio import AsyncConnection
from steps import now

from service import db, i18n
from service.actions import announce_maintenance, end_maintenance
from service.engine import owing
from service.engine.hub import OPERATOR
from service.models import AuditEntry, Deadline
from service.schemas.maintenance import MaintenanceEnd, NewMaintenance
from service.security.principals import of_person
from workflows.terms import Fact, Role, Sector

AXE = Axe()
ADDRESSES = ("/board", "/board?wall=1", "/board?group=done", "/board?urgency=khan&searched=1")
DESK = {"role": Role.COORDINATOR, "tenant": OPERATOR, "person": "tran-lan-thu"}


def follow(page: Page, link: Locator) -> None:
    """Click, and wait until the page that it leads to has loaded: ``click`` returns once its answer has begun."""
    with page.expect_navigation():
        link.click()


def groups(page: Page) -> dict[str, int]:
    heads = page.locator(".group-head")
    return {head.locator("h2").inner_text(): int(head.locator(".total").inner_text()) for head in heads.all()}


@pytest.mark.parametrize(("lang", "scheme"), [("vi", "light"), ("en", "light"), ("vi", "dark")])
def test_the_board_is_accessible_and_complete(site: Site, signed_in: Open, lang: str, scheme: str) -> None:
    watched = signed_in(color_scheme=scheme)
    for address in ADDRESSES:
        watched.page.goto(f"{site.address}{address}{'&' if '?' in address else '?'}lang={lang}")
        words = watched.page.locator("body").inner_text()
        assert not re.search(r"\bNone\b|\{|\}|\[\[|undefined|console\.\w|terms\.\w", words), words
        found = AXE.run(watched.page)
        assert found.violations_count == 0, found.generate_report()
    assert (watched.errors, watched.foreign) == ([], [])


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_the_board_fits_320_pixels(site: Site, signed_in: Open, lang: str) -> None:
    page = signed_in(viewport={"width": 320, "height": 640}).page
    for address in ADDRESSES:
        page.goto(f"{site.address}{address}{'&' if '?' in address else '?'}lang={lang}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, address


def test_the_board_says_who_is_late_without_scripts_and_names_no_person(site: Site, signed_in: Open) -> None:
    page = signed_in(java_script_enabled=False).page
    page.goto(f"{site.address}/board")
    assert groups(page) == {"Quá hạn": 1, "Sắp hết hạn": 1, "Trong hạn": 0, "Đã xong": 104}
    (late,) = page.locator(".line.breached").all()
    words = " ".join(late.inner_text().split())
    for told in ("quá hạn", "Xác nhận tiếp nhận", "ACB", "HT-261123-7K3MQ", "Bậc 3", "150.000.000", "Đã chuyển đến"):
        assert told in words
    # The ids of rows are made anew each time, and four digits are soon among theirs.
    source = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "", page.content())
    assert not any(secret in source for secret in (*ACCOUNTS, *HOLDERS, *(each[-4:] for each in ACCOUNTS)))
    assert page.locator("#pause").is_hidden()

    follow(page, page.get_by_role("link", name=re.compile("Hiện thêm")))
    assert page.locator(".line").count() == 100
    follow(page, page.get_by_role("link", name=re.compile("Hiện thêm")))
    assert page.locator(".line").count() == 4
    page.goto(f"{site.address}/board")
    page.get_by_label("Độ khẩn").select_option("khan")
    follow(page, page.get_by_role("button", name="Lọc"))
    assert groups(page)["Quá hạn"] == 0 and groups(page)["Sắp hết hạn"] == 1
    follow(page, page.get_by_role("link", name="English"))
    assert "urgency=khan" in page.url and groups(page)["Overdue"] == 0
    page.goto(f"{site.address}/board?sector=nonsense&group=x&after=x&participant={'x' * 300}")
    assert page.locator("h1").inner_text() == "Live board"


@pytest.mark.parametrize("scripts", [False, True])
def test_what_is_typed_narrows_the_board_and_stands_in_no_address(site: Site, signed_in: Open, scripts: bool) -> None:
    page = signed_in(java_script_enabled=scripts).page
    visited: list[str] = []
    page.on("request", lambda request: visited.append(request.url))
    page.goto(f"{site.address}/board")
    page.get_by_label("Số yêu cầu").fill("7K3MQ")
    page.get_by_label("Độ khẩn").select_option("hoa_toc")
    follow(page, page.get_by_role("button", name="Lọc"))
    expect(page).to_have_url(re.compile(r"/board\?urgency=hoa_toc&searched=[0-9a-f]{12}$"))
    assert page.locator(".line").count() >= 1
    assert set(page.locator(".line th a").all_inner_texts()) == {"HT-261123-7K3MQ"}
    assert page.locator("#by-text").input_value() == "7K3MQ"
    # The other language and one group alone keep it.
    follow(page, page.get_by_role("link", name="English"))
    follow(page, page.locator("#totals a").first)
    assert set(page.locator(".line th a").all_inner_texts()) <= {"HT-261123-7K3MQ"}
    assert visited and not [url for url in visited if "7k3mq" in url.lower()]
    (kept,) = [each for each in page.context.cookies() if each["name"] == "hoatoc_search"]
    assert kept["httpOnly"] and kept["sameSite"] == "Strict" and kept["expires"] == -1 and "7K3MQ" not in kept["value"]
    # In another session it opens nothing: the page says that nothing is narrowed by it.
    other = signed_in(java_script_enabled=scripts).page
    other.context.add_cookies([kept])
    other.goto(f"{site.address}/board?searched=1")
    expect(other.get_by_role("status").filter(has_text="không còn được giữ")).to_be_visible()
    assert other.locator("#by-text").input_value() == ""
    # An address of before has no text in it that counts.
    other.goto(f"{site.address}/board?text=7K3MQ")
    assert other.locator("#by-text").input_value() == "" and other.locator(".line").count() > 3


def test_a_search_that_is_over_never_widens_the_board_in_silence(site: Site, signed_in: Open) -> None:
    page = signed_in().page
    over = page.get_by_role("status").filter(has_text="không còn được giữ")

    def search(tab: Page, text: str) -> None:
        tab.goto(f"{site.address}/board")
        tab.get_by_label("Số yêu cầu").fill(text)
        follow(tab, tab.get_by_role("button", name="Lọc"))

    search(page, "7K3MQ")
    address = page.url
    # What another tab searches for is not what this one shows.
    second = page.context.new_page()
    search(second, "9999")
    for tab, is_over in ((second, False), (page, True)):
        answer = tab.request.get(tab.url)
        assert ("không còn được giữ" in answer.text()) is is_over
        assert ('value="9999"' in answer.text()) is not is_over
    # A stream that comes back without the text tells its page to load anew, and sends no line of what it did not ask.
    told = page.evaluate(
        "async path => (await fetch(path)).text()",
        address.replace("/board?", "/board/events?").replace(site.address, ""),
    )
    assert "event: over" in told and "data: <" not in told
    # The page that says so does not ask for it again.
    page.goto(address)
    expect(over).to_be_visible()
    stream = page.locator("#live").get_attribute("hx-sse:connect")
    assert stream and "searched" not in stream


def test_a_page_that_asks_anew_after_its_search_was_over_says_so(site: Site, signed_in: Open) -> None:
    page = signed_in().page
    page.clock.install()
    page.route("**/board/events*", lambda route: route.abort())
    page.goto(f"{site.address}/board")
    page.get_by_label("Số yêu cầu").fill("7K3MQ")
    follow(page, page.get_by_role("button", name="Lọc"))
    assert set(page.locator(".line th a").all_inner_texts()) == {"HT-261123-7K3MQ"}
    page.context.clear_cookies(name="hoatoc_search")
    page.clock.fast_forward(20_000)
    expect(page.get_by_role("status").filter(has_text="không còn được giữ")).to_be_visible()
    assert page.locator("#by-text").input_value() == ""


def test_the_board_says_which_participant_announced_a_maintenance(desk: Desk, at_desk: Open) -> None:
    desk.run(desk.world.active(worlds.freeze()))
    agencys = at_desk().page
    agencys.goto(f"{desk.address}/board")
    assert agencys.locator(".line .badge.warn").filter(has_text="Bảo trì đến").count() == 0
    ends_at = desk.run(now(desk.world)) + timedelta(hours=1)
    body = NewMaintenance.model_validate({"ends_at": ends_at, "reason": "network"})
    lan = of_person("lan", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.COORDINATOR])
    made = desk.run(announce_maintenance.announce(desk.hub, lan, "vietcombank", body))
    # Nobody reloads: the stream reads the lines anew every few seconds.
    expect(agencys.locator(".line .badge.warn").filter(has_text="Bảo trì đến").first).to_be_visible()
    desk.run(end_maintenance.end(desk.hub, lan, "vietcombank", MaintenanceEnd(window_id=made.id)))
    expect(agencys.locator(".line .badge.warn").filter(has_text="Bảo trì đến")).to_have_count(0)


def test_each_role_sees_its_own_board_or_none(site: Site, signed_in: Open) -> None:
    own = signed_in(Role.READER, AGENCY).page
    own.goto(f"{site.address}/board")
    assert groups(own)["Quá hạn"] == 1 and own.get_by_label("Cơ quan yêu cầu").count() == 0
    foreign = signed_in(Role.READER, FOREIGN).page
    foreign.goto(f"{site.address}/board")
    assert set(groups(foreign).values()) == {0}
    bank = signed_in(Role.PARTICIPANT_OPERATOR, "vietcombank").page
    for path in ("/board", "/board/events"):
        assert bank.request.get(f"{site.address}{path}").status == 403
    bank.context.clear_cookies()
    for path in ("/board", "/board/events"):
        assert bank.request.get(f"{site.address}{path}").status == 401


def test_a_coordinator_comes_in_at_the_board(site: Site, browser: Any) -> None:
    page = browser.new_context(locale="vi-VN").new_page()
    page.goto(site.link())
    page.get_by_role("button", name="Đăng nhập").click()
    page.wait_for_url(f"{site.address}/board")
    page.context.close()


def test_a_silent_bank_is_seen_to_escalate_without_reloading_and_an_answer_to_end_it(desk: Desk, at_desk: Open) -> None:
    watched = at_desk(**DESK)
    page = watched.page
    page.goto(f"{desk.address}/board")
    expect(page.locator("#renewal-state")).to_have_text("Cập nhật ngay khi có thay đổi")
    page.evaluate("window.wasNeverReloaded = true")

    filed = desk.run(desk.world.active(worlds.freeze()))
    (order,) = desk.run(desk.world.orders(filed.id))
    line = page.locator(f"#order-{order['id']}")
    expect(line).to_have_class(re.compile("running"))

    late = functools.partial(_overdue, order["id"])
    desk.run(desk.hub.writer.run(late, reach=db.HUB))
    desk.run(desk.world.fire())
    expect(line).to_have_class(re.compile("breached"))
    expect(line).to_contain_text("quá hạn")
    expect(line).to_contain_text("Bậc 1")
    expect(page.locator("#totals a").first).to_contain_text(str(groups(page)["Quá hạn"]))

    page.get_by_role("button", name="Tạm dừng cập nhật").click()
    held = {"value": "150000000", "currency": "VND"}
    with page.expect_event("console", predicate=lambda said: said.text == "told"):
        page.evaluate(
            "document.addEventListener('htmx:sse:before:message',"
            " event => event.detail.message.event || console.info('told'))"
        )
        desk.run(desk.world.answer(order, outcome="executed", amount_held=held))
    expect(line).to_have_class(re.compile("breached"))
    expect(page.locator("#renewal-state")).to_have_text("Đã tạm dừng cập nhật")
    page.get_by_role("button", name="Tạm dừng cập nhật").click()
    expect(line).to_have_class(re.compile("done"))
    assert page.evaluate("window.wasNeverReloaded")
    assert watched.errors == []


def test_a_board_whose_stream_is_cut_renews_itself_every_fifteen_seconds_and_says_so(desk: Desk, at_desk: Open) -> None:
    page = at_desk(**DESK).page
    page.clock.install()
    page.route("**/board/events*", lambda route: route.abort())
    page.goto(f"{desk.address}/board")
    filed = desk.run(desk.world.active(worlds.freeze(case_number="02/2026/CA")))
    (order,) = desk.run(desk.world.orders(filed.id))
    assert page.locator(f"#order-{order['id']}").count() == 0
    with page.expect_response(f"{desk.address}/board"):
        page.clock.run_for(17_000)
    expect(page.locator(f"#order-{order['id']}")).to_be_visible()
    expect(page.locator("#renewal-state")).to_contain_text("làm mới mỗi 15 giây")


def test_a_board_goes_with_its_session(desk: Desk, at_desk: Open) -> None:
    page = at_desk(**DESK).page
    page.goto(f"{desk.address}/board")
    expect(page.locator("#renewal-state")).to_have_text("Cập nhật ngay khi có thay đổi")
    beside = page.context.new_page()
    beside.goto(f"{desk.address}/")
    beside.get_by_role("button", name="Đăng xuất").click()
    expect(page.locator("body")).to_contain_text("phiên đã kết thúc")
    expect(page.locator(".line")).to_have_count(0)


def test_to_watch_the_board_is_no_reading_and_to_open_a_request_is_one(desk: Desk, at_desk: Open) -> None:
    filed = desk.run(desk.world.active(worlds.freeze(case_number="03/2026/CA")))
    entries = table(AuditEntry)
    readings = sa.select(sa.func.count()).where(entries.c.code == Fact.PERSON_OPENED)

    async def count() -> int:
        async with desk.hub.database.read(db.HUB) as conn:
            return int((await conn.execute(readings)).scalar_one())

    page = at_desk(**DESK).page
    before = desk.run(count())
    page.goto(f"{desk.address}/board")
    expect(page.locator("#renewal-state")).to_have_text("Cập nhật ngay khi có thay đổi")
    page.reload()
    assert desk.run(count()) == before
    page.get_by_role("link", name=filed.reference).click()
    expect(page.locator("#reference")).to_have_text(filed.reference)
    assert desk.run(count()) == before + 1


async def _overdue(order_id: Any, conn: AsyncConnection) -> None:
    """Let the first deadline of an order have come an hour ago: the board, which others fill too, has it first."""
    deadlines = table(Deadline)
    now = await db.now(conn)
    mine = sa.and_(deadlines.c.subject_id == order_id, deadlines.c.stage == "receipt")
    moved = {"started_at": now - timedelta(minutes=5), "due_at": now - timedelta(hours=1)}
    await conn.execute(sa.update(deadlines).where(mine, deadlines.c.rung == 0).values(moved))
    await owing.renew(conn, [order_id])
