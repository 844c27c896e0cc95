"""The frame around each page: the places of a role, the clock, the skip link, and no instant on a refusal."""

import re

import pytest
from console_site import Open, Site
from console_teller import AGENCY
from playwright.sync_api import expect

from workflows.terms import Role


@pytest.mark.parametrize(
    ("role", "tenant", "places"),
    [
        (
            Role.COORDINATOR,
            None,
            ["Bảng trực", "Yêu cầu", "Công việc", "Bàn giao ca", "Leo thang", "Gửi nhận", "Danh bạ", "Tài liệu API"],
        ),
        (
            Role.APPROVER,
            AGENCY,
            ["Bảng trực", "Yêu cầu của tôi", "Yêu cầu", "Leo thang", "Khóa của tôi", "Tài liệu API"],
        ),
        (
            Role.MAKER,
            AGENCY,
            ["Bảng trực", "Yêu cầu của tôi", "Yêu cầu", "Lập yêu cầu", "Leo thang", "Khóa của tôi", "Tài liệu API"],
        ),
        (Role.AUDITOR, None, ["Bảng trực", "Yêu cầu", "Danh bạ", "Nhật ký", "Tài liệu API"]),
        (Role.PARTICIPANT_OPERATOR, "vietcombank", ["Leo thang", "Tài liệu API"]),
    ],
)
def test_a_person_is_led_to_the_places_of_the_role(
    site: Site, signed_in: Open, role: Role, tenant: str | None, places: list[str]
) -> None:
    page = (signed_in(role, tenant) if tenant else signed_in(role)).page
    links = page.locator(".places a")
    assert links.all_inner_texts() == places
    for address in [link.get_attribute("href") for link in links.all()]:
        page.goto(f"{site.address}{address}")
        assert page.locator(".places a[aria-current=page]").get_attribute("href") == address


def test_the_clock_is_the_hubs_and_vietnamese_with_utc_behind_it(site: Site, signed_in: Open) -> None:
    page = signed_in().page
    # The machine's own clock is wrong by years: the hub's counts.
    page.clock.install(time="2020-01-01T00:00:00Z")
    page.goto(f"{site.address}/")
    face = page.locator("#clock")
    shown = face.inner_text()
    assert re.fullmatch(r"\d\d:\d\d:\d\d \d\d/\d\d/20(2[6-9]|[3-9]\d)", shown)
    hour, utc = int(shown[:2]), int((face.get_attribute("title") or "")[11:13])
    assert (hour - utc) % 24 == 7
    page.clock.run_for(61_000)
    expect(face).not_to_have_text(shown)
    assert page.locator("#live").count() == 1 and face.get_attribute("role") is None  # nobody hears it tick


def test_the_first_stop_of_the_keyboard_skips_to_the_content(site: Site, signed_in: Open) -> None:
    page = signed_in().page
    page.goto(f"{site.address}/")
    page.keyboard.press("Tab")
    skip = page.locator(".skip")
    assert skip.evaluate("each => each === document.activeElement && each.getBoundingClientRect().left >= 0")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


# What somebody could press or write into, and paper would show.
_TOOLS = """() => [...document.querySelectorAll("button, .button, .tool, input:not([type=hidden]), select, textarea")]
  .filter(each => each.checkVisibility()).map(each => each.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize(("role", "tenant"), [(Role.COORDINATOR, None), (Role.APPROVER, AGENCY), (Role.AUDITOR, None)])
def test_paper_has_nothing_to_press_and_nothing_to_write_into(
    site: Site, signed_in: Open, role: Role, tenant: str | None
) -> None:
    page = (signed_in(role, tenant) if tenant else signed_in(role)).page
    page.emulate_media(media="print")
    seen = set()
    paths = [f"/requests/{request_id}" for request_id in site.told.ids.values()]
    paths += [f"/requests/{site.told.ids['7k3mq']}/{each}" for each in ("ladders", "case", "custody", "approve")]
    paths += ["/", "/board", "/board?wall=1", "/mine", "/tasks", "/handover", "/escalations", "/delivery", "/about"]
    paths += ["/participants", "/participants/acb", "/audit", "/audit/verify", "/displays", "/sessions"]
    for path in paths:
        answer = page.goto(f"{site.address}{path}")
        if answer is not None and answer.ok:
            seen.add(path)
            assert page.evaluate(_TOOLS) == [], path
            assert page.locator("h1").first.is_visible()
    assert len(seen) > 9


def test_paper_has_no_navigation(site: Site, signed_in: Open) -> None:
    page = signed_in().page
    page.goto(site.page_of("7k3mq"))
    page.emulate_media(media="print")
    for gone in (".places", ".languages", ".tools", ".crumb"):
        assert page.locator(gone).is_hidden()
    assert page.locator(".leave").is_hidden() and page.locator("#reference").is_visible()
