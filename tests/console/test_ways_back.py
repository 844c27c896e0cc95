"""Where people come in and where a refusal leads: to a page that their role opens, and back to the form that failed."""

import functools
from typing import Any

import pytest
import world as worlds
from console_desk import Desk
from console_site import Open, look_over
from playwright.sync_api import APIResponse, Page, expect
from world import AGENCY

from service import i18n
from service.engine.hub import OPERATOR
from service.models import Deadline
from workflows.terms import Role

TENANTS = {
    Role.MAKER: AGENCY,
    Role.APPROVER: AGENCY,
    Role.READER: AGENCY,
    Role.AGENCY_ADMIN: AGENCY,
    Role.PARTICIPANT_OPERATOR: "vietcombank",
    Role.SUPERVISOR: "sbv",
    Role.COORDINATOR: OPERATOR,
    Role.AUDITOR: OPERATOR,
    Role.HUB_ADMIN: OPERATOR,
}


@pytest.mark.parametrize("role", Role)
def test_nobody_signs_in_to_a_refusal_and_a_refusal_leads_to_a_page(desk: Desk, at_desk: Open, role: Role) -> None:
    page = at_desk(role=role, tenant=TENANTS[role], person="moi-vao").page
    arrived = page.request.post(desk.link(role, TENANTS[role], "moi-vao"))
    assert arrived.status == 200 and "/sign-in" not in arrived.url
    for path in ("/", "/khong-co-trang-nay", "/requests/01900000-0000-7000-8000-000000000000"):
        page.goto(f"{desk.address}{path}")
        for place in page.locator("a.brand, .notice a").all():
            assert page.request.get(f"{desk.address}{place.get_attribute('href')}").status == 200, path
    # What is not theirs says so in words that are true of every page.
    closed = next(path for path in ("/tasks", "/mine", "/audit") if page.request.get(desk.address + path).status == 403)
    page.goto(f"{desk.address}{closed}")
    expect(page.locator(".notice")).to_contain_text("Nội dung này dành cho vai trò khác")
    with page.expect_navigation() as back:
        page.locator(".notice a").click()
    assert back.value.status == 200


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_a_refusal_is_accessible_complete_and_fits_a_narrow_screen(desk: Desk, at_desk: Open, lang: str) -> None:
    enter = functools.partial(at_desk, role=Role.SUPERVISOR, tenant="sbv", person="giam-sat")
    look_over(enter, desk.address, ("/tasks",), lang, status=403)


def test_a_bank_finds_the_order_for_which_it_was_called(desk: Desk, at_desk: Open) -> None:
    order = late(desk)
    page = at_desk(role=Role.PARTICIPANT_OPERATOR, tenant="vietcombank", person="thu").page
    expect(page).to_have_url(f"{desk.address}/escalations")
    with page.expect_navigation():
        page.locator(f"a[href='/orders/{order['id']}']").first.click()
    expect(page.locator("h1")).to_contain_text("Các lần gửi")
    reader = at_desk(role=Role.READER, tenant=AGENCY, person="tra-cuu").page
    reader.goto(f"{desk.address}/escalations")
    expect(reader.locator("main a[href^='/requests/']").first).to_be_visible()
    assert reader.locator("main a[href^='/orders/']").count() == 0


def test_a_form_that_came_too_late_leads_back_to_the_page_that_it_stood_on(desk: Desk, at_desk: Open) -> None:
    order = late(desk)
    request = f"/requests/{order['request_id']}"
    page = at_desk(role=Role.COORDINATOR, tenant=OPERATOR, person="tran-lan-thu").page
    page.goto(f"{desk.address}/tasks")
    task = "01900000-0000-7000-8000-000000000000"
    rungs = [row["id"] for row in desk.run(desk.world.rows(Deadline, subject_id=order["id"])) if row["rung"] > 0]
    for path, back, fields in (
        (f"/orders/{order['id']}/escalations", request, {"deadline_id": rungs[0], "request_id": order["request_id"]}),
        (f"/orders/{order['id']}/escalations", f"/orders/{order['id']}", {"deadline_id": rungs[0]}),
        (f"/tasks/{task}/resolutions", "/tasks", {"note": "x" * 5_000}),
        (f"{request}/notes", f"{request}#notes", {"text": ""}),
    ):
        answer = post(page, f"{desk.address}{path}", **{name: str(value) for name, value in fields.items()})
        assert answer.status in {400, 409, 413, 422}, (path, answer.status)
        assert f'<a href="{back}">Quay lại trang trước đó</a>' in answer.text(), path


def post(page: Page, address: str, **fields: str) -> APIResponse:
    token = page.locator("input[name=csrf_token]").first.get_attribute("value") or ""
    return page.request.post(address, form={"csrf_token": token, **fields}, max_redirects=0)


def late(desk: Desk) -> dict[str, Any]:
    """An order whose bank was silent until a rung fired, which reached it."""
    filed = desk.run(desk.world.active(worlds.freeze()))
    (order,) = desk.run(desk.world.orders(filed.id))
    desk.make_late(order["id"], stage="receipt")
    return order
