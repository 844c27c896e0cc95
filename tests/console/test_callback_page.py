"""The page of a held request: a coordinator reads which bound was passed and whom to call, and says what was heard."""

import re
from typing import Any
from uuid import UUID

import bounding
import pytest
import world as worlds
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from console_desk import Desk
from console_site import Open, Watched
from registry_forms import ADMIN
from world import AGENCY

from service import i18n
from service.actions import set_duty_phone
from service.engine.hub import OPERATOR
from service.schemas.callbacks import NewDutyPhone
from workflows.terms import Role

BOTH = pytest.mark.parametrize("lang", i18n.LANGUAGES)
PHONE = "+842838387342"
NARROW = {"width": 320, "height": 640}
TIGHT = {"subject": "agency", "amount": 1}
ROOM = {"subject": "agency", "count": 1_000_000, "amount": 10**15}
COORDINATOR = {"role": Role.COORDINATOR, "tenant": OPERATOR}
YES = re.compile("Cơ quan xác nhận|The agency confirms")
NO = re.compile("Cơ quan phủ nhận|The agency denies")
AXE = Axe()


def held(desk: Desk, phone: str | None = PHONE) -> UUID:
    """A freeze that was approved while the agency's bound was one đồng."""
    new = NewDutyPhone(phone=phone)
    desk.run(set_duty_phone.set_duty_phone(desk.hub, ADMIN, AGENCY, new))
    desk.run(bounding.set_bounds(desk.hub, TIGHT))
    filed = desk.run(desk.world.active(worlds.freeze()))
    desk.run(bounding.set_bounds(desk.hub, ROOM, {**ROOM, "subject": "officer"}, {**ROOM, "subject": "pair"}))
    assert desk.state(filed.id) == "held_for_callback"
    return filed.id


def opened(desk: Desk, enter: Open, request_id: UUID, lang: str = "vi", **options: Any) -> Watched:
    watched = enter(**{**COORDINATOR, **options})
    watched.page.goto(f"{desk.address}/requests/{request_id}?lang={lang}")
    return watched


@BOTH
def test_a_coordinator_sees_the_bound_and_the_registrys_number(desk: Desk, at_desk: Open, lang: str) -> None:
    watched = opened(desk, at_desk, held(desk), lang)
    card = watched.page.locator(".callback")
    words = card.inner_text()
    assert i18n.text("terms.excess.agency_amount", lang).casefold() in words.casefold()
    assert PHONE in words and "+84283000111" not in words
    assert card.get_by_role("link", name=PHONE).get_attribute("href") == f"tel:{PHONE}"
    assert not re.search(r"\bNone\b|\[\[|console\.\w|terms\.\w|agency_amount", words), words
    found = AXE.run(watched.page)
    assert found.violations_count == 0, found.generate_report()
    assert (watched.foreign, watched.errors) == ([], [])


@BOTH
def test_the_card_fits_a_narrow_screen(desk: Desk, at_desk: Open, lang: str) -> None:
    page = opened(desk, at_desk, held(desk), lang, viewport=NARROW).page
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_two_people_release_it_by_a_plain_form(desk: Desk, at_desk: Open, scripts: bool) -> None:
    request_id = held(desk)
    first = opened(desk, at_desk, request_id, person="truc-ban", java_script_enabled=scripts).page
    first.locator("#callback-note").fill("Trực ban đọc đúng số vụ việc\ndòng hai")
    first.get_by_role("button", name=YES).click()
    first.wait_for_url(f"{desk.address}/requests/{request_id}")
    assert "1 trên 2" in first.locator(".callback").inner_text()
    # Whoever said yes may only take it back.
    assert first.get_by_role("button", name=YES).count() == 0
    assert first.get_by_role("button", name=NO).count() == 1
    assert desk.state(request_id) == "held_for_callback"
    second = opened(desk, at_desk, request_id, person="truong-ca", java_script_enabled=scripts).page
    second.get_by_role("button", name=YES).click()
    second.wait_for_url(f"{desk.address}/requests/{request_id}")
    assert second.locator(".callback").count() == 0
    assert desk.state(request_id) == "active"
    assert len(desk.run(desk.world.orders(request_id))) == 1


def test_one_person_refuses_it(desk: Desk, at_desk: Open) -> None:
    request_id = held(desk)
    page = opened(desk, at_desk, request_id, lang="en").page
    page.get_by_role("button", name=NO).click()
    page.wait_for_url(f"{desk.address}/requests/{request_id}")
    assert "denied it" in page.locator(".timeline").inner_text()
    assert desk.state(request_id) == "refused"


def test_without_a_number_the_card_says_whom_to_ask(desk: Desk, at_desk: Open) -> None:
    page = opened(desk, at_desk, held(desk, phone=None)).page
    assert "Danh bạ chưa có số" in page.locator(".callback").inner_text()


@pytest.mark.parametrize(("role", "tenant"), [(Role.READER, AGENCY), (Role.AUDITOR, OPERATOR)])
def test_whoever_only_reads_gets_no_buttons(desk: Desk, at_desk: Open, role: Role, tenant: str) -> None:
    page = opened(desk, at_desk, held(desk), role=role, tenant=tenant).page
    assert page.locator(".callback").count() == 1
    assert page.locator("#callback-form, .callback button").count() == 0
    # The agency is told that it will be called, not by which number: a forger in its systems would learn it.
    assert (PHONE in page.locator(".callback").inner_text()) == (tenant == OPERATOR)


def test_a_form_of_another_site_a_foreign_role_and_nonsense_change_nothing(desk: Desk, at_desk: Open) -> None:
    request_id = held(desk)
    address = f"{desk.address}/requests/{request_id}/callbacks"
    coordinator = opened(desk, at_desk, request_id).page
    token = coordinator.locator("#callback-form input[name=csrf_token]").get_attribute("value")
    reader = opened(desk, at_desk, request_id, role=Role.READER, tenant=AGENCY).page
    theirs = reader.locator("input[name=csrf_token]").first.get_attribute("value")
    for page, form, status in (
        (coordinator, {"outcome": "confirmed"}, 403),
        (coordinator, {"outcome": "confirmed", "csrf_token": "x"}, 403),
        (coordinator, {"outcome": "perhaps", "csrf_token": token}, 400),
        (coordinator, {"csrf_token": token}, 400),
        (reader, {"outcome": "confirmed", "csrf_token": theirs}, 403),
    ):
        answer = page.request.post(address, form=form)
        assert answer.status == status, form
    assert desk.state(request_id) == "held_for_callback"
    assert "callback.answered" not in desk.run(desk.world.facts(request_id))
