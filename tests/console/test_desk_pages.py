"""The duty desk's other pages: tasks, escalations, delivery with its replays, the attempts of an order."""

import functools
import re
from typing import Any

import pytest
import sqlalchemy as sa
import steps
import test_ways_back as ways_back
import world as worlds
from builders import table
from console_desk import Desk
from console_site import LOOKS, Open, Watched, look_at, look_over
from playwright.sync_api import Page, expect
from rigs import Rig
from sqlalchemy.ext.asyncio import AsyncConnection
from world import AGENCY

from adapters.base import DeliveryFailed
from service import audit, db, i18n
from service.engine.hub import OPERATOR
from service.models import AuditEntry, Contact, Dispatch, Task
from workflows import replay
from workflows.terms import DispatchState, Fact, Role

DESK = {"role": Role.COORDINATOR, "tenant": OPERATOR, "person": "tran-lan-thu"}
BOTH = pytest.mark.parametrize("lang", i18n.LANGUAGES)
HELD = {"value": "120000000", "currency": "VND"}


def given_up(desk: Desk) -> tuple[Any, dict[str, Any]]:
    """A freeze whose order the bank's endpoint refused for good: the desk has a task."""
    filed = desk.run(desk.world.active(worlds.freeze()))
    (order,) = desk.run(desk.world.orders(filed.id))
    desk.run(_sent(desk, order, DeliveryFailed("message.too_large", status=413, retryable=False)))
    return filed, order


async def _sent(desk: Desk, order: dict[str, Any], fault: BaseException | None) -> None:
    """Send what waits, as a worker does; ``fault`` is how each attempt at the order's participant ends."""
    rig = await Rig(desk.hub).start()
    if fault is not None:
        rig.speaker.fail(desk.world.endpoints[order["participant_id"]], fault)
    while await rig.round():
        pass
    await rig.stop()


def opened(desk: Desk, enter: Open, path: str, **options: Any) -> Watched:
    watched = enter(**{**DESK, **options})
    watched.page.goto(f"{desk.address}{path}")
    return watched


def state_of(desk: Desk, order: dict[str, Any]) -> DispatchState:
    (row,) = desk.run(desk.world.rows(Dispatch, order_id=order["id"]))
    return DispatchState(row["state"])


def task_of(desk: Desk, order: dict[str, Any]) -> dict[str, Any]:
    (row,) = desk.run(desk.world.rows(Task, order_id=order["id"]))
    return row


def late(desk: Desk, stage: str = "receipt") -> Any:
    """A freeze whose bank has been silent beyond the deadline of a stage: one rung fired."""
    filed = desk.run(desk.world.active(worlds.freeze()))
    (order,) = desk.run(desk.world.orders(filed.id))
    desk.make_late(order["id"], stage=stage)
    return filed


@BOTH
def test_the_pages_are_accessible_complete_and_fit_a_narrow_screen(desk: Desk, at_desk: Open, lang: str) -> None:
    late(desk)
    _, order = given_up(desk)
    addresses = (
        *("/tasks", "/tasks?state=resolved", "/tasks?kind=dead_dispatch", "/escalations", "/escalations?unreachable=1"),
        *("/delivery", f"/delivery?which=dead&order_id={order['id']}", f"/orders/{order['id']}?content=1"),
    )
    look_over(functools.partial(at_desk, **DESK), desk.address, addresses, lang)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_a_task_is_done_by_a_plain_form_and_its_note_is_read_on_record(
    desk: Desk, at_desk: Open, scripts: bool
) -> None:
    filed, order = given_up(desk)
    task = task_of(desk, order)
    page = opened(desk, at_desk, "/tasks", java_script_enabled=scripts).page
    card = page.locator(f"#task-{task['id']}")
    expect(card).to_contain_text(filed.reference)
    expect(card).to_contain_text("Nội dung quá lớn")
    card.locator("summary").click()
    card.locator("textarea").fill("Đã gọi trực ban\ngửi bằng công văn")
    with page.expect_navigation():
        card.get_by_role("button", name="Ghi nhận đã xong").click()
    expect(page.locator(f"#task-{task['id']}")).to_have_count(0)
    assert task_of(desk, order)["resolved_by"] == DESK["person"]

    before = len(reads(desk, filed.id))
    page.goto(f"{desk.address}/tasks?state=resolved")
    expect(page.locator(f"#task-{task['id']} .note")).to_have_text("Đã gọi trực ban\ngửi bằng công văn")
    assert len(reads(desk, filed.id)) == before + 1


def test_what_was_taken_and_then_rejected_is_looked_for_among_what_was_delivered(desk: Desk, at_desk: Open) -> None:
    _, order = given_up(desk)
    task = task_of(desk, order)
    where = "#task-{id} a[href*=replay]".format(id=task["id"])
    page = opened(desk, at_desk, "/tasks").page
    expect(page.locator(where)).to_have_attribute("href", f"/delivery?which=dead&order_id={order['id']}#replay")
    rejected = {**task["data"], "error": "message.rejected"}

    async def reported(conn: AsyncConnection) -> None:
        await conn.execute(sa.update(table(Task)).where(table(Task).c.id == task["id"]).values(data=rejected))

    desk.run(desk.hub.writer.run(reported, reach=db.HUB))
    page.reload()
    expect(page.locator(where)).to_have_attribute("href", f"/delivery?which=delivered&order_id={order['id']}#replay")


def reads(desk: Desk, request_id: Any) -> list[dict[str, Any]]:
    chain = audit.reads_chain(request_id)
    return desk.run(desk.world.rows(AuditEntry, chain=chain, code=Fact.PERSON_OPENED))


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_a_failed_delivery_is_found_counted_and_sent_once_more(desk: Desk, at_desk: Open, scripts: bool) -> None:
    _, order = given_up(desk)
    page = opened(desk, at_desk, "/tasks", java_script_enabled=scripts).page
    with page.expect_navigation():
        page.locator(f"#task-{task_of(desk, order)['id']}").get_by_role("link", name="Gửi lại nội dung này").click()
    with page.expect_navigation():
        page.get_by_role("button", name="Đếm trước").click()
    expect(page.locator("main")).to_contain_text("Sẽ gửi lại 1 nội dung")
    assert state_of(desk, order) is DispatchState.DEAD
    with page.expect_navigation():
        page.get_by_role("button", name="Gửi lại 1 nội dung").click()
    expect(page.get_by_role("status").filter(has_text="Đã đưa 1 nội dung")).to_be_visible()
    assert state_of(desk, order) is DispatchState.PENDING
    assert task_of(desk, order)["resolved_at"] is not None
    desk.run(_sent(desk, order, None))
    page.goto(f"{desk.address}/orders/{order['id']}")
    results = page.locator(".dispatch tbody tr")
    expect(results).to_have_count(2)
    expect(results.first).to_contain_text("HTTP 413")
    expect(results.last).to_contain_text("đã nhận")


def test_delivery_keeps_itself_up_to_date_and_stands_still_while_it_is_paused(desk: Desk, at_desk: Open) -> None:
    # What other tests left unsent is given up with it, and counts no more.
    given_up(desk)
    watched = opened(desk, at_desk, "/delivery")
    page = watched.page
    expect(page.locator("#renewal-state")).to_have_text("Cập nhật ngay khi có thay đổi")
    page.evaluate("window.wasNeverReloaded = true")
    tile = page.locator("#totals .tile").nth(2).locator("strong")
    before = int(tile.inner_text()) + 1
    given_up(desk)
    expect(tile).to_have_text(str(before))
    page.get_by_role("button", name="Tạm dừng cập nhật").click()
    expect(page.locator("#renewal-state")).to_have_text("Đã tạm dừng cập nhật")
    with page.expect_event("console", predicate=lambda said: said.text == "told"):
        page.evaluate(
            "document.addEventListener('htmx:sse:before:message',"
            " event => event.detail.message.event || console.info('told'))"
        )
        given_up(desk)
    assert int(tile.inner_text()) == before
    page.get_by_role("button", name="Tạm dừng cập nhật").click()
    expect(tile).to_have_text(str(before + 1))
    assert page.evaluate("window.wasNeverReloaded") and watched.errors == []
    stranger = at_desk(role=Role.READER, tenant=AGENCY, person="tra-cuu").page
    assert stranger.request.get(f"{desk.address}/delivery/events").status == 403


def test_a_window_is_counted_and_what_selects_nothing_says_so(desk: Desk, at_desk: Open) -> None:
    given_up(desk)
    page = opened(desk, at_desk, "/delivery").page
    page.get_by_label("Tạo từ lúc").fill("2026-01-01T08:00")
    with page.expect_navigation():
        page.get_by_role("button", name="Đếm trước").click()
    expect(page.locator("main")).to_contain_text("tạo từ 08:00:00 01/01/2026")
    expect(page.get_by_role("button", name=re.compile(r"Gửi lại \d+ nội dung"))).to_be_visible()
    page.goto(f"{desk.address}/delivery")
    with page.expect_navigation():
        page.get_by_role("button", name="Đếm trước").click()
    expect(page.get_by_role("alert")).to_contain_text("Chưa có gì được gửi")
    answer = post(page, f"{desk.address}/delivery/replays", which="dead", since="tomorrow")
    assert answer == 422


def test_what_is_more_than_goes_at_once_goes_in_parts_and_nothing_twice(
    desk: Desk, at_desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "AT_ONCE", 2)
    since = desk.run(steps.now(desk.world)).isoformat()
    orders = []
    for _ in range(3):
        filed = desk.run(desk.world.active(worlds.freeze()))
        orders += desk.run(desk.world.orders(filed.id))
    desk.run(_sent(desk, orders[0], None))
    page = opened(desk, at_desk, "/delivery").page
    fields = {"which": "delivered", "participant_id": orders[0]["participant_id"], "since": since}
    counted = ways_back.post(page, f"{desk.address}/delivery/previews", **fields).text()
    rest = ways_back.post(page, f"{desk.address}/delivery/replays", **_hidden(counted))
    assert rest.status == 200 and "Đã đưa 2 nội dung" in rest.text() and "Sẽ gửi lại 1 nội dung" in rest.text()
    # Delivered once more before the rest is sent: that must not come to be the oldest again.
    desk.run(_sent(desk, orders[0], None))
    last = ways_back.post(page, f"{desk.address}/delivery/replays", **_hidden(rest.text()))
    assert (last.status, last.headers["location"]) == (303, "/delivery?sent=1#replay")
    for order in orders:
        assert desk.run(desk.world.facts(order["request_id"])).count("dispatch.replayed") == 1


def _hidden(html: str) -> dict[str, str]:
    """Return what a counted replay sends along."""
    form = html[html.index('action="/delivery/replays"') :]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)">', form))


@BOTH
@pytest.mark.parametrize("look", LOOKS, ids=("day", "night", "narrow"))
def test_what_is_counted_before_it_is_sent_once_more_is_accessible(
    desk: Desk, at_desk: Open, lang: str, look: dict[str, Any]
) -> None:
    given_up(desk)
    watched = at_desk(**DESK, **look)
    page = watched.page
    page.goto(f"{desk.address}/delivery?lang={lang}")
    page.locator("form[action='/delivery/previews'] input[name=since]").fill("2026-01-01T08:00")
    with page.expect_navigation():
        page.locator("form[action='/delivery/previews'] button").click()
    expect(page.locator("#replay-title")).to_be_visible()
    look_at(page, "replay")
    assert (watched.errors, watched.foreign) == ([], [])


def test_a_message_that_arrived_and_got_lost_is_sent_once_more_from_its_order(desk: Desk, at_desk: Open) -> None:
    filed = desk.run(desk.world.active(worlds.freeze()))
    (order,) = desk.run(desk.world.orders(filed.id))
    path = f"/orders/{order['id']}"
    link = "Gửi lại lệnh này"
    assert opened(desk, at_desk, path).page.get_by_role("link", name=link).count() == 0
    desk.run(_sent(desk, order, None))
    page = opened(desk, at_desk, path).page

    def count(until: str) -> None:
        page.goto(f"{desk.address}{path}")
        with page.expect_navigation():
            page.get_by_role("link", name=link).click()
        page.get_by_label("Tạo trước lúc").fill(until)
        with page.expect_navigation():
            page.get_by_role("button", name="Đếm trước").click()

    count("2026-01-01T08:00")
    expect(page.locator("main")).to_contain_text("tạo trước 08:00:00 01/01/2026")
    expect(page.locator("main")).to_contain_text("Sẽ gửi lại 0 nội dung")
    count("2096-01-01T08:00")
    expect(page.get_by_role("alert")).to_contain_text("Chưa có gì được gửi")
    count("")
    with page.expect_navigation():
        page.get_by_role("button", name="Gửi lại 1 nội dung").click()
    expect(page.get_by_role("status").filter(has_text="Đã đưa 1 nội dung")).to_be_visible()
    assert state_of(desk, order) is DispatchState.PENDING
    banks = opened(desk, at_desk, path, role=Role.PARTICIPANT_OPERATOR, tenant="vietcombank").page
    assert banks.get_by_role("link", name=link).count() == 0


def test_a_silent_bank_is_on_the_page_of_escalations_and_narrowed_to_whom_nobody_heard(
    desk: Desk, at_desk: Open
) -> None:
    filed = late(desk)
    page = opened(desk, at_desk, "/escalations").page
    line = page.locator("tr.line").filter(has_text=filed.reference)
    expect(line).to_contain_text("Vietcombank")
    expect(line).to_contain_text("Bậc 1")
    expect(line).to_contain_text("vn-default")
    page.goto(f"{desk.address}/escalations?unreachable=1")
    expect(page.locator("tr.line").filter(has_text=filed.reference)).to_have_count(0)
    contacts = table(Contact)
    desk.run(desk.hub.writer.run(functools.partial(_on_duty, contacts, False), reach=db.HUB))
    unheard = late(desk)
    desk.run(desk.hub.writer.run(functools.partial(_on_duty, contacts, True), reach=db.HUB))
    page.reload()
    expect(page.locator("tr.line").filter(has_text=unheard.reference)).to_contain_text("không ai nhận được")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_a_coordinator_does_not_wait_for_the_next_rung(desk: Desk, at_desk: Open, scripts: bool) -> None:
    filed = late(desk, "execute")
    page = opened(desk, at_desk, f"/requests/{filed.id}", java_script_enabled=scripts).page
    with page.expect_navigation():
        page.get_by_role("button", name="Leo thang ngay Bậc 1 Vietcombank").click()
    expect(page.locator(".timeline")).to_contain_text("Điều phối viên cho leo thang ngay bậc 1")
    desk.run(desk.world.fire())
    page.goto(f"{desk.address}/requests/{filed.id}")
    expect(page.locator(".ladder li:not(.coming)")).to_have_count(1)
    reader = opened(desk, at_desk, f"/requests/{filed.id}", role=Role.READER, tenant=AGENCY, person="tra-cuu").page
    assert reader.get_by_role("button", name=re.compile("Leo thang ngay")).count() == 0


async def _on_duty(contacts: sa.Table, active: bool, conn: AsyncConnection) -> None:
    await conn.execute(sa.update(contacts).where(contacts.c.tenant == "vietcombank").values(active=active))


def test_what_was_sent_and_answered_is_shown_whole_only_on_record(desk: Desk, at_desk: Open) -> None:
    filed = desk.run(desk.world.active(worlds.freeze()))
    (order,) = desk.run(desk.world.orders(filed.id))
    desk.run(_sent(desk, order, None))
    desk.run(desk.world.answer(order, outcome="executed", amount_held=HELD))
    account = worlds.freeze()["target"]["value"]
    page = opened(desk, at_desk, f"/requests/{filed.id}").page
    with page.expect_navigation():
        page.get_by_role("link", name="Các lần gửi").click()
    before = len(reads(desk, filed.id))
    assert account not in page.content()
    expect(page.locator(".badge").filter(has_text="chữ ký đã kiểm tra")).to_be_visible()
    expect(page.locator("main")).to_contain_text("120.000.000 ₫")
    with page.expect_navigation():
        page.get_by_role("link", name="Mở nội dung").click()
    assert account in page.content()
    assert len(reads(desk, filed.id)) == before + 1
    # The bank's own people see it too, the other bank's get the page of what does not exist.
    banks = opened(desk, at_desk, f"/orders/{order['id']}", role=Role.PARTICIPANT_OPERATOR, tenant="vietcombank").page
    expect(banks.locator("h1")).to_contain_text("Các lần gửi")
    other = opened(desk, at_desk, "/escalations", role=Role.PARTICIPANT_OPERATOR, tenant="techcombank").page
    assert other.goto(f"{desk.address}/orders/{order['id']}").status == 404  # type: ignore[union-attr]


def test_who_may_not_work_at_the_desk_is_refused_and_changes_nothing(desk: Desk, at_desk: Open) -> None:
    _, order = given_up(desk)
    task = task_of(desk, order)
    reader = opened(desk, at_desk, "/escalations", role=Role.READER, tenant=AGENCY, person="tra-cuu").page
    for path in ("/tasks", "/delivery"):
        assert reader.goto(f"{desk.address}{path}").status == 403  # type: ignore[union-attr]
    reader.goto(f"{desk.address}/")
    for path in (f"/tasks/{task['id']}/resolutions", "/delivery/previews", "/delivery/replays"):
        assert post(reader, f"{desk.address}{path}", which="dead", participant_id="vietcombank") == 403
        # Nonsense is no way around it either.
        assert post(reader, f"{desk.address}{path}", which="nothing") == 403
    page = opened(desk, at_desk, "/tasks").page
    for path in (f"/tasks/{task['id']}/resolutions", "/delivery/replays"):
        form = {"which": "dead", "participant_id": "vietcombank", "csrf_token": "x"}
        assert page.request.post(f"{desk.address}{path}", form=form).status == 403
    assert task_of(desk, order)["resolved_at"] is None and state_of(desk, order) is DispatchState.DEAD


def post(page: Page, address: str, **form: str) -> int:
    token = page.locator("input[name=csrf_token]").first.get_attribute("value") or ""
    return page.request.post(address, form={**form, "csrf_token": token}, max_redirects=0).status
