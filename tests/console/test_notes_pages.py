"""Notes on a request's page and the hand-over of a shift: written, read by the own house alone, in both languages."""

import functools
from typing import Any

import pytest
import world as worlds
from console_desk import Desk
from console_site import Open, Watched, look_over
from playwright.sync_api import expect
from world import AGENCY

from service import i18n
from service.engine.hub import OPERATOR
from workflows.terms import Role

DESK = {"role": Role.COORDINATOR, "tenant": OPERATOR, "person": "tran-lan-thu"}
TEXT = "Đã gọi trực ban Vietcombank\nhẹn 10:30 <b>trả lời</b>"


def opened(desk: Desk, enter: Open, path: str, **options: Any) -> Watched:
    watched = enter(**{**DESK, **options})
    watched.page.goto(f"{desk.address}{path}")
    return watched


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_a_note_is_written_read_by_the_desk_alone_and_handed_over(desk: Desk, at_desk: Open, scripts: bool) -> None:
    filed = desk.run(desk.world.active(worlds.freeze()))
    page = opened(desk, at_desk, f"/requests/{filed.id}", java_script_enabled=scripts).page
    page.get_by_label("Ghi chú mới").fill(TEXT)
    with page.expect_navigation():
        page.get_by_role("button", name="Ghi lại").click()
    expect(page.locator("#notes .note")).to_have_text(TEXT)
    expect(page.locator(".timeline")).to_contain_text("Có ghi chú mới")
    page.get_by_label("Ghi chú mới").fill("Ca sau gọi lại")
    with page.expect_navigation(url=f"{desk.address}/handover"):
        page.get_by_role("button", name="Bàn giao cho ca sau").click()
    lines = page.locator("li").filter(
        has=page.get_by_role("link", name=filed.reference), has_not=page.locator(".timer")
    )
    expect(lines.locator(".note")).to_have_text(["Ca sau gọi lại", TEXT])
    expect(lines.last).to_contain_text("tran-lan-thu")
    agency = opened(desk, at_desk, f"/requests/{filed.id}", role=Role.APPROVER, tenant=AGENCY, person="approver").page
    assert "hẹn 10:30" not in agency.content()
    reader = opened(desk, at_desk, f"/requests/{filed.id}", role=Role.READER, tenant=AGENCY, person="tra-cuu").page
    assert reader.locator("#notes").count() == 0
    assert reader.goto(f"{desk.address}/handover").status == 403  # type: ignore[union-attr]


def test_a_half_written_note_stays_when_the_page_renews_itself(desk: Desk, at_desk: Open) -> None:
    filed = desk.run(desk.world.active(worlds.freeze()))
    (order,) = desk.run(desk.world.orders(filed.id))
    page = at_desk(**DESK).page
    page.clock.install()
    page.goto(f"{desk.address}/requests/{filed.id}")
    page.get_by_label("Ghi chú mới").fill("nửa câu")
    held = {"value": "150000000", "currency": "VND"}
    desk.run(desk.world.answer(order, outcome="executed", amount_held=held))
    page.clock.run_for(6_000)
    expect(page.locator(".timeline")).to_contain_text("150.000.000")
    expect(page.get_by_label("Ghi chú mới")).to_have_value("nửa câu")


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_the_pages_are_accessible_complete_and_fit_a_narrow_screen(desk: Desk, at_desk: Open, lang: str) -> None:
    filed = desk.run(desk.world.active(worlds.freeze()))
    look_over(functools.partial(at_desk, **DESK), desk.address, ("/handover", f"/requests/{filed.id}"), lang)
