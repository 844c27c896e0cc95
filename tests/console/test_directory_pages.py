"""The directory's pages and the page about the hub: who is reached over what, what expires, and whose work it is."""

import functools
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from builders import table
from console_desk import Desk
from console_site import Open, Watched, look_over
from playwright.sync_api import expect
from registry_forms import SOMEDAY, certificate
from sqlalchemy.ext.asyncio import AsyncConnection
from steps import now
from world import AGENCY

from service import audit, db, i18n
from service.engine.hub import OPERATOR
from service.models import AuditEntry, Contact, Endpoint, EndpointState, PublicKey
from service.queries import certificates
from service.security import principals
from workflows.terms import Fact, Role, Sector

DESK = {"role": Role.COORDINATOR, "tenant": OPERATOR, "person": "tran-lan-thu"}
BOTH = pytest.mark.parametrize("lang", i18n.LANGUAGES)
COORDINATOR = principals.of_person("lan", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.COORDINATOR])


def opened(desk: Desk, enter: Open, path: str, **options: Any) -> Watched:
    watched = enter(**{**DESK, **options})
    watched.page.goto(f"{desk.address}{path}")
    return watched


@BOTH
def test_the_pages_are_accessible_complete_and_fit_a_narrow_screen(desk: Desk, at_desk: Open, lang: str) -> None:
    addresses = (
        "/participants",
        "/participants?q=xyz",
        "/participants/vietcombank",
        f"/participants/{AGENCY}",
        "/about",
    )
    look_over(functools.partial(at_desk, **DESK), desk.address, addresses, lang)


def test_a_member_is_found_without_its_accents_and_its_page_tells_whom_to_call(desk: Desk, at_desk: Open) -> None:
    page = opened(desk, at_desk, "/participants", java_script_enabled=False).page
    page.get_by_label("Tên hoặc mã đơn vị").fill("ngoai thuong")
    with page.expect_navigation():
        page.get_by_role("button", name="Lọc").click()
    lines = page.locator("tbody tr")
    assert lines.count() < 5
    before = len(read(desk, "vietcombank"))
    with page.expect_navigation():
        lines.get_by_role("link", name="Vietcombank", exact=True).click()
    words = page.locator("main").inner_text()
    for told in ("Trực ban mẫu", "https://vietcombank.example/hook", "10.20.0.0/16", "đang trực", "Thông"):
        assert told in words
    assert len(read(desk, "vietcombank")) == before + 1


def read(desk: Desk, member: str) -> list[dict[str, Any]]:
    return desk.run(desk.world.rows(AuditEntry, chain=audit.tenant_chain(member), code=Fact.PERSON_OPENED))


def test_a_breaker_a_key_that_ends_and_an_empty_roster_stand_out(desk: Desk, at_desk: Open) -> None:
    async def trouble(conn: AsyncConnection) -> None:
        now = await db.now(conn)
        endpoint = desk.world.endpoints["momo"]
        await conn.execute(
            sa.insert(table(EndpointState)).values(
                endpoint_id=endpoint,
                tenant="momo",
                failures=7,
                open_seconds=60,
                open_until=now + timedelta(seconds=60),
                changed_at=now,
            )
        )
        keys, contacts = table(PublicKey), table(Contact)
        mine = sa.and_(keys.c.owner_kind == "participant", keys.c.owner_id == "momo")
        await conn.execute(sa.update(keys).where(mine).values(not_after=now + timedelta(days=12, hours=1)))
        await conn.execute(sa.update(contacts).where(contacts.c.tenant == "momo").values(active=False))

    desk.run(desk.hub.writer.run(trouble, reach=db.HUB))
    page = opened(desk, at_desk, "/participants/momo").page
    words = page.locator("main").inner_text()
    for told in ("Tạm ngắt", "còn 12 ngày", "lúc này không có ai"):
        assert told in words


def test_the_end_of_an_endpoints_own_authority_is_told(desk: Desk, at_desk: Open) -> None:
    ends = SOMEDAY.replace(year=2021)
    pem = certificate() + certificate(since=SOMEDAY.replace(year=2020), until=ends)
    endpoints, new = table(Endpoint), uuid4()

    async def pin(conn: AsyncConnection) -> None:
        row = (await conn.execute(sa.select(endpoints).where(endpoints.c.id == desk.world.endpoints["bidv"]))).one()
        unapproved = {"approved_sha256": None, "proposed_by": None, "approved_by": None, "approved_at": None}
        changed = {**row._mapping, **unapproved, "id": new, "ca_pem": pem, "position": 2}
        await conn.execute(sa.insert(endpoints).values(changed))

    async def found() -> dict[Any, Any]:
        async with desk.hub.database.read(db.HUB) as conn:
            return await certificates.expiring(conn, COORDINATOR, "bidv")

    desk.run(desk.hub.writer.run(pin, reach=db.HUB))
    assert desk.run(found()) == {new: ends}
    page = opened(desk, at_desk, "/participants/bidv").page
    assert "Đã hết hạn" in page.locator("main").inner_text()


@BOTH
def test_a_coordinator_announces_a_maintenance_and_it_is_said_wherever_the_member_is(
    desk: Desk, at_desk: Open, lang: str
) -> None:
    member = {"vi": "techcombank", "en": "bidv"}[lang]
    watched = opened(desk, at_desk, f"/participants/{member}?lang={lang}", java_script_enabled=False)
    page, until = watched.page, {"vi": "Bảo trì đến", "en": "Maintenance until"}[lang]

    def announce(hours: float) -> None:
        ends_at = desk.run(now(desk.world)) + timedelta(hours=7 + hours)
        box = page.locator("#maintenance details")
        if box.get_attribute("open") is None:
            box.locator("summary").click()
        page.locator("#maintenance-until").fill(ends_at.strftime("%Y-%m-%dT%H:%M"))
        page.locator("#maintenance-reason").select_option("keys")
        with page.expect_navigation():
            page.locator("#maintenance .filter-tools button").click()

    announce(30)
    # Too long is said, and what was chosen stands there.
    expect(page.get_by_role("alert")).to_contain_text("12")
    assert page.locator("#maintenance-reason").input_value() == "keys"
    announce(3)
    expect(page.locator("#maintenance tbody tr")).to_have_count(1)
    announce(4)
    expect(page.get_by_role("alert")).to_contain_text({"vi": "cùng điểm nhận", "en": "same endpoint"}[lang])
    look_over(functools.partial(at_desk, **DESK), desk.address, (f"/participants/{member}", "/delivery"), lang)
    for path in (f"/participants?q={member}", "/delivery", f"/participants/{member}"):
        page.goto(f"{desk.address}{path}")
        expect(page.locator(".badge.warn").filter(has_text=until).first).to_be_visible()
    with page.expect_navigation():
        page.locator("#maintenance tbody button").click()
    expect(page.locator("#maintenance tbody tr")).to_have_count(0)
    stranger = opened(desk, at_desk, "/", role=Role.READER, tenant=AGENCY, person="tra-cuu").page
    assert stranger.request.get(f"{desk.address}/participants/{member}").status == 403


def test_a_supervisor_sees_a_line_a_strangers_page_does_not_exist_and_a_reader_is_refused(
    desk: Desk, at_desk: Open
) -> None:
    page = opened(desk, at_desk, "/participants/vietcombank", role=Role.SUPERVISOR, tenant="sbv").page
    expect(page.locator("h1")).to_have_text("Vietcombank")
    assert "Trực ban mẫu" not in page.content() and page.locator("table").count() == 0
    for path in ("/participants/viettel", "/participants/nobody", "/participants/Nonsense%20"):
        assert page.goto(f"{desk.address}{path}").status == 404  # type: ignore[union-attr]
    reader = opened(desk, at_desk, "/", role=Role.READER, tenant=AGENCY, person="tra-cuu").page
    assert reader.goto(f"{desk.address}/participants").status == 403  # type: ignore[union-attr]
    assert reader.goto(f"{desk.address}/about").status == 200  # type: ignore[union-attr]


def test_the_page_about_the_hub_names_each_part_with_its_licence(desk: Desk, at_desk: Open) -> None:
    page = opened(desk, at_desk, "/about?lang=en").page
    page.locator("summary").click()
    lines = page.locator("tbody tr")
    assert lines.count() > 60
    expect(lines.filter(has_text="htmx.org")).to_contain_text("0BSD")
    expect(lines.filter(has=page.get_by_role("rowheader", name="fastapi", exact=True))).to_contain_text("MIT")
    expect(page.locator("main")).to_contain_text("in step")
