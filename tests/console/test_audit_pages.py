"""The pages of the audit: who may search it, what is found, a chain recomputed, and evidence that is exported."""

import functools
import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from console_desk import Desk
from console_site import Open, look_over
from playwright.sync_api import Page, expect

from service import db, i18n
from service.console import audit as pages
from service.engine.hub import OPERATOR
from service.models import ActionRequest, AuditEntry
from service.security import evidence
from workflows.terms import Role

AUDITOR: dict[str, Any] = {"role": Role.AUDITOR, "tenant": OPERATOR, "person": "vu-hai-an"}
OWN_AUDITOR: dict[str, Any] = {"role": Role.AUDITOR, "tenant": worlds.AGENCY, "person": "do-thu-ha"}


@pytest.fixture(scope="module")
def order(desk: Desk) -> dict[str, Any]:
    """An order that a bank has executed."""
    return desk.run(steps.held(desk.world))


def reference(desk: Desk, request_id: UUID) -> str:
    async def read() -> str:
        requests = table(ActionRequest)
        async with desk.hub.database.read(db.HUB) as conn:
            query = sa.select(requests.c.reference).where(requests.c.id == request_id)
            return str((await conn.execute(query)).scalar_one())

    return desk.run(read())


def last_fact(desk: Desk, code: str) -> dict[str, Any]:
    return desk.run(desk.world.rows(AuditEntry, code=code))[-1]


def sentences(page: Page) -> list[str]:
    return page.locator("tbody th").all_inner_texts()


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_the_pages_of_the_audit_are_whole_in_both_languages(
    desk: Desk, at_desk: Open, order: dict[str, Any], lang: str
) -> None:
    chain = f"/audit/requests/{order['request_id']}"
    of_one = f"/audit?request={reference(desk, order['request_id'])}"
    look_over(functools.partial(at_desk, **AUDITOR), desk.address, ["/audit", of_one, chain, "/audit/verify"], lang)


def test_who_may_not_read_the_audit_is_refused(desk: Desk, at_desk: Open, order: dict[str, Any]) -> None:
    page = at_desk().page
    for path in ("/audit", f"/audit/requests/{order['request_id']}"):
        answer = page.goto(f"{desk.address}{path}")
        assert answer is not None and answer.status == 403
    assert "/audit" not in [each.get_attribute("href") for each in page.locator(".places a").all()]


def test_a_search_is_narrowed_by_each_of_its_fields_and_says_what_is_wrong(
    desk: Desk, at_desk: Open, order: dict[str, Any]
) -> None:
    page = at_desk(**AUDITOR).page
    name = reference(desk, order["request_id"])
    page.goto(f"{desk.address}/audit")
    page.get_by_label("Yêu cầu (số hoặc mã)").fill(name.lower())
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.locator("tbody th a").first).to_have_text(name)
    whole = len(sentences(page))
    assert whole > 6
    page.goto(f"{desk.address}/audit?request={name}&code=order.executed&lang=en")
    [told] = sentences(page)
    assert "executed" in told.lower() and name in told
    number = page.locator("tbody td a").inner_text()
    page.goto(
        f"{desk.address}/audit?request={order['request_id']}&number={re.sub(r'[^0-9]', '', number.split(name)[0])}"
    )
    assert told in sentences(page)
    page.goto(f"{desk.address}/audit?request={name}&tenant=nobody-at-all")
    expect(page.locator(".empty")).to_be_visible()
    page.goto(f"{desk.address}/audit?request={name}&since=2001-01-01&until=2001-02-01")
    expect(page.locator(".empty")).to_be_visible()
    for wrong in (
        "number=x",
        "number=99999999999",
        "number=1",
        "code=nothing.such",
        "request=HT-000000-AAAAAA",
        "since=yesterday",
    ):
        answer = page.goto(f"{desk.address}/audit?{wrong}")
        assert answer is not None and answer.status == 422
        field = page.locator(f"#by-{wrong.partition('=')[0]}")
        assert wrong.startswith("code") or field.get_attribute("aria-invalid") == "true"


def test_a_search_by_who_acted_is_a_fact_without_the_name(desk: Desk, at_desk: Open, order: dict[str, Any]) -> None:
    page = at_desk(**AUDITOR).page
    page.goto(f"{desk.address}/audit?lang=en&code=order.placed")
    page.locator("#by-actor").fill("ca-tinh-demo-system")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    # The other fields stand in the address, the person does not; a copy of the address alone says that it is over.
    assert re.fullmatch(r".*/audit\?code=order\.placed&(.*&)?searched=[0-9a-f]{12}", page.url), page.url
    assert page.locator("#by-actor").input_value() == "ca-tinh-demo-system"
    made = last_fact(desk, "person.searched")
    said = json.loads(made["data"])
    assert (said["by"], made["actor_id"], made["tenant"]) == ("actor", "vu-hai-an", OPERATOR)
    assert "ca-tinh-demo-system" not in made["data"]
    before = made["id"]
    page.goto(f"{desk.address}/audit?code=order.placed")
    assert last_fact(desk, "person.searched")["id"] == before
    page.goto(f"{desk.address}/audit?searched=0123456789ab")
    expect(page.locator("#search-over")).to_be_visible()
    assert last_fact(desk, "person.searched")["id"] == before


def test_older_facts_are_a_page_away_and_none_is_shown_twice(
    desk: Desk, at_desk: Open, order: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_PAGE", 5)
    page = at_desk(**AUDITOR).page
    page.goto(f"{desk.address}/audit")
    seen: list[str] = []
    for _ in range(3):
        seen += page.locator("tbody code").evaluate_all("all => all.map(each => each.title)")
        more = page.locator(".pages a", has_text="Cũ hơn")
        if not more.count():
            break
        with page.expect_navigation():
            more.click()
    assert len(seen) == 15 and len(set(seen)) == len(seen)
    assert page.goto(f"{desk.address}/audit?after=nonsense").status == 422  # type: ignore[union-attr]


def test_an_agencys_auditor_sees_the_facts_of_his_own_house_alone(
    desk: Desk, at_desk: Open, order: dict[str, Any]
) -> None:
    page = at_desk(**OWN_AUDITOR).page
    page.goto(f"{desk.address}/audit")
    expect(page.locator("#by-tenant")).to_have_count(0)
    shown = page.locator("tbody code").evaluate_all("all => all.map(each => each.title)")

    async def owners() -> set[str]:
        entries = table(AuditEntry)
        async with desk.hub.database.read(db.HUB) as conn:
            rows = (await conn.execute(sa.select(entries.c.tenant, entries.c.hash))).all()
        return {row.tenant for row in rows if row.hash.hex() in shown}

    assert desk.run(owners()) == {worlds.AGENCY}


def test_a_chain_is_recomputed_and_whoever_changed_a_fact_is_found(desk: Desk, at_desk: Open) -> None:
    about = desk.run(steps.held(desk.world))
    page = at_desk(**AUDITOR).page
    address = f"{desk.address}/audit/requests/{about['request_id']}"
    page.goto(address)
    expect(page.locator(".said.good")).to_be_visible()
    last = page.locator("tbody tr").last
    assert last.locator("code").inner_text() == page.locator("dl code").inner_text(), "the head is the last fact's hash"
    entries = table(AuditEntry)
    place = sa.and_(entries.c.chain == f"request:{about['request_id']}", entries.c.sequence == 3)

    def rewritten(data: str) -> None:
        async def unit(conn: Any) -> None:
            await conn.execute(sa.update(entries).where(place).values(data=data))

        desk.run(desk.hub.database.write(unit, db.HUB))

    [row] = [
        each for each in desk.run(desk.world.rows(AuditEntry, request_id=about["request_id"])) if each["sequence"] == 3
    ]
    rewritten('{"forged":true}')
    try:
        page.goto(address)
        expect(page.locator(".said.bad")).to_be_visible()
        expect(page.locator("#n3")).to_contain_text("sự kiện này đã bị sửa")
        expect(page.locator("tr.breached")).to_have_count(1)
    finally:
        rewritten(row["data"])


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_evidence_is_exported_at_the_request_and_is_a_fact(
    desk: Desk, at_desk: Open, order: dict[str, Any], tmp_path: Path, scripts: bool
) -> None:
    page = at_desk(java_script_enabled=scripts).page
    page.goto(f"{desk.address}/requests/{order['request_id']}?lang=en")
    with page.expect_download() as started:
        page.get_by_role("button", name="Export the evidence").click()
    file = tmp_path / "evidence.json"
    started.value.save_as(file)
    assert [check for check in evidence.verify(file.read_text("utf-8")) if check.wrong] == []
    made = last_fact(desk, "evidence.exported")
    assert (made["actor_id"], made["tenant"]) == ("approver", worlds.AGENCY)


def test_who_watches_over_the_hub_and_who_files_export_nothing(
    desk: Desk, at_desk: Open, order: dict[str, Any]
) -> None:
    coordinator = {"role": Role.COORDINATOR, "tenant": OPERATOR, "person": "tran-lan-thu"}
    for who in (AUDITOR, coordinator, {"role": Role.MAKER, "person": "maker"}):
        page = at_desk(**who).page
        page.goto(f"{desk.address}/requests/{order['request_id']}")
        expect(page.locator("#timeline-title")).to_be_visible()
        expect(page.locator("#evidence")).to_have_count(0)
    page = at_desk(**OWN_AUDITOR).page
    page.goto(f"{desk.address}/requests/{order['request_id']}")
    expect(page.locator("#evidence button")).to_be_visible()
