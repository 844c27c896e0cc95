"""The page of a request's ladders: rungs done, next and later, and who stands on them; a shown name is read."""

import functools
import json

import pytest
import world as worlds
from console_desk import Desk
from console_site import Open, look_over
from playwright.sync_api import expect

from service import i18n
from service.engine.hub import OPERATOR
from service.models import AuditEntry
from service.schemas.requests import RequestAccepted
from workflows.terms import Role

COORDINATOR = {"role": Role.COORDINATOR, "tenant": OPERATOR, "person": "tran-lan-thu"}


@pytest.fixture(scope="module")
def filed(desk: Desk) -> RequestAccepted:
    """A freeze that its bank has not answered."""
    return desk.run(desk.world.active(worlds.freeze()))


def openings(desk: Desk) -> list[dict[str, str]]:
    rows = desk.run(desk.world.rows(AuditEntry, code="person.opened"))
    return [json.loads(row["data"]) for row in rows if json.loads(row["data"])["view"] == "roster"]


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_the_page_is_whole_in_both_languages(desk: Desk, at_desk: Open, filed: RequestAccepted, lang: str) -> None:
    path = f"/requests/{filed.id}/ladders"
    look_over(functools.partial(at_desk, **COORDINATOR), desk.address, [path], lang)


def test_a_coordinator_reads_the_names_and_that_is_on_record_at_each_member(
    desk: Desk, at_desk: Open, filed: RequestAccepted
) -> None:
    page = at_desk(**COORDINATOR).page
    page.goto(f"{desk.address}/requests/{filed.id}?lang=en")
    before = len(openings(desk))
    with page.expect_navigation():
        page.get_by_role("link", name="Who stands on each rung").first.click()
    step = page.locator("li.rung-step.is-next").first
    expect(step).to_contain_text("Vietcombank")
    expect(step).to_contain_text("Trực ban mẫu")
    expect(page.locator("section").filter(has_text="vn-default").first).to_be_visible()
    assert {each["participant_id"] for each in openings(desk)[before:]} == {"vietcombank", OPERATOR, "sbv"}


def test_an_officer_reads_how_many_are_on_duty_and_nobodys_name(
    desk: Desk, at_desk: Open, filed: RequestAccepted
) -> None:
    page = at_desk().page
    before = len(openings(desk))
    page.goto(f"{desk.address}/requests/{filed.id}/ladders?lang=en")
    expect(page.locator("li.rung-step").first).to_contain_text("1 on duty")
    assert "Trực ban mẫu" not in page.locator("main").inner_text()
    assert len(openings(desk)) == before


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_the_rung_on_which_a_ladder_stands_is_said_and_the_next_one_need_not_be_waited_for(
    desk: Desk, at_desk: Open, scripts: bool
) -> None:
    filed = desk.run(desk.world.active(worlds.freeze()))
    (order,) = desk.run(desk.world.orders(filed.id))
    desk.make_late(order["id"], stage="execute")
    page = at_desk(**COORDINATOR, java_script_enabled=scripts).page
    page.goto(f"{desk.address}/requests/{filed.id}/ladders")
    ladder = page.locator("section").filter(has=page.locator("h2", has_text="Vietcombank · Thực hiện"))
    current = ladder.locator("li[aria-current=step]")
    expect(current).to_have_count(0)
    # A listener hears of each that counts down, at its thresholds and under its name.
    assert page.locator("main [role=timer]:not([data-start])").count() == 0
    assert ladder.get_by_role("timer").get_attribute("data-what") == "Vietcombank Thực hiện Bậc 1"
    with page.expect_navigation():
        ladder.get_by_role("button", name="Leo thang ngay Bậc 1 Vietcombank").click()
    assert page.url == f"{desk.address}/requests/{filed.id}/ladders"
    desk.run(desk.world.fire())
    page.reload()
    expect(current).to_have_count(1)
    expect(current).to_contain_text("Đang ở bậc này")
    expect(current).to_contain_text("Bậc 1")
    expect(ladder.get_by_role("button", name="Leo thang ngay Bậc 2 Vietcombank")).to_be_visible()
    officers = at_desk().page
    officers.goto(f"{desk.address}/requests/{filed.id}/ladders")
    expect(officers.locator("li[aria-current=step]").first).to_contain_text("Đang ở bậc này")
    assert officers.locator(".escalate").count() == 0


def test_who_sees_no_escalations_sees_no_ladder(desk: Desk, at_desk: Open, filed: RequestAccepted) -> None:
    page = at_desk(role=Role.AUDITOR, tenant=OPERATOR, person="vu-hai-an").page
    answer = page.goto(f"{desk.address}/requests/{filed.id}/ladders")
    assert answer is not None and answer.status == 403
    page = at_desk(role=Role.PARTICIPANT_OPERATOR, tenant="vietcombank", person="le-van-b").page
    answer = page.goto(f"{desk.address}/requests/{filed.id}/ladders")
    assert answer is not None and answer.status == 403
