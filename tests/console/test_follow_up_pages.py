"""A lift and an extension begin on the page of the request that they are about, and are filed like any other."""

import json
from datetime import timedelta

import filing_steps as steps
import pytest
import world as worlds
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from console_desk import Desk
from console_site import Open
from playwright.sync_api import Page, expect
from test_filing_pages import maker, paste, to_sign

from service import i18n
from service.console.filing.steps import follow_ups
from service.schemas.requests import RequestAccepted
from workflows.terms import Action, Role

AXE = Axe()


def held(desk: Desk) -> RequestAccepted:
    """A freeze in force that its bank has executed."""
    filed = desk.run(desk.world.active(worlds.freeze()))
    (order,) = desk.run(desk.world.orders(filed.id))
    whole = {"value": "150000000", "currency": "VND"}
    desk.run(desk.world.answer(order, outcome="executed", amount_held=whole))
    return filed


def throw_away(page: Page, desk: Desk) -> None:
    """Leave no draft behind."""
    page.goto(f"{desk.address}/requests/new")
    anew = page.locator(".left button")
    if anew.count():
        anew.click()
        steps.at(page, "action")
        page.goto(f"{desk.address}/requests/new")


def ask(page: Page, desk: Desk, about: RequestAccepted, name: str) -> None:
    """Press the button on the page of a request."""
    page.goto(f"{desk.address}/requests/{about.id}")
    page.locator(f".asks button[value={name}]").click()


def answer(page: Page) -> None:
    """Answer what a lift and an extension ask alike, up to the page on which all is checked."""
    steps.at(page, "case")
    expect(page.locator("#f-case_number")).to_have_value("01/2026/CA")
    steps.go_on(page, "basis")
    expect(page.locator("input[value=decree_52_11]")).to_be_checked()
    steps.go_on(page, "urgency")
    page.locator("input[value=hoa_toc]").check()
    steps.go_on(page, "document")
    page.locator("#f-document-number").fill("16/QD-PC02")
    page.locator("#f-document-date").fill("2026-11-21")
    steps.go_on(page, "paper")
    steps.paper(page)
    steps.go_on(page, "contact")
    steps.contact(page)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_a_lift_begins_at_the_request_that_it_is_about(desk: Desk, at_desk: Open, scripts: bool) -> None:
    about = held(desk)
    page = maker(at_desk, java_script_enabled=scripts).page
    throw_away(page, desk)
    ask(page, desk, about, "lift")
    answer(page)
    expect(page.locator(".does")).to_contain_text(f"Gỡ biện pháp của yêu cầu {about.reference}")
    expect(page.locator("main")).to_contain_text("Vietcombank")
    to_sign(page)
    said = json.loads(page.locator("#content").inner_text())
    assert (said["action"], said["original_request_id"]) == ("lift", str(about.id)) and "targets" not in said
    paste(desk, page)
    (order,) = desk.run(desk.world.orders(about.id))
    assert order["lift_ordered"]


def test_an_extension_says_why_to_the_second_officer_and_on_the_timeline(desk: Desk, at_desk: Open) -> None:
    about = held(desk)
    page = maker(at_desk).page
    throw_away(page, desk)
    ask(page, desk, about, "extend")
    steps.at(page, "end")
    ends_at = about.ends_at
    assert ends_at is not None
    later = ends_at + timedelta(days=2, hours=7)
    page.locator("#f-ends_at").fill(later.strftime("%Y-%m-%dT%H:%M"))
    page.locator("input[value=money_traced]").check()
    steps.go_on(page, "case")
    answer(page)
    expect(page.locator("main")).to_contain_text("Đang tiếp tục truy vết dòng tiền")
    to_sign(page)
    assert json.loads(page.locator("#content").inner_text())["reason"] == "money_traced"
    extension = paste(desk, page)
    second = at_desk().page
    second.goto(desk.page(extension))
    expect(second.locator("main")).to_contain_text("Lý do gia hạn")
    second.goto(f"{desk.address}/requests/{extension}")
    expect(second.locator("main")).to_contain_text("lý do: đang tiếp tục truy vết dòng tiền.")


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_an_extension_names_its_end_and_what_the_rules_refuse_is_said_before_it_is_signed(
    desk: Desk, at_desk: Open, lang: str
) -> None:
    about = held(desk)
    page = maker(at_desk).page
    throw_away(page, desk)
    page.goto(f"{desk.address}/requests/{about.id}?lang={lang}")
    found = AXE.run(page)
    assert found.violations_count == 0, found.generate_report()
    ask(page, desk, about, "extend")
    steps.at(page, "end")
    found = AXE.run(page)
    assert found.violations_count == 0, found.generate_report()
    steps.go_on(page, "end")
    for field in ("#f-ends_at", "#f-reason"):
        expect(page.locator(f".summary a[href='{field}']")).to_be_visible()
    page.locator("input[value=money_traced]").check()
    page.locator("#f-ends_at").fill("2020-01-01T10:00")
    steps.go_on(page, "case")
    answer(page)
    expect(page.locator(".summary a").first).to_have_attribute("href", "/requests/new/end?check=1#f-ends_at")
    throw_away(page, desk)


def test_another_draft_is_not_thrown_away_by_a_button(desk: Desk, at_desk: Open) -> None:
    about, other = held(desk), held(desk)
    page = maker(at_desk).page
    throw_away(page, desk)
    ask(page, desk, about, "lift")
    steps.at(page, "case")
    page.locator("#f-case_number").fill("02/2026/CA")
    steps.go_on(page, "basis")
    for request, name in ((about, "extend"), (other, "lift")):
        ask(page, desk, request, name)
        expect(page.get_by_role("alert")).to_contain_text("Bạn đang soạn dở một yêu cầu khác")
    # The one that lies there is gone on with.
    ask(page, desk, about, "lift")
    steps.at(page, "case")
    expect(page.locator("#f-case_number")).to_have_value("02/2026/CA")
    throw_away(page, desk)


def test_who_may_not_file_gets_no_button_and_nobody_begins_at_anothers_request(desk: Desk, at_desk: Open) -> None:
    about = held(desk)
    reader = at_desk(role=Role.READER, person="tra-cuu").page
    reader.goto(f"{desk.address}/requests/{about.id}")
    assert reader.locator(".asks").count() == 0
    page = maker(at_desk).page
    throw_away(page, desk)
    page.goto(f"{desk.address}/requests/{about.id}")
    token = page.locator(".asks input[name=csrf_token]").get_attribute("value")
    for path, form, status in (
        (f"{about.id}", {"action": "freeze"}, 400),
        (f"{about.id}", {}, 400),
        ("00000000-0000-7000-8000-000000000000", {"action": "lift"}, 404),
    ):
        address = f"{desk.address}/requests/{path}/follow-ups"
        sent = page.request.post(address, form={**form, "csrf_token": token or ""}, max_redirects=0)
        assert sent.status == status, (path, form)
    page.goto(f"{desk.address}/requests/new")
    assert page.locator(".left").count() == 0


@pytest.mark.parametrize("action", Action)
def test_what_can_follow_is_what_the_rules_know(action: Action) -> None:
    lifts = {Action.FREEZE, Action.TAKEDOWN, Action.PRESERVE}
    assert (Action.LIFT in follow_ups(action, is_active=True, has_end=True)) is (action in lifts)
    extends = {Action.FREEZE, Action.PRESERVE}
    assert (Action.EXTEND in follow_ups(action, is_active=True, has_end=True)) is (action in extends)
    assert Action.EXTEND not in follow_ups(action, is_active=True, has_end=False)
    assert Action.EXTEND not in follow_ups(action, is_active=False, has_end=True)
