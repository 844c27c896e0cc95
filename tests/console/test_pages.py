"""The pages as a person meets them: in a real browser, in both languages, wide and narrow, with and without scripts."""

import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from console_site import LOOKS, Open, Site, Watched, look_at
from console_teller import ACCOUNTS, AGENCY, FOREIGN, HOLDERS, HOSTS
from playwright.sync_api import Browser, BrowserContext, Page

from service import i18n
from service.security import console_session
from workflows import terms
from workflows.terms import Role

BOTH = pytest.mark.parametrize("lang", i18n.LANGUAGES)
NARROW = {"width": 320, "height": 640}
SEEDED = ("7k3mq", "4h8rt", "t9d2x", "w6n5b", "f2c7v")
AXE = Axe()


def addresses(site: Site, lang: str) -> list[str]:
    """Return the address of each page that a signed-in coordinator has, and of one that is not there."""
    pages = [f"{site.address}/", *(site.page_of(name) for name in SEEDED), f"{site.address}/requests/unknown"]
    return [f"{page}?lang={lang}" for page in pages]


def check(watched: Watched, lang: str) -> None:
    """Check what holds on every page."""
    page = watched.page
    assert page.locator("html").get_attribute("lang") == lang
    words = page.locator("body").inner_text()
    assert not re.search(r"\bNone\b|\bTrue\b|\{|\}|\[\[|undefined|console\.\w|terms\.\w|Undefined", words), words
    for kind in (terms.Fact, terms.Stage, terms.OrderState, terms.RequestState, terms.TaskKind, terms.LegalBasis):
        raw = [code.value for code in kind if re.search(r"[._]", code.value) and code.value in words]
        assert raw == []
    found = AXE.run(page)
    assert found.violations_count == 0, found.generate_report()
    assert watched.foreign == []


@pytest.mark.parametrize(("lang", "scheme"), [("vi", "light"), ("en", "light"), ("vi", "dark")])
def test_every_page_is_accessible_complete_and_loads_nothing_foreign(
    site: Site, signed_in: Open, lang: str, scheme: str
) -> None:
    watched = signed_in(color_scheme=scheme)
    for address in addresses(site, lang):
        watched.page.goto(address)
        check(watched, lang)
    assert [line for line in watched.errors if "404" not in line] == []


@BOTH
def test_the_pages_before_signing_in_are_accessible_too(site: Site, context: BrowserContext, lang: str) -> None:
    watched = Watched(context.new_page(), site.address)
    for address, status in (
        (f"{site.address}/", 401),
        (site.link(), 200),
        (f"{site.address}/sign-in/{'x' * 43}", 401),
    ):
        answer = watched.page.goto(f"{address}?lang={lang}")
        assert answer is not None and answer.status == status
        check(watched, lang)


@BOTH
def test_no_page_scrolls_sideways_at_320_pixels(site: Site, signed_in: Open, lang: str) -> None:
    page = signed_in(viewport=NARROW).page
    for address in addresses(site, lang):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], address


def test_the_whole_story_is_readable_without_scripts(site: Site, signed_in: Open) -> None:
    page = signed_in(java_script_enabled=False).page
    page.goto(site.page_of("7k3mq"))
    words = page.locator("main").inner_text()
    for told in (
        "HT-261123-7K3MQ",
        "HỎA TỐC",
        "Phong tỏa tài khoản thanh toán theo Điều 11 Nghị định 52/2024/NĐ-CP",
        "Đại úy CA-79-101 đã gửi yêu cầu phong tỏa HT-261123-7K3MQ, số tiền 750.000.000\N{NO-BREAK SPACE}₫.",
        "MBBank báo đối tượng không thuộc đơn vị quản lý; lệnh được chuyển tới ACB.",
        "ACB đã quá hạn: xác nhận tiếp nhận",
        "Agribank xác nhận đã gỡ biện pháp.",
        "Chưa có điểm nhận",
        "quá hạn ",
        "còn ",
    ):
        assert told in words
    assert page.locator("#pause").is_hidden()
    assert page.get_by_role("link", name="Làm mới").is_visible()


def test_the_sums_are_what_is_held_now(site: Site, signed_in: Open) -> None:
    page = signed_in().page
    page.goto(site.page_of("7k3mq"))
    tiles = page.locator(".tiles").inner_text()
    # 150.000.000 at one bank and 92.500.000 at another; what was lifted again is held no more.
    assert "242.500.000\N{NO-BREAK SPACE}₫" in tiles and "600.000.000\N{NO-BREAK SPACE}₫" in tiles
    assert "3/4" in tiles
    assert page.locator(".lane h3").first.inner_text() == "ACB"


def test_a_hundred_steps_that_say_the_same_are_one_entry(site: Site, signed_in: Open) -> None:
    page = signed_in().page
    page.goto(site.page_of("t9d2x"))
    assert page.locator(".timeline > li").count() == 6
    executed = page.locator(".timeline > li").nth(3)
    assert executed.locator(".step-text").inner_text() == ("99 × Viettel Internet đã thực hiện lệnh ngăn chặn, gỡ bỏ.")
    executed.locator("summary").click()
    assert executed.locator("li").count() == 99
    # The one that was refused stands out; the others are folded, and no host is ever a link.
    assert page.locator(".lane .order .value").all_inner_texts() == [HOSTS[41]]
    assert page.locator("a", has_text="trung-thuong").count() == 0


def test_the_stamp_is_read_aloud_once(site: Site, signed_in: Open) -> None:
    page = signed_in().page
    for lang, heard in (("vi", "hỏa tốc"), ("en", "immediate (hỏa tốc)")):
        page.goto(site.page_of("7k3mq") + f"?lang={lang}")
        assert page.locator(".stamp").first.aria_snapshot().lower() == f"- paragraph: {heard}"


def test_the_rungs_of_the_ladder_stand_out_with_their_numbers(site: Site, signed_in: Open) -> None:
    page = signed_in().page
    page.goto(site.page_of("7k3mq") + "?lang=en")
    rungs = page.locator(".step.rung .rung-number")
    assert [number.lower() for number in rungs.all_inner_texts()] == ["rung 1", "rung 2", "rung 3"]
    assert page.locator(".ladder li:not(.coming)").count() == 3
    assert re.fullmatch(
        r"4 Acknowledgement · next at \d\d:\d\d:\d\d \d\d/\d\d/\d{4}",
        " ".join(page.locator(".ladder .coming").inner_text().split()),
    )
    # Each stage has a ladder of its own.
    assert all("Acknowledgement" in rung for rung in page.locator(".ladder li").all_inner_texts())
    assert "vn-default, version 1" in page.locator(".lane", has=page.locator(".ladder")).inner_text()
    assert "nobody reached" in page.locator(".ladder li").first.inner_text()


def test_the_timeline_says_how_long_after_its_order_a_thing_happened(site: Site, signed_in: Open) -> None:
    page = signed_in().page
    page.goto(site.page_of("7k3mq") + "?lang=en")
    steps = page.locator(".timeline .step", has_text="Vietcombank")
    assert "37 s after the order was placed" in steps.filter(has_text="acknowledged").first.inner_text()
    assert "after the order was placed" not in page.locator(".timeline .step").first.inner_text()
    # The paper is told by its whole digest, folded.
    page.locator("#document summary").click()
    assert page.locator("#document > .digest").inner_text() == "9f2c41d07be35a68" * 4


def test_an_instant_is_vietnamese_time_with_utc_behind_it(site: Site, signed_in: Open) -> None:
    page = signed_in().page
    page.goto(site.page_of("7k3mq"))
    for instant in page.locator("main time").all()[:20]:
        shown = " ".join(instant.inner_text().split())
        assert re.fullmatch(r"\d\d:\d\d:\d\d \d\d/\d\d/\d{4}", shown)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", instant.get_attribute("title") or "")


def test_only_the_filing_agency_reads_whole_account_numbers_and_holders(site: Site, signed_in: Open) -> None:
    own = signed_in(Role.READER, AGENCY).page
    own.goto(site.page_of("7k3mq"))
    words = own.locator("main").inner_text()
    assert all(account in words for account in ACCOUNTS[:4]) and HOLDERS[0] in words

    watching = signed_in(Role.COORDINATOR).page
    watching.goto(site.page_of("7k3mq"))
    source = watching.content()
    assert "•••• 0001" in source
    assert not any(secret in source for secret in (*ACCOUNTS, *HOLDERS))


def test_a_foreign_agency_gets_the_very_page_of_an_unknown_request(site: Site, signed_in: Open) -> None:
    page = signed_in(Role.READER, FOREIGN).page
    assert page.locator(".request").count() == 1
    pages = []
    for place in (str(site.told.ids["7k3mq"]), "01900000-0000-7000-8000-000000000000", "unknown"):
        answer = page.request.get(f"{site.address}/requests/{place}")
        assert answer.status == 404
        pages.append(answer.text().replace(place, "…"))
    assert pages[0] == pages[1] == pages[2]


def test_a_role_that_may_not_read_requests_is_told_so(site: Site, signed_in: Open) -> None:
    page = signed_in(Role.PARTICIPANT_OPERATOR, "vietcombank").page
    page.goto(f"{site.address}/board")
    assert page.locator("h1").inner_text() == "Vai trò của bạn không xem được trang này"
    assert page.request.get(site.page_of("7k3mq")).status == 403


def test_the_keyboard_reaches_the_language_switch_and_the_choice_stays(site: Site, signed_in: Open) -> None:
    page = signed_in().page
    page.goto(site.page_of("7k3mq"))
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.hreflang") == "en":
            break
    assert page.evaluate("document.activeElement.textContent") == "English"
    page.keyboard.press("Enter")
    page.wait_for_url("**lang=en")
    assert page.url.startswith(site.page_of("7k3mq"))
    page.goto(f"{site.address}/")
    assert page.locator("h1").inner_text() == "Requests"
    assert page.locator(".languages a[aria-current]").inner_text() == "English"


def test_times_run_and_the_page_renews_itself_until_it_is_paused(site: Site, signed_in: Open) -> None:
    page = signed_in().page
    page.clock.install()
    page.goto(site.page_of("7k3mq"))
    # One that shows its seconds, due or over: which those are hangs on how old the story is.
    timer = page.locator(".clocks .timer", has_text="giây").first
    before = timer.inner_text()
    # The script writes what the hub writes, in the same words.
    words = "quá hạn|còn|sau", r"\d+ (ngày|giờ|phút|giây)( \d\d (giờ|phút|giây)){0,2}"
    for written in page.locator("[role=timer]").all_inner_texts():
        assert re.fullmatch(f"({words[0]}) {words[1]}", written), written
    page.clock.run_for(2000)
    assert timer.inner_text() != before

    # A page that is behind is brought up to date, one that is not is left alone.
    page.evaluate("document.getElementById('live').dataset.version = '25'")
    with page.expect_response(site.page_of("7k3mq")):
        page.clock.run_for(5000)
    page.wait_for_selector(".step.is-new")
    assert page.locator(".step.is-new").count() == 1

    page.get_by_role("button", name="Tạm dừng cập nhật").click()
    assert page.locator("#renewal-state").inner_text() == "Đã tạm dừng cập nhật"
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(15_000)
    assert asked == []


def test_a_screen_that_is_left_alone_does_not_keep_its_session_alive(site: Site, signed_in: Open) -> None:
    page = signed_in().page
    cookie = next(each for each in page.context.cookies() if each["name"] == "hoatoc_session")
    digest = console_session.session_digest(cookie["value"])
    for presence, ends in (("away", True), ("here", False)):
        site.age_session(digest, minutes=29)
        page.request.get(f"{site.address}/", headers={"Hoatoc-Presence": presence})
        site.age_session(digest, minutes=2)
        assert page.request.get(f"{site.address}/").status == (401 if ends else 200)
        site.age_session(digest, minutes=-1000)
    # A wall display renews itself without scripts as well, and nobody need be there.
    site.age_session(digest, minutes=29)
    page.request.get(f"{site.address}/board?wall=1")
    site.age_session(digest, minutes=2)
    assert page.request.get(f"{site.address}/").status == 401


def test_the_promised_contracts_are_shown_offline(site: Site, context: BrowserContext) -> None:
    watched = Watched(context.new_page(), site.address)
    for contract, shown in (("hub", "/v1/requests"), ("participant", "CloudEvent")):
        watched.page.goto(f"{site.address}/docs?contract={contract}")
        watched.page.wait_for_selector(".opblock")
        assert shown in watched.page.locator("#viewer").inner_text()
        promised = (Path(__file__).parents[2] / f"openapi/{contract}.v1.json").read_text("utf-8")
        assert watched.page.request.get(f"{site.address}/openapi/{contract}.v1.json").text() == promised
    assert (watched.errors, watched.foreign) == ([], [])
    assert watched.page.request.get(f"{site.address}/openapi.json").json()["paths"]
    assert watched.page.request.get(f"{site.address}/openapi/other.v1.json").status == 404


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
@pytest.mark.parametrize("look", LOOKS, ids=("day", "night", "narrow"))
def test_the_page_of_the_contracts_is_accessible_around_the_viewer_that_others_wrote(
    site: Site, browser: Browser, lang: str, look: dict[str, Any]
) -> None:
    context = browser.new_context(**look)
    page = context.new_page()
    page.goto(f"{site.address}/docs?lang={lang}")
    page.wait_for_selector(".opblock")
    look_at(page, "docs", without="#viewer")
    context.close()


def test_the_list_goes_on_where_it_ended(site: Site, signed_in: Open) -> None:
    page: Page = signed_in().page
    page.goto(f"{site.address}/?limit=3")
    first = page.locator(".request h2").all_inner_texts()
    page.get_by_role("link", name="Cũ hơn").click()
    page.wait_for_url("**after=*")
    assert len(first) == 3 and not set(first) & set(page.locator(".request h2").all_inner_texts())
    page.goto(f"{site.address}/?after=nonsense")
    assert page.locator("h1").inner_text() == "Không thực hiện được"
