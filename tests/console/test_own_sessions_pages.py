"""Where a person is signed in, passkeys in a real browser, the warning before the end, and screens on the wall."""

import json
import re
from collections.abc import Iterator

import console_teller
import httpx
import pytest
import sqlalchemy as sa
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from console_desk import Desk
from console_site import Open, Site, Watched, look_over
from fastapi.routing import APIRoute, iter_route_contexts
from playwright.sync_api import Browser, Page, expect
from test_approve_pages import authenticator

from service import db, i18n
from service.models import ConsolePasskey, ConsoleSession, Display
from workflows.terms import Role

BOTH = pytest.mark.parametrize("lang", i18n.LANGUAGES)
WORDS = {
    "vi": {"make": "Tạo khóa truy cập", "use": "Đăng nhập bằng khóa truy cập", "out": "Đăng xuất", "stay": "Ở lại"},
    "en": {"make": "Make a passkey", "use": "Sign in with a passkey", "out": "Sign out", "stay": "Stay signed in"},
}


def rows(site: Site, model: type) -> list[sa.Row[tuple[object, ...]]]:
    async def read() -> list[sa.Row[tuple[object, ...]]]:
        async with site.hub.database.read(db.HUB) as conn:
            return list((await conn.execute(sa.select(console_teller.table(model)))).all())

    return site.run(read())


# --- passkeys ---------------------------------------------------------------------------------------------------------


@BOTH
def test_a_person_makes_a_passkey_and_comes_in_with_it_by_keyboard_alone(desk: Desk, at_desk: Open, lang: str) -> None:
    watched = at_desk(role=Role.READER, person=f"doc-{lang}")
    page = watched.page
    authenticator(page)
    page.goto(f"{desk.address}/sessions?lang={lang}")
    press(page, WORDS[lang]["make"])
    expect(page.locator("section[aria-labelledby=passkeys] li")).to_have_count(1)
    assert Axe().run(page).violations_count == 0
    press(page, WORDS[lang]["out"])
    page.wait_for_url(f"{desk.address}/")
    page.goto(f"{desk.address}/sign-in?lang={lang}")
    assert Axe().run(page).violations_count == 0
    press(page, WORDS[lang]["use"])
    page.wait_for_url(f"{desk.address}/")
    assert page.locator(".who strong").inner_text() == f"doc-{lang}"
    (held,) = [row for row in rows(desk, ConsolePasskey) if row.person == f"doc-{lang}"]
    assert held.used_at is not None and held.counter > 0
    # Removed on its page, it opens nothing.
    page.goto(f"{desk.address}/sessions?lang={lang}")
    page.locator("form[action='/sessions/passkeys/removals'] button").press("Enter")
    expect(page.locator("section[aria-labelledby=passkeys] li")).to_have_count(0)
    page.context.clear_cookies()
    page.goto(f"{desk.address}/sign-in?lang={lang}")
    with page.expect_navigation():
        page.get_by_role("button", name=WORDS[lang]["use"]).press("Enter")
    assert page.locator(".notice h1").inner_text() in {
        "Khóa truy cập này không mở được bảng điều phối",
        "This passkey does not open the console",
    }
    assert Axe().run(page).violations_count == 0
    # Chromium says that a page was answered 401, and would rather that any kind of key was taken.
    assert [line for line in watched.errors if "401" not in line and "pubKeyCredParams" not in line] == []


def press(page: Page, name: str) -> None:
    """Reach a button by the tabulator and press it."""
    button = page.get_by_role("button", name=name)
    expect(button).to_be_visible()
    page.locator("body").focus()
    for _ in range(60):
        page.keyboard.press("Tab")
        if button.evaluate("each => each === document.activeElement"):
            break
    else:
        raise AssertionError(f"{name} cannot be reached")
    page.keyboard.press("Enter")


@BOTH
def test_without_scripts_the_page_says_what_works(desk: Desk, browser: Browser, lang: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{desk.address}/sign-in?lang={lang}")
    words = page.locator("main").inner_text()
    assert "JavaScript" in words and "hoatoc sign-in-link" in words
    assert page.get_by_role("button", name=WORDS[lang]["use"]).count() == 0
    context.close()


# --- where one is signed in -------------------------------------------------------------------------------------------


def test_a_person_sees_his_sessions_and_ends_the_others(site: Site, signed_in: Open) -> None:
    here, there = (signed_in(person="le-thi-hai").page for _ in range(2))
    signed_in(person="nguoi-khac")
    here.goto(f"{site.address}/sessions")
    items = here.locator("section[aria-labelledby=open] li")
    assert items.count() == 2 and "Chrome · Linux" in items.first.inner_text()
    with here.expect_navigation():
        here.get_by_role("button", name=re.compile("^Kết thúc phiên")).first.click()
    assert items.count() == 1
    there.goto(f"{site.address}/")
    assert there.locator("h1").inner_text() == "Bạn chưa đăng nhập"
    third = signed_in(person="le-thi-hai").page
    here.goto(f"{site.address}/sessions")
    with here.expect_navigation():
        here.get_by_role("button", name="Kết thúc mọi phiên khác").click()
    third.goto(f"{site.address}/")
    assert third.locator("h1").inner_text() == "Bạn chưa đăng nhập"


def test_a_cookie_that_leaves_its_browser_ends_the_session_for_both(site: Site, signed_in: Open) -> None:
    page = signed_in(person="pham-van-muoi").page
    (cookie,) = [each for each in page.context.cookies() if each["name"] == "hoatoc_session"]
    with httpx.Client(cookies={"hoatoc_session": cookie["value"]}, headers={"User-Agent": "curl/8"}) as thief:
        assert thief.get(f"{site.address}/board").status_code == 401
    page.goto(f"{site.address}/board")
    assert page.locator("h1").inner_text() == "Bạn chưa đăng nhập"


def test_the_forms_of_the_page_need_the_sessions_token(site: Site, signed_in: Open) -> None:
    page = signed_in(person="le-thi-hai").page
    for path in ("/sessions/ends", "/sessions/stays", "/sessions/passkeys", "/sessions/passkeys/removals"):
        assert page.request.post(f"{site.address}{path}", form={"which": "others"}).status == 403, path
    for path in ("/displays", "/displays/ends"):
        assert page.request.post(f"{site.address}{path}", form={"name": "x"}).status == 403, path


@BOTH
def test_the_pages_look_right_by_day_by_night_and_narrow(site: Site, signed_in: Open, lang: str) -> None:
    look_over(signed_in, site.address, ("/sessions", "/displays", "/sign-in", "/wall"), lang)


# --- the end of a session ---------------------------------------------------------------------------------------------


@BOTH
def test_somebody_is_warned_two_minutes_before_the_end_and_stays_by_the_keyboard(
    site: Site, signed_in: Open, lang: str
) -> None:
    page = signed_in(person=f"ngoi-lai-{lang}").page
    page.clock.install()
    # The session's own page sends nothing by itself: nobody is noted to be there.
    page.goto(f"{site.address}/sessions?lang={lang}")
    told = {"seconds": 100, "last": False}
    page.route("**/sessions/left", lambda route: route.fulfill(body=json.dumps(told), content_type="application/json"))
    page.clock.run_for(1_000 * 60 * 28 + 5_000)
    dialog = page.locator("#ending")
    expect(dialog).to_be_visible()
    assert "100" in dialog.inner_text()
    assert Axe().run(page).violations_count == 0
    stay = page.get_by_role("button", name=WORDS[lang]["stay"])
    expect(stay).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    # Nobody pressed anything the next time: the page says that it is over, and stays as it is.
    told["seconds"] = 90
    page.clock.run_for(1_000 * 60 * 28 + 5_000)
    expect(dialog).to_be_visible()
    told["seconds"] = 0
    page.clock.run_for(100_000)
    expect(page.locator("#ending-again")).to_be_visible()
    assert page.url.startswith(f"{site.address}/sessions")


def test_asking_how_much_is_left_prolongs_nothing_and_staying_does(site: Site, signed_in: Open) -> None:
    page = signed_in(person="ngoi-them").page
    (row,) = [each for each in rows(site, ConsoleSession) if each.person == "ngoi-them" and each.revoked_at is None]
    site.age_session(row.digest.hex(), minutes=20)
    for _ in range(2):
        left = page.request.get(f"{site.address}/sessions/left", headers={"Hoatoc-Presence": "away"}).json()
        assert left["seconds"] <= 600 and left["last"] is False
    token = page.locator(".leave input[name=csrf_token]").get_attribute("value") or ""
    stayed = page.request.post(f"{site.address}/sessions/stays", form={"csrf_token": token}).json()
    assert stayed["seconds"] > 1_750


# --- screens on the wall ----------------------------------------------------------------------------------------------


@pytest.fixture
def wall(browser: Browser, site: Site) -> Iterator[Watched]:
    """A screen that nobody has signed in at."""
    context = browser.new_context(locale="vi-VN", viewport={"width": 1920, "height": 1080})
    yield Watched(context.new_page(), site.address)
    context.close()


def prepare(site: Site, page: Page, name: str) -> str:
    page.goto(f"{site.address}/displays")
    page.get_by_label("Treo ở đâu").fill(name)
    with page.expect_navigation():
        page.get_by_role("button", name="Tạo mã").click()
    return page.locator(".big-code").inner_text()


def test_a_screen_shows_the_board_opens_nothing_else_and_ends_with_one_press(
    site: Site, signed_in: Open, wall: Watched
) -> None:
    page, screen = signed_in().page, wall.page
    code = prepare(site, page, "Phòng trực ban tầng 2")
    screen.goto(f"{site.address}/wall")
    screen.get_by_label("Mã").fill("0000-0000")
    screen.get_by_role("button").click()
    expect(screen.locator("#code-wrong")).to_be_visible()
    assert Axe().run(screen).violations_count == 0
    screen.get_by_label("Mã").fill(code)
    screen.get_by_role("button").click()
    screen.wait_for_url(f"{site.address}/wall")
    expect(screen.locator(".board .line").first).to_be_visible()
    assert Axe().run(screen).violations_count == 0
    # Nothing to follow, nothing to press, nobody's name.
    assert screen.locator("main a").count() == 0 and screen.locator("form").count() == 0
    (cookie,) = screen.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("hoatoc_display", True, "Strict")

    opened = _opened(site, cookie["value"], screen)
    assert opened == {"/wall", "/wall/events"}

    page.goto(f"{site.address}/displays")
    assert "Phòng trực ban tầng 2" in page.locator("main").inner_text()
    with page.expect_navigation():
        page.get_by_role("button", name="Ngắt màn hình Phòng trực ban tầng 2").click()
    # The stream tells it, and the screen asks for a code again.
    expect(screen.get_by_label("Mã")).to_be_visible()
    assert rows(site, Display)[-1].revoked_at is not None


def _opened(site: Site, token: str, screen: Page) -> set[str]:
    """Return the routes that answer a screen's cookie otherwise than no cookie."""
    agent = screen.evaluate("navigator.userAgent")
    headers = {"User-Agent": agent, "Accept": "text/html"}
    found = set()
    ids = {"request_id": str(site.told.ids["7k3mq"])}
    with httpx.Client(base_url=site.address, headers=headers, timeout=20) as stranger:
        for context in iter_route_contexts(site.app.routes):
            if not isinstance(context.original_route, APIRoute) or context.path.endswith("/stream"):
                continue
            path = re.sub(r"\{(\w+)\}", lambda each: ids.get(each[1], "x"), context.path)
            if path in {"/readyz", "/metrics", "/healthz", "/livez"}:
                continue
            for method in {"GET", "POST"} & set(context.methods or ()):
                answers = []
                for cookies in ({}, {"hoatoc_display": token}, {"hoatoc_session": token}):
                    sent = dict(cookies)
                    with stranger.stream(method, path, headers=_cookie(sent)) as answer:
                        # Refusals have a budget, which this walk goes beyond.
                        answers.append(401 if answer.status_code == 429 else answer.status_code)
                        body = b"" if "event-stream" in answer.headers.get("content-type", "") else answer.read()
                        answers.append(b'class="board"' in body)
                none, screens, session = answers[:2], answers[2:4], answers[4:]
                assert session == none, path
                if screens != none:
                    found.add(path)
    return found


def _cookie(values: dict[str, str]) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in values.items())} if values else {}


def test_a_screen_needs_no_scripts(site: Site, signed_in: Open, browser: Browser) -> None:
    code = prepare(site, signed_in().page, "Không có JavaScript")
    context = browser.new_context(java_script_enabled=False)
    screen = context.new_page()
    screen.goto(f"{site.address}/wall?lang=en")
    screen.get_by_label("Code").fill(code.lower())
    with screen.expect_navigation():
        screen.get_by_role("button").click()
    assert screen.locator(".board .line").count() > 0
    assert screen.locator("noscript meta[http-equiv=refresh]").count() + screen.locator("meta[http-equiv]").count() > 0
    context.close()


def test_only_coordinators_see_the_screens(site: Site, signed_in: Open) -> None:
    page = signed_in(Role.AUDITOR).page
    assert page.request.get(f"{site.address}/displays").status == 403
    page.goto(f"{site.address}/board")
    assert page.locator("a[href='/displays']").count() == 0
