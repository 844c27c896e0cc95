"""What was disclosed and what moved, on one page for whoever asked: each reading a fact, the next hop a press away."""

import csv
import io
import json
import secrets
from uuid import UUID

import filing_steps as steps
import pytest
import steps as hub_steps
from console_desk import Desk
from console_site import Open, look_over
from playwright.sync_api import expect
from test_filing_pages import maker, paste, to_sign
from test_follow_up_pages import throw_away

from service import i18n
from service.engine.hub import OPERATOR
from service.models import AuditEntry
from workflows.terms import Role

BOTH = pytest.mark.parametrize("lang", i18n.LANGUAGES)
DATA = {
    "holder_name": "LE VAN MAU",
    "holder_document": {"kind": "national_id", "number": "000000000417"},
}


def account() -> str:
    """A number of its own, so that no two tests meet; it is made up."""
    return "97040000" + "".join(secrets.choice("0123456789") for _ in range(5))


def traced(desk: Desk, *accounts: str, has_more: bool = False) -> UUID:
    """A trace whose bank has answered that money went on to these accounts."""
    order = desk.run(hub_steps.traced(desk.world))
    moved = hub_steps.moved(*accounts, has_more=has_more)
    desk.run(desk.world.answer(order, outcome="executed", traced=moved))
    request_id: UUID = order["request_id"]
    return request_id


def disclosed(desk: Desk) -> UUID:
    """A disclosure whose bank has answered a part of what was asked."""
    (order,) = desk.run(hub_steps.asked(desk.world))
    desk.run(desk.world.answer(order, outcome="executed", disclosed=DATA))
    request_id: UUID = order["request_id"]
    return request_id


def views(desk: Desk, request_id: UUID) -> list[str]:
    """What was read of a request through the console, as the facts say, but for its own page."""
    facts = desk.run(desk.world.rows(AuditEntry, chain=f"reads:{request_id}"))
    said = [json.loads(fact["data"]) for fact in facts]
    return [each["view"] for each in said if each["door"] == "console" and each["view"] != "page"]


@BOTH
def test_the_pages_are_whole_by_day_by_night_and_narrow(desk: Desk, at_desk: Open, lang: str) -> None:
    more, asked = traced(desk, account(), account(), has_more=True), disclosed(desk)
    nothing = desk.run(hub_steps.traced(desk.world))
    desk.run(desk.world.answer(nothing, outcome="executed", traced={"movements": [], "has_more": False}))
    unanswered = desk.run(hub_steps.traced(desk.world))["request_id"]

    def enter(**options: object) -> object:
        return maker(at_desk, **options)

    pages = [f"/requests/{each}/answers" for each in (more, asked, nothing["request_id"], unanswered)]
    look_over(enter, desk.address, [f"/requests/{more}", *pages], lang)  # type: ignore[arg-type]


def test_what_moved_is_a_button_away_and_each_reading_is_a_fact(desk: Desk, at_desk: Open) -> None:
    first, second = account(), account()
    request_id = traced(desk, first, second, has_more=True)
    page = maker(at_desk).page
    page.goto(f"{desk.address}/requests/{request_id}")
    expect(page.locator(".answers")).to_contain_text("Việc đọc được ghi lại")
    assert first not in page.content() and views(desk, request_id) == []
    page.locator(".answers a").click()
    expect(page.locator("h1")).to_have_text("Câu trả lời")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("1.000.000.000 ₫")
    expect(rows.nth(1)).to_contain_text(first)
    expect(rows.nth(2)).to_contain_text(second)
    expect(page.locator(".tiles")).to_contain_text("199.999.999 ₫")
    expect(page.locator(".flagged.warn")).to_contain_text("Trong khoảng này còn giao dịch khác")
    # What came in cannot be frozen: it is here already.
    expect(rows.nth(0).locator("button")).to_have_count(0)
    assert views(desk, request_id) == ["movements"]
    page.reload()
    expect(page.locator("h1")).to_have_text("Câu trả lời")
    assert views(desk, request_id) == ["movements", "movements"]


def test_the_table_to_take_along_has_every_movement_and_is_a_reading_too(desk: Desk, at_desk: Open) -> None:
    first, second = account(), account()
    request_id = traced(desk, first, second)
    page = maker(at_desk).page
    answer = page.request.get(f"{desk.address}/requests/{request_id}/answers.csv?lang=en")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    head, *lines = list(csv.reader(io.StringIO(answer.text().removeprefix("\ufeff"))))
    assert head[:4] == ["When", "Direction", "Amount", "Currency"]
    assert [(line[1], line[2], line[6]) for line in lines] == [
        ("in", "1000000000", ""),
        ("out", "100000000", first),
        ("out", "99999999", second),
    ]
    assert views(desk, request_id) == ["movements"]
    assert page.request.get(f"{desk.address}/requests/{disclosed(desk)}/answers.csv").status == 404


@BOTH
def test_what_was_disclosed_is_read_there_too(desk: Desk, at_desk: Open, lang: str) -> None:
    request_id = disclosed(desk)
    page = maker(at_desk).page
    page.goto(f"{desk.address}/requests/{request_id}/answers?lang={lang}")
    facts = page.locator("dl.facts")
    expect(facts).to_contain_text("LE VAN MAU")
    expect(facts).to_contain_text("000000000417")
    expect(facts).to_contain_text(i18n.text("console.answers.not_held", lang))
    assert views(desk, request_id) == ["disclosure"]


def test_nobody_but_whoever_asked_finds_the_page(desk: Desk, at_desk: Open) -> None:
    hop = account()
    request_id = traced(desk, hop)
    held = desk.file(hub_steps.recall())
    for role in (Role.COORDINATOR, Role.AUDITOR):
        page = at_desk(role=role, tenant=OPERATOR, person=f"watcher-{role}").page
        page.goto(f"{desk.address}/requests/{request_id}")
        expect(page.locator("#reference")).to_be_visible()
        expect(page.locator(".answers")).to_have_count(0)
        for path in ("answers", "answers.csv"):
            answer = page.request.get(f"{desk.address}/requests/{request_id}/{path}")
            assert answer.status in {403, 404} and hop not in answer.text()
    page = maker(at_desk).page
    assert page.request.get(f"{desk.address}/requests/{held}/answers").status == 404
    assert "movements" not in views(desk, request_id)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_the_next_hop_is_frozen_from_there(desk: Desk, at_desk: Open, scripts: bool) -> None:
    hop = account()
    request_id = traced(desk, hop)
    page = maker(at_desk, java_script_enabled=scripts).page
    throw_away(page, desk)
    page.goto(f"{desk.address}/requests/{request_id}/answers")
    page.locator("tbody button").click()
    steps.at(page, "targets")
    expect(page.locator("#f-targets-0-value")).to_have_value(hop)
    expect(page.locator("#f-targets-0-at")).to_have_value("BIDV")
    # Whose it is the bank did not say.
    page.locator("#f-targets-0-holder_name").fill("TRAN THI MAU")
    steps.go_on(page, "amount")
    expect(page.locator("input[value=amount]")).to_be_checked()
    expect(page.locator("#f-amount")).to_have_value("100000000")
    steps.go_on(page, "case")
    expect(page.locator("#f-case_number")).to_have_value("01/2026/CA")
    steps.go_on(page, "basis")
    page.locator("input[value=decree_52_11]").check()
    steps.go_on(page, "urgency")
    page.locator("input[value=hoa_toc]").check()
    steps.go_on(page, "end")
    page.locator("input[value=default]").check()
    steps.go_on(page, "document")
    page.locator("#f-document-number").fill("17/QD-PC02")
    page.locator("#f-document-date").fill("2026-11-21")
    steps.go_on(page, "paper")
    steps.paper(page)
    steps.go_on(page, "contact")
    steps.contact(page)
    to_sign(page)
    said = json.loads(page.locator("#content").inner_text())
    assert (said["action"], said["target"]["value"], said["amount"]["value"]) == ("freeze", hop, "100000000")
    paste(desk, page)


def test_another_draft_is_not_thrown_away_for_the_next_hop(desk: Desk, at_desk: Open) -> None:
    request_id = traced(desk, account())
    page = maker(at_desk).page
    throw_away(page, desk)
    steps.laid(desk, "00417")
    page.goto(f"{desk.address}/requests/{request_id}/answers")
    page.locator("tbody button").click()
    expect(page.get_by_role("alert")).to_contain_text("Bạn đang soạn dở một yêu cầu khác")
    throw_away(page, desk)


@BOTH
def test_a_trace_is_filed_with_its_window_as_a_question(desk: Desk, at_desk: Open, lang: str) -> None:
    page = steps.begin(maker(at_desk), desk.address, lang)
    page.locator("input[value=trace]").check()
    steps.go_on(page, "text")
    steps.go_on(page, "targets")
    page.locator("#f-targets-0-kind").select_option("account")
    page.locator("#f-targets-0-value").fill(account())
    page.locator("#f-targets-0-at").fill("Vietcombank")
    page.locator("#f-targets-0-holder_name").fill("NGUYEN VAN MAU")
    steps.go_on(page, "window")
    # The last day is proposed: one press goes on.
    assert page.locator("#f-window-since").input_value() < page.locator("#f-window-until").input_value()
    page.locator("#f-window-since").fill("")
    steps.go_on(page, "window")
    expect(page.locator(".summary a")).to_have_attribute("href", "#f-window-since")
    page.locator("#f-window-since").fill("2026-11-01T00:00")
    page.locator("#f-window-until").fill("2026-11-21T00:00")
    steps.go_on(page, "case")
    page.locator("#f-case_number").fill("01/2026/CA")
    steps.go_on(page, "basis")
    page.locator("input[value=cpc_88]").check()
    steps.go_on(page, "urgency")
    page.locator("input[value=hoa_toc]").check()
    steps.go_on(page, "document")
    page.locator("#f-document-number").fill("18/QD-PC02")
    page.locator("#f-document-date").fill("2026-11-21")
    steps.go_on(page, "paper")
    steps.paper(page)
    steps.go_on(page, "contact")
    steps.contact(page)
    # The rules know what the form does not: the window is too long.
    wrong = page.locator(".summary a").first
    expect(wrong).to_have_attribute("href", "/requests/new/window?check=1#f-window-until")
    wrong.click()
    steps.at(page, "window")
    page.locator("#f-window-since").fill("2026-11-20T00:00")
    steps.go_on(page, "check")
    to_sign(page)
    said = json.loads(page.locator("#content").inner_text())
    assert said["window"] == {"since": "2026-11-20T00:00:00+07:00", "until": "2026-11-21T00:00:00+07:00"}
    paste(desk, page)
