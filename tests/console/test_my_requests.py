"""One's own requests in plain words: a sentence a participant, for who filed or signed them, and for nobody else."""

import functools
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import world as worlds
from console_desk import Desk
from console_site import Open, Watched, look_over
from playwright.sync_api import expect
from world import AGENCY

from service import i18n
from service.console import mine
from service.engine.hub import OPERATOR
from service.queries.board import Name
from service.queries.results import Result
from workflows.terms import Action, OrderState, RefusalCode, Role

AT = datetime(2026, 11, 23, 3, 41, 20, tzinfo=UTC)
NAMES = {"vietcombank": Name("Vietcombank", "Ngân hàng TMCP Ngoại thương", "Vietcombank", "bank")}
HELD = {"value": "120000000", "currency": "VND"}


def became(*states: OrderState, action: Action = Action.FREEZE, **values: Any) -> Result:
    return Result("vietcombank", action, AT, Counter(states), **values)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (
            became(OrderState.EXECUTED, asked=120_000_000, done=120_000_000),
            "Vietcombank đã giữ 120.000.000 ₫ lúc 10:41.",
        ),
        (
            became(OrderState.EXECUTED, asked=150_000_000, done=120_000_000),
            "Vietcombank chỉ giữ được 120.000.000 ₫ trong số 150.000.000 ₫, lúc 10:41.",
        ),
        (became(OrderState.EXECUTED, done=7), "Vietcombank đã giữ 7 ₫ lúc 10:41."),
        (
            became(OrderState.EXECUTED, action=Action.RECALL, asked=9, done=9),
            "Vietcombank đã hoàn trả 9 ₫ lúc 10:41.",
        ),
        (became(OrderState.EXECUTED, action=Action.TAKEDOWN), "Vietcombank đã thực hiện lúc 10:41."),
        (became(OrderState.PLACED), "Đang gửi tới Vietcombank."),
        (
            became(OrderState.REFUSED, refusal=RefusalCode.NO_BALANCE),
            "Vietcombank không thực hiện được: tài khoản không còn số dư, trả lời lúc 10:41.",
        ),
        (
            became(*[OrderState.EXECUTED] * 99, OrderState.REFUSED, action=Action.TAKEDOWN),
            "Vietcombank: 99 trên 100 đối tượng đã thực hiện, 1 bị từ chối, trả lời gần nhất lúc 10:41.",
        ),
        (
            became(OrderState.EXECUTED, OrderState.DELIVERED, action=Action.TAKEDOWN),
            "Vietcombank: 1 trên 2 đối tượng đã thực hiện, trả lời gần nhất lúc 10:41.",
        ),
        (became(OrderState.LAPSED), "Vietcombank không thực hiện kịp; lệnh hết hiệu lực lúc 10:41."),
        (
            became(OrderState.LAPSED, asked=9, done=9, executed_at=AT - timedelta(days=3)),
            "Vietcombank đã giữ 9 ₫ đến khi hết hiệu lực lúc 10:41; đang gỡ.",
        ),
        (
            became(OrderState.LAPSED, executed_at=AT - timedelta(days=3)),
            "Vietcombank đã thực hiện; hết hiệu lực lúc 10:41, đang gỡ.",
        ),
        (
            became(OrderState.LAPSED, asked=9, done=9, executed_at=AT),
            "Vietcombank chỉ thực hiện sau khi lệnh đã hết hiệu lực, báo lúc 10:41; đang gỡ.",
        ),
    ],
)
def test_a_result_is_said_as_one_would_say_it(result: Result, words: str) -> None:
    said = mine.sentence(result, NAMES, AT, "vi")[2]
    assert said.replace("\N{NO-BREAK SPACE}", " ") == words
    # An amount and its sign stay on one line.
    assert " ₫" not in said


def test_refusals_of_many_targets_look_like_refusals() -> None:
    all_of_them = mine.sentence(became(*[OrderState.REFUSED] * 5, action=Action.TAKEDOWN), NAMES, AT, "en")
    assert all_of_them[1] == "bad" and all_of_them[2].startswith("Vietcombank: 0 of 5 targets done, 5 refused,")
    some = mine.sentence(became(OrderState.REFUSED, OrderState.EXECUTED, action=Action.TAKEDOWN), NAMES, AT, "en")
    assert some[1] == "warn"


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
@pytest.mark.parametrize("state", OrderState)
@pytest.mark.parametrize("action", Action)
def test_every_state_of_every_action_is_a_sentence(action: Action, state: OrderState, lang: str) -> None:
    for values in ({}, {"asked": 5, "done": 5}, {"asked": 5, "done": 3}):
        drawing, tone, words = mine.sentence(became(state, action=action, **values), {}, AT, lang)
        assert drawing and tone and words.endswith(".") and "vietcombank" in words
        assert not re.search(r"[{}\[\]]|None", words), words


def test_the_day_stands_where_it_is_another_one() -> None:
    later = AT.replace(day=24)
    assert mine.sentence(became(OrderState.LIFTED), NAMES, later, "vi")[2] == "Vietcombank đã gỡ lúc 10:41 23/11/2026."


def opened(desk: Desk, enter: Open, **options: Any) -> Watched:
    watched = enter(**{"role": Role.MAKER, "tenant": AGENCY, "person": "maker", **options})
    watched.page.goto(f"{desk.address}/mine")
    return watched


def test_an_officer_reads_what_became_of_the_own_requests(desk: Desk, at_desk: Open) -> None:
    filed = desk.run(desk.world.active(worlds.freeze()))
    (order,) = desk.run(desk.world.orders(filed.id))
    desk.run(desk.world.answer(order, outcome="executed", amount_held=HELD))
    waiting = desk.run(desk.world.submit(worlds.freeze()))
    page = opened(desk, at_desk, java_script_enabled=False).page
    line = page.locator(".request").filter(has_text=filed.reference)
    expect(line).to_contain_text("Vietcombank chỉ giữ được 120.000.000")
    expect(page.locator(".request").filter(has_text=waiting.reference)).to_contain_text("một cán bộ khác phê duyệt")
    signer = opened(desk, at_desk, role=Role.APPROVER, person="approver").page
    expect(signer.locator(".request").filter(has_text=filed.reference)).to_have_count(1)
    expect(signer.locator(".request").filter(has_text=waiting.reference)).to_have_count(0)
    other = opened(desk, at_desk, person="mot-nguoi-khac").page
    expect(other.locator(".empty")).to_be_visible()
    for role, tenant in ((Role.READER, AGENCY), (Role.COORDINATOR, OPERATOR)):
        stranger = at_desk(role=role, tenant=tenant, person="tra-cuu").page
        assert stranger.goto(f"{desk.address}/mine").status == 403  # type: ignore[union-attr]


def test_a_late_second_officer_is_not_called_a_late_participant(desk: Desk, at_desk: Open) -> None:
    waiting = desk.run(desk.world.submit(worlds.freeze()))
    desk.make_late(waiting.id, stage="approval")
    line = opened(desk, at_desk).page.locator(".request").filter(has_text=waiting.reference)
    expect(line).to_contain_text("Quá hạn phê duyệt của cán bộ thứ hai:")
    expect(line).not_to_contain_text("Đơn vị chậm trả lời")


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_the_page_is_accessible_complete_and_fits_a_narrow_screen(desk: Desk, at_desk: Open, lang: str) -> None:
    desk.run(desk.world.active(worlds.freeze()))
    officer = functools.partial(at_desk, role=Role.MAKER, tenant=AGENCY, person="maker")
    look_over(officer, desk.address, ("/mine",), lang)
