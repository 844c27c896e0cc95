"""Signing in: a link works once and only by the button, the cookie is guarded, forged forms change nothing."""

import json

import httpx
import pytest
import world as worlds
from console_desk import Desk
from console_site import Open, Site
from playwright.sync_api import BrowserContext

from service.models import AuditEntry
from workflows.terms import Fact, Role

# A session lives in one kind of browser.
HERE = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


def test_a_link_works_once_and_only_by_its_button(site: Site, context: BrowserContext) -> None:
    link = site.link()
    page = context.new_page()
    for _ in range(3):  # whatever fetches the page ahead of the person does not spend the link
        assert page.request.get(link).status == 200
    page.goto(link)
    page.get_by_role("button", name="Đăng nhập").click()
    page.wait_for_url(f"{site.address}/board")
    assert page.locator("h1").inner_text() == "Bảng trực"

    (cookie,) = context.cookies()
    assert (cookie["name"], cookie["path"]) == ("hoatoc_session", "/")
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["secure"]) == (True, "Strict", False)

    context.clear_cookies()
    for answer in (page.request.post(link), page.request.get(link)):
        assert answer.status == 401
        assert "Liên kết không còn dùng được" in answer.text()
        assert "set-cookie" not in answer.headers
    assert "This link no longer works" in page.request.get(f"{link}?lang=en").text()
    assert page.request.get(f"{site.address}/").status == 401


def test_an_unknown_link_is_refused_like_a_spent_one(site: Site) -> None:
    with httpx.Client(base_url=site.address) as client:
        for token in ("x" * 43, "%F0%9F%94%A5", "a" * 3000):
            for answer in (client.get(f"/sign-in/{token}"), client.post(f"/sign-in/{token}")):
                assert answer.status_code == 401 and "set-cookie" not in answer.headers


def test_a_sign_in_from_another_site_is_refused_and_spends_nothing(site: Site) -> None:
    link = site.link()
    with httpx.Client() as client:
        assert client.post(link, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert client.post(link, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303


def test_whoever_signs_in_anew_leaves_no_session_of_that_browser_behind(desk: Desk) -> None:
    def enters(browser: httpx.Client, person: str) -> str:
        answer = browser.post(desk.link(Role.READER, worlds.AGENCY, person))
        assert answer.status_code == 303
        return str(browser.cookies["hoatoc_session"])

    def opens(token: str) -> int:
        with httpx.Client(headers=HERE, cookies={"hoatoc_session": token}) as client:
            return client.get(f"{desk.address}/").status_code

    with httpx.Client(headers=HERE) as browser, httpx.Client(headers=HERE) as elsewhere:
        first, other = enters(browser, "reader-one"), enters(elsewhere, "reader-one")
        # By whichever person, and by whichever link: one browser sits at one place.
        second = enters(browser, "reader-two")
    assert [opens(token) for token in (first, second, other)] == [401, 200, 200]
    ended = [
        row for row in desk.run(desk.world.rows(AuditEntry, code=Fact.SIGN_IN_ENDED)) if "reader-one" in row["data"]
    ]
    assert [json.loads(row["data"])["reason"] for row in ended] == ["replaced"]


def test_signing_out_needs_the_token_of_this_session(site: Site, signed_in: Open) -> None:
    mine, theirs = signed_in().page, signed_in().page
    foreign = theirs.locator("input[name=csrf_token]").first.get_attribute("value") or ""
    for wrong in ("", "x", foreign):
        answer = mine.request.post(f"{site.address}/sign-out", form={"csrf_token": wrong})
        assert answer.status == 403
        assert "Biểu mẫu không hợp lệ" in answer.text()
    assert mine.request.get(f"{site.address}/").status == 200

    before = mine.context.cookies()
    mine.get_by_role("button", name="Đăng xuất").click()
    mine.wait_for_selector("h1:has-text('Bạn chưa đăng nhập')")
    assert mine.context.cookies() == []
    mine.context.add_cookies([{"name": each["name"], "value": each["value"], "url": site.address} for each in before])
    assert mine.request.get(f"{site.address}/").status == 401
    assert theirs.request.get(f"{site.address}/").status == 200


@pytest.mark.parametrize("forged", ["", "x", "ÿ\udcff", "a" * 4000])
def test_a_made_up_cookie_opens_nothing(site: Site, forged: str) -> None:
    cookie = f"hoatoc_session={forged}".encode("utf-8", "surrogateescape")
    with httpx.Client(base_url=site.address) as client:
        answer = client.get("/", headers=[(b"cookie", cookie)])
    assert answer.status_code == 401
    assert "hoatoc sign-in-link" in answer.text
