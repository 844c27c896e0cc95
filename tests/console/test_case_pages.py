"""The page of a case: one matter over several requests, as a drawing, as a table and as a file, for who may see it."""

import csv
import functools
import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from xml.etree import ElementTree

import pytest
import world as worlds
from console_desk import Desk
from console_site import Open, Watched, look_over
from playwright.sync_api import expect
from sqlalchemy.ext.asyncio import AsyncConnection
from world import AGENCY

from service import audit, i18n
from service.console import trail
from service.engine.hub import OPERATOR
from service.models import AuditEntry
from service.queries import case_history
from service.queries.case_history import Event
from service.queries.cases import Matter, Step, Whole
from workflows.terms import Action, Fact, OrderState, RequestState, Role, TargetKind, Urgency

NUMBER = "77/2026/CA-VU"
ACCOUNT = worlds.freeze()["target"]["value"]
AT = datetime(2026, 11, 23, tzinfo=UTC)
HELD = {"value": "120000000", "currency": "VND"}


def matter(desk: Desk) -> list[Any]:
    """A freeze and a takedown of one case; the bank has held a part."""
    money = desk.run(desk.world.active(worlds.freeze(case_number=NUMBER)))
    (order,) = desk.run(desk.world.orders(money.id))
    desk.run(desk.world.answer(order, outcome="executed", amount_held=HELD))
    site = {"kind": "domain", "value": "vcb-hoantien-sample.com"}
    content = desk.run(desk.world.active(worlds.takedown(site, case_number=NUMBER)))
    return [money, content]


def opened(desk: Desk, enter: Open, request_id: UUID, **options: Any) -> Watched:
    watched = enter(**{"role": Role.COORDINATOR, "tenant": OPERATOR, "person": "tran-lan-thu", **options})
    watched.page.goto(f"{desk.address}/requests/{request_id}")
    return watched


def test_the_requests_of_a_case_are_on_one_page_as_a_drawing_and_a_table(desk: Desk, at_desk: Open) -> None:
    money, content = matter(desk)
    page = opened(desk, at_desk, money.id, java_script_enabled=False).page
    before = len(reads(desk, content.id))
    with page.expect_navigation():
        page.get_by_role("link", name=NUMBER).click()
    for filed in (money, content):
        expect(page.locator(".plain-list").get_by_role("link", name=filed.reference)).to_be_visible()
    line = page.locator("tbody tr").filter(has_text=f"•••• {ACCOUNT[-4:]}")
    expect(line.first).to_contain_text("Vietcombank")
    expect(line.first).to_contain_text("120.000.000")
    drawn = page.locator(".trail-node").all_text_contents()
    assert any("vcb-hoantien-sample.com" in each for each in drawn) and any("Vietcombank" in each for each in drawn)
    assert ACCOUNT not in page.content()
    # Whose matters were opened by it is on record at each of them.
    assert len(reads(desk, content.id)) == before + 1


def reads(desk: Desk, request_id: UUID) -> list[dict[str, Any]]:
    return desk.run(desk.world.rows(AuditEntry, chain=audit.reads_chain(request_id), code=Fact.PERSON_OPENED))


def test_its_own_agency_takes_the_table_along_and_a_bank_does_not(desk: Desk, at_desk: Open) -> None:
    money, _ = matter(desk)
    mine = opened(desk, at_desk, money.id, role=Role.READER, tenant=AGENCY, person="tra-cuu").page
    answer = mine.request.get(f"{desk.address}/requests/{money.id}/case.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    head, *rows = csv.reader(io.StringIO(answer.text().removeprefix("\ufeff")))
    assert head[1:3] == ["Yêu cầu", "Biện pháp"]
    assert [money.reference, "Phong tỏa", "Tài khoản ngân hàng", ACCOUNT, "Vietcombank"] in [row[1:6] for row in rows]
    # As it was in the beginning, when nothing was ordered yet; the page of that event links to no other table.
    mine.goto(f"{desk.address}/requests/{money.id}/case?event=1")
    earlier = mine.locator("a[href*='case.csv']").get_attribute("href")
    assert earlier == f"/requests/{money.id}/case.csv?event=1"
    then = mine.request.get(f"{desk.address}{earlier}").text()
    assert len(list(csv.reader(io.StringIO(then)))) == 1 < 1 + len(rows)
    bank = at_desk(role=Role.PARTICIPANT_OPERATOR, tenant="vietcombank", person="giao-dich").page
    for path in (f"/requests/{money.id}/case", f"/requests/{money.id}/case.csv"):
        assert bank.request.get(f"{desk.address}{path}").status == 403, path
    assert mine.request.get(f"{desk.address}/requests/{uuid4()}/case").status == 404


def test_the_case_is_shown_as_it_was_known_event_by_event(desk: Desk, at_desk: Open) -> None:
    money, content = matter(desk)
    page = opened(desk, at_desk, money.id, java_script_enabled=False).page
    page.goto(f"{desk.address}/requests/{content.id}/case?event=1")
    # In the beginning one request was filed, and nothing was ordered.
    assert page.locator("main .plain-list li").count() == 1 and page.locator("tbody tr").count() == 0
    seen: list[tuple[int, bool]] = []
    while page.locator("a[rel=next]").count():
        onward = page.locator("a[rel=next]").get_attribute("href")
        page.goto(f"{desk.address}/requests/{content.id}/case{onward}")
        told = " ".join(page.locator("table").all_inner_texts())
        seen.append((page.locator("tbody tr").count(), "120.000.000" in told))
    assert seen == sorted(seen) and not seen[0][1] and seen[-1][1], seen
    # The last event is now; from there it goes back, and a slider leads anywhere by a form.
    assert page.locator("a[rel=prev]").count() == 1
    page.locator("#moment").fill("1")
    with page.expect_navigation():
        page.locator(".moment button").click()
    assert page.locator("tbody tr").count() == 0 and "event=1" in page.url
    for nonsense in ("at=x", "at=2026-01-01T00:00:00Z", "at=2026-01-01", "event=999999", "event=-1"):
        page.goto(f"{desk.address}/requests/{money.id}/case?{nonsense}")
        assert "120.000.000" in page.locator("main").inner_text(), nonsense


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_the_drawing_is_a_file_of_its_own_that_says_what_it_shows(desk: Desk, at_desk: Open, lang: str) -> None:
    money, _ = matter(desk)
    watched = opened(desk, at_desk, money.id)
    page, before = watched.page, len(reads(desk, money.id))
    answer = page.request.get(f"{desk.address}/requests/{money.id}/case.svg?lang={lang}")
    assert answer.headers["content-type"] == "image/svg+xml" and "attachment" in answer.headers["content-disposition"]
    assert len(reads(desk, money.id)) == before + 1
    drawn = ElementTree.fromstring(answer.body())
    name = "{http://www.w3.org/2000/svg}"
    title, described = drawn.findtext(f"{name}title") or "", drawn.findtext(f"{name}desc") or ""
    assert NUMBER in title and "Vietcombank" in described and "120.000.000" in described
    assert drawn.get("role") == "img" and drawn.get("aria-labelledby") == "trail-title trail-text"
    # Nothing is loaded, and no account stands in it whole for whoever is not its agency.
    assert not re.search(r"href|url\(|@import|<script|<image", answer.text()) and ACCOUNT not in answer.text()
    page.set_content(answer.text())
    assert page.locator("svg").get_by_text("Vietcombank").count() >= 1
    bank = at_desk(role=Role.PARTICIPANT_OPERATOR, tenant="vietcombank", person="giao-dich").page
    assert bank.request.get(f"{desk.address}/requests/{money.id}/case.svg").status == 403


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_the_page_is_accessible_complete_and_fits_a_narrow_screen(desk: Desk, at_desk: Open, lang: str) -> None:
    money, _ = matter(desk)
    desk_person = functools.partial(at_desk, role=Role.COORDINATOR, tenant=OPERATOR, person="tran-lan-thu")
    look_over(desk_person, desk.address, (f"/requests/{money.id}/case", f"/requests/{money.id}/case?event=2"), lang)


def step(target: UUID, state: OrderState = OrderState.PLACED, behind: Step | None = None) -> Step:
    return Step(
        id=uuid4(),
        request_id=uuid4(),
        target_id=target,
        kind=TargetKind.ACCOUNT,
        value="9990001112223",
        participant_id="mbbank",
        action=Action.FREEZE,
        state=state,
        asked=None,
        done=None,
        placed_at=AT,
        from_id=behind.id if behind else None,
    )


def matter_of(one: Step) -> Matter:
    return Matter(one.request_id, "HT-1", one.action, RequestState.CLOSED, Urgency.HOA_TOC, AT, None)


def case_of(*steps: Step) -> Whole:
    return Whole(NUMBER, AGENCY, AT, tuple(matter_of(each) for each in steps), steps, is_cut=False)


def told(one: Step, *codes: Fact, seconds: int = 0) -> list[Event]:
    """These facts of an order and of its request, a second apart."""
    return [
        Event(AT + timedelta(seconds=seconds + place), one.request_id, order_id, code, None, None)
        for place, code in enumerate(codes)
        for order_id in (one.id if code.startswith("order.") else None,)
    ]


@pytest.mark.parametrize(
    ("action", "codes", "state"),
    [
        (Action.FREEZE, (Fact.ORDER_EXECUTED, Fact.ORDER_LIFTED), OrderState.LIFTED),
        (Action.FREEZE, (Fact.ORDER_LAPSED, Fact.ORDER_LIFTED), OrderState.LIFTED),
        # Somebody had it undone after a withdrawal: the order itself stays withdrawn.
        (Action.FREEZE, (Fact.ORDER_WITHDRAWN, Fact.ORDER_LIFTED), OrderState.WITHDRAWN),
        # The lift's own order is carried out by it.
        (Action.LIFT, (Fact.ORDER_DELIVERED, Fact.ORDER_LIFTED), OrderState.EXECUTED),
        (Action.LIFT, (Fact.ORDER_LAPSED, Fact.ORDER_LIFTED), OrderState.LIFTED),
    ],
)
def test_as_it_was_a_lift_leaves_each_order_in_the_state_that_it_really_had(
    action: Action, codes: tuple[Fact, ...], state: OrderState
) -> None:
    one = replace(step(uuid4()), action=action)
    past = told(one, Fact.REQUEST_SUBMITTED, Fact.ORDER_PLACED, *codes)
    (shown,) = case_history.as_of(case_of(one), past, past[-1].at).steps
    assert shown.state is state


def test_as_it_was_an_order_whose_request_is_known_from_an_archive_alone_is_left_out() -> None:
    kept, archived = step(uuid4()), step(uuid4())
    past = told(kept, Fact.REQUEST_SUBMITTED, Fact.ORDER_PLACED) + told(archived, Fact.ORDER_EXECUTED, seconds=1)
    whole = case_of(kept, archived)
    shown = case_history.as_of(whole, past, past[-1].at)
    assert [each.id for each in shown.matters] == [kept.request_id]
    assert [each.id for each in shown.steps] == [kept.id]
    assert case_history.archived(whole, past) == 1
    assert case_history.archived(case_of(kept), past) == 0


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_the_page_says_that_older_facts_are_archived(
    desk: Desk, at_desk: Open, monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    money, content = matter(desk)
    everything = case_history.events

    async def younger(conn: AsyncConnection, whole: Whole) -> list[Event]:
        found = await everything(conn, whole)
        return [each for each in found if each.request_id != content.id or each.order_id is not None]

    monkeypatch.setattr(case_history, "events", younger)
    page = opened(desk, at_desk, money.id).page
    for number in range(1, 5):
        answer = page.goto(f"{desk.address}/requests/{money.id}/case?event={number}&lang={lang}")
        assert answer is not None and answer.status == 200, number
        expect(page.locator(".moments")).to_contain_text(
            {"vi": "1 yêu cầu chỉ còn trong kho lưu trữ có chữ ký", "en": "facts of 1 of the requests"}[lang]
        )


def drawn(*steps: Step) -> trail.Drawing | None:
    return trail.draw(steps, target=lambda _: ("target", ""), member=lambda _: ("member", "", "good", "executed"))


def test_what_was_passed_on_stands_behind_what_it_came_from_and_no_box_covers_another() -> None:
    first, other = uuid4(), uuid4()
    asked = step(first, OrderState.REROUTED)
    steps = (asked, step(other), step(first, OrderState.EXECUTED, behind=asked), step(first))
    made = drawn(*steps)
    assert made is not None
    places = [(node.x, node.y) for node in made.nodes]
    assert len(set(places)) == len(places) == 6, "two targets, four orders"
    passed = next(node for node in made.nodes if node.shape == "box")
    assert (passed.x, passed.y) == (2 * (trail.WIDE + trail.GAP_ACROSS), 0)
    assert made.width == 3 * trail.WIDE + 2 * trail.GAP_ACROSS and len(made.edges) == len(steps)


def test_too_much_for_a_picture_is_a_table_alone() -> None:
    assert drawn() is None
    assert drawn(*(step(uuid4()) for _ in range(trail.MOST))) is not None
    assert drawn(*(step(uuid4()) for _ in range(trail.MOST + 1))) is None
