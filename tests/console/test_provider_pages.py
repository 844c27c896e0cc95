"""Signing in at an identity provider that others wrote: the way there and back, what is refused, and how it ends."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import console_teller
import httpx
import openid_process
import pytest
import sqlalchemy as sa
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from console_site import LOOKS, Site, Watched, look_at
from openid_process import ProviderProcess
from playwright.sync_api import Browser, BrowserContext, Page, Route

from service import db, i18n
from service.actions import changes, link_person, send_person_home
from service.console import providers
from service.engine.hub import OPERATOR
from service.models import AuditEntry, ConsoleSession, ProviderLink
from service.schemas.entries import NewProviderLink
from service.settings import Settings
from workflows.terms import Fact, Role

ADMIN = changes.local_administrator("root")
HOME = re.compile(r"/board$")


class LinkedSite(Site):
    """A hub that knows a provider."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.provider: ProviderProcess

    def settings(self, port: int) -> Settings:
        """Start the provider first: each of the two must know the other's address."""
        self.provider = ProviderProcess(self._folder, self.address)
        chosen = super().settings(port)
        return chosen.model_copy(update=Settings(**self.provider.settings()).model_dump(include=_NAMES))

    def lets_in(self, account: str, person: str = "le-van-truc", role: Role = Role.COORDINATOR) -> None:
        """Link an account of the provider's to a person of the hub's."""
        body = NewProviderLink(participant_id=OPERATOR, person=person, role=role, name=account)
        self.run(link_person.link(self.hub, ADMIN, body))

    def rows(self, model: type) -> list[sa.Row[tuple[object, ...]]]:
        """Return a table."""

        async def read() -> list[sa.Row[tuple[object, ...]]]:
            async with self.hub.database.read(db.HUB) as conn:
                return list((await conn.execute(sa.select(console_teller.table(model)))).all())

        return self.run(read())

    def reasons(self) -> list[str]:
        """Return why sign-ins were refused, in order."""
        refused = [row for row in self.rows(AuditEntry) if row.code == Fact.SIGN_IN_REFUSED]
        return [re.search(r'"reason":"([^"]+)"', row.data)[1] for row in refused]  # type: ignore[index]


_NAMES = {"oidc_issuer", "oidc_client_id", "oidc_client_secret", "oidc_network", "oidc_ca_file"}


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LinkedSite]:
    """A hub and its provider."""
    made = LinkedSite(tmp_path_factory.mktemp("linked"))
    made.start()
    yield made
    made.stop()
    made.provider.stop()


@pytest.fixture
def visitor(linked: LinkedSite, browser: Browser) -> Iterator[Watched]:
    """A page of somebody who is not signed in; the provider's authority is not the browser's."""
    context = browser.new_context(locale="vi-VN", timezone_id="Asia/Ho_Chi_Minh", ignore_https_errors=True)
    yield Watched(context.new_page(), linked.address)
    context.close()


def enters(site: LinkedSite, page: Page) -> None:
    page.goto(f"{site.address}/sign-in")
    page.get_by_role("link", name="Đăng nhập bằng tài khoản đơn vị").click()
    page.wait_for_url(HOME)


def goes(site: LinkedSite, hub: httpx.Client) -> str:
    """Begin, and return the address at the provider."""
    answer = hub.get(f"{site.address}/sign-in/provider")
    assert answer.status_code == 303
    return answer.headers["location"]


def returns(site: LinkedSite, address: str) -> str:
    """Sign in at the provider and return the address at the hub that it sends the browser back to."""
    with site.provider.client() as there:
        answer = there.get(address)
        for _ in range(8):
            place = answer.headers["location"]
            if place.startswith(site.address):
                return place
            answer = there.get(httpx.URL(site.provider.issuer).join(place))
    raise AssertionError("the provider did not come to an end")


def test_a_person_whom_an_administrator_linked_comes_in_and_leaves_at_the_provider_too(
    linked: LinkedSite, visitor: Watched
) -> None:
    linked.provider.signs_in("9001")
    linked.lets_in("9001")
    page = visitor.page
    enters(linked, page)
    assert page.locator(".who strong").inner_text() == "le-van-truc"
    cookies = {each["name"]: each for each in page.context.cookies(linked.address)}
    assert cookies["hoatoc_session"]["sameSite"] == "Strict" and "hoatoc_trip" not in cookies
    (row,) = [row for row in linked.rows(ConsoleSession) if row.way == "provider"]
    assert (row.person, row.tenant, row.role) == ("le-van-truc", OPERATOR, Role.COORDINATOR)
    # What the provider calls him is kept as a digest, and in no fact.
    assert "9001" not in repr(linked.rows(ProviderLink)) and "9001" not in repr(linked.rows(AuditEntry))

    page.get_by_role("button", name="Đăng xuất").click()
    page.wait_for_url(f"{linked.provider.issuer}/session/end**")
    assert f"post_logout_redirect_uri={linked.address}/sign-in".replace(":", "%3A").replace("/", "%2F") in page.url
    page.goto(f"{linked.address}/board")
    assert page.locator("h1").inner_text() == "Bạn chưa đăng nhập"


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_the_pages_between_the_hub_and_the_provider_are_accessible(
    linked: LinkedSite, visitor: Watched, lang: str
) -> None:
    linked.provider.signs_in(f"91{lang}")
    linked.lets_in(f"91{lang}", f"nguoi-{lang}")
    with httpx.Client(headers={"User-Agent": "x"}) as hub:
        hub.get(f"{linked.address}/sign-in?lang={lang}")
        arrived = hub.get(returns(linked, goes(linked, hub)))
        token = re.search(r'name="csrf_token" value="([^"]+)"', hub.get(f"{linked.address}/board").text)
        assert token
        left = hub.post(f"{linked.address}/sign-out", data={"csrf_token": token[1]})
    page = visitor.page
    for name, answer in (("arrived", arrived), ("left", left)):
        assert answer.status_code == 200 and f'<html lang="{lang}">' in answer.text, name
        # They lead on at once: what is looked at is the same page, standing still.
        still, count = re.subn(r'<meta http-equiv="refresh"[^>]*>', "", answer.text)
        assert count == 1
        page.route(f"{linked.address}/{name}", functools.partial(_shows, still))
        for look in LOOKS:
            page.set_viewport_size(look.get("viewport", {"width": 1280, "height": 720}))
            page.emulate_media(color_scheme=look.get("color_scheme", "light"))
            page.goto(f"{linked.address}/{name}")
            look_at(page, name)
    assert (visitor.errors, visitor.foreign) == ([], [])


def _shows(html: str, route: Route) -> None:
    route.fulfill(body=html, content_type="text/html; charset=utf-8")


def test_when_the_session_at_the_provider_ends_it_tells_the_hub_and_the_session_here_is_over(
    linked: LinkedSite, visitor: Watched
) -> None:
    linked.provider.signs_in("9002")
    linked.lets_in("9002", "pham-thi-mau")
    page = visitor.page
    enters(linked, page)
    # Another one, of the same person by a link, does not hang on the provider.
    other = linked.link(person="pham-thi-mau")
    with httpx.Client(headers={"User-Agent": "x"}) as elsewhere:
        assert elsewhere.post(other).status_code == 303
        page.goto(f"{linked.provider.issuer}/session/end")
        page.locator("button[name=logout]").first.click()
        assert linked.provider.has_told() == "200"
        page.goto(f"{linked.address}/board")
        assert page.locator("h1").inner_text() == "Bạn chưa đăng nhập"
        assert elsewhere.get(f"{linked.address}/board").status_code == 200
    ended = [row for row in linked.rows(AuditEntry) if row.code == Fact.SIGN_IN_ENDED]
    assert '"reason":"provider"' in ended[-1].data


def test_whoever_sets_out_for_the_provider_leaves_the_session_that_he_had(linked: LinkedSite) -> None:
    with httpx.Client(headers={"User-Agent": "x"}) as browser:
        assert browser.post(linked.link(person="vu-van-cu")).status_code == 303
        assert browser.get(f"{linked.address}/board").status_code == 200
        # Another site cannot send him on this way, nor out.
        foreign = browser.get(f"{linked.address}/sign-in/provider", headers={"Sec-Fetch-Site": "cross-site"})
        assert foreign.status_code == 403 and browser.get(f"{linked.address}/board").status_code == 200
        goes(linked, browser)
        assert browser.get(f"{linked.address}/board").status_code == 401


def test_nobody_gets_an_account_by_signing_in_at_the_provider(linked: LinkedSite, visitor: Watched) -> None:
    linked.provider.signs_in("a stranger")
    before = len(linked.rows(ConsoleSession))
    page = visitor.page
    for lang, title in (("vi", "Không đăng nhập được"), ("en", "You could not be signed in")):
        page.goto(f"{linked.address}/sign-in?lang={lang}")
        page.locator(".ways-in .button").click()
        page.wait_for_url(re.compile(r"/sign-in/provider/back"))
        assert page.locator("h1").inner_text() == title
        assert Axe().run(page).violations_count == 0
        # Neither the code nor the state of the address is repeated on the page.
        query = parse_qs(urlsplit(page.url).query)
        assert query["code"][0] not in page.content() and query["state"][0] not in page.content()
    assert linked.reasons()[-2:] == ["provider.unlinked"] * 2
    assert len(linked.rows(ConsoleSession)) == before


def test_what_comes_back_counts_once_and_only_in_the_browser_that_began(linked: LinkedSite) -> None:
    linked.provider.signs_in("9003")
    linked.lets_in("9003", "tran-van-ba")
    with httpx.Client() as hub, httpx.Client() as victim:
        back = returns(linked, goes(linked, hub))
        # Login CSRF: the attacker's own return, opened in somebody else's browser, which has a trip of its own.
        goes(linked, victim)
        assert victim.get(back).status_code == 401
        assert "hoatoc_session" not in victim.cookies
        kept = dict(hub.cookies)
        answer = hub.get(back)
        assert answer.status_code == 200 and "hoatoc_session" in hub.cookies
        # Whoever replays the whole of it, with the cookie: the code is spent there, and the trip is spent here.
        with httpx.Client(cookies=kept) as again:
            assert again.get(back).status_code == 401
            assert "hoatoc_session" not in again.cookies
        with httpx.Client() as stranger:
            assert stranger.get(back).status_code == 401
    # Of the stranger, whom any page can send here, nothing is kept.
    assert linked.reasons()[-2:] == ["trip.foreign", "provider.code"]


def test_an_answer_in_another_providers_name_or_without_a_code_is_refused(linked: LinkedSite) -> None:
    linked.provider.signs_in("9003")
    for change, reason in (
        ({"iss": "https://other.example"}, "provider.mixed_up"),
        ({"iss": None}, "provider.mixed_up"),
        ({"code": "made-up"}, "provider.code"),
        ({"code": None}, "provider.said_no"),
    ):
        with httpx.Client() as hub:
            back = httpx.URL(returns(linked, goes(linked, hub)))
            params = {name: value for name, value in back.params.items() if name not in change}
            params |= {name: value for name, value in change.items() if value is not None}
            assert hub.get(back.copy_with(params=params)).status_code == 401
            assert "hoatoc_session" not in hub.cookies
        assert linked.reasons()[-1] == reason


def test_whoever_says_no_at_the_provider_is_told_so_and_not_signed_in(linked: LinkedSite, visitor: Watched) -> None:
    linked.provider.signs_in("9003", refuses=True)
    visitor.page.goto(f"{linked.address}/sign-in")
    visitor.page.get_by_role("link", name="Đăng nhập bằng tài khoản đơn vị").click()
    visitor.page.wait_for_url(re.compile(r"error=access_denied"))
    assert visitor.page.locator("h1").inner_text() == "Không đăng nhập được"
    assert linked.reasons()[-1] == "provider.said_no"


def test_nothing_in_the_address_says_where_a_person_lands(linked: LinkedSite) -> None:
    linked.provider.signs_in("9003")
    linked.lets_in("9003", "tran-van-ba")
    with httpx.Client() as hub:
        assert hub.get(f"{linked.address}/sign-in/provider?next=https://evil.example").status_code == 303
        place = goes(linked, hub)
        assert "evil" not in place
        back = returns(linked, place) + "&next=https://evil.example&redirect_uri=https://evil.example"
        page = hub.get(back)
        assert page.status_code == 200 and "evil" not in page.text
        assert 'content="0;url=/board"' in page.text


def test_a_second_factor_that_is_asked_for_must_have_been_seen(linked: LinkedSite) -> None:
    linked.lets_in("9004", "vo-thi-tu")
    plain = linked.hub.settings
    app = linked.app
    asked = plain.model_copy(update={"oidc_acr": ("urn:mfa",), "oidc_amr": ("otp",)})
    app.state.provider, before = providers.of(asked), app.state.provider
    try:
        for how, reason in (
            ({}, "provider.acr"),
            ({"acr": "urn:password", "amr": ["pwd", "otp"]}, "provider.acr"),
            ({"acr": "urn:mfa", "amr": ["pwd"]}, "provider.amr"),
        ):
            linked.provider.signs_in("9004", **how)
            with httpx.Client() as hub:
                assert hub.get(returns(linked, goes(linked, hub))).status_code == 401
            assert linked.reasons()[-1] == reason
        linked.provider.signs_in("9004", acr="urn:mfa", amr=["pwd", "otp"])
        with httpx.Client() as hub:
            assert hub.get(returns(linked, goes(linked, hub))).status_code == 200
    finally:
        app.state.provider = before


def test_whoever_is_sent_home_for_good_does_not_come_back_by_the_provider(linked: LinkedSite) -> None:
    linked.provider.signs_in("9005")
    linked.lets_in("9005", "do-van-nam")
    with httpx.Client() as hub:
        assert hub.get(returns(linked, goes(linked, hub))).status_code == 200
        done = linked.run(send_person_home.send_home(linked.hub, ADMIN, OPERATOR, "do-van-nam", for_good=True))
        assert (done.sessions, done.ways) == (1, 1)
        assert hub.get(f"{linked.address}/board").status_code == 401
        assert hub.get(returns(linked, goes(linked, hub))).status_code == 401
    assert linked.reasons()[-1] == "provider.unlinked"


@pytest.mark.parametrize(
    ("changes_of", "lang", "title"),
    [
        ({"oidc_issuer": "https://127.0.0.1:9"}, "vi", "Hệ thống định danh không trả lời"),
        ({"oidc_network": "10.0.0.0/8"}, "en", "The identity provider does not answer"),
    ],
)
def test_a_provider_that_is_down_or_elsewhere_is_said_to_be_and_links_still_open(
    linked: LinkedSite, context: BrowserContext, changes_of: dict[str, str], lang: str, title: str
) -> None:
    app = linked.app
    app.state.provider, before = providers.of(linked.hub.settings.model_copy(update=changes_of)), app.state.provider
    try:
        page = context.new_page()
        page.goto(f"{linked.address}/sign-in?lang={lang}")
        page.locator(".ways-in .button").click()
        page.wait_for_url(re.compile("/sign-in/provider$"))
        assert page.locator("h1").inner_text() == title
        assert Axe().run(page).violations_count == 0
        page.locator(".notice .button").click()
        page.wait_for_url(re.compile("/sign-in$"))
        page.goto(linked.link())
        page.get_by_role("button").click()
        page.wait_for_url(HOME)
    finally:
        app.state.provider = before


def test_the_pages_of_coming_in_are_framed_by_nobody_kept_by_nobody_and_take_no_foreign_form(
    linked: LinkedSite,
) -> None:
    with httpx.Client() as hub:
        for path in ("/sign-in", "/sign-in/provider", "/sign-in/provider/back?code=x&state=y", "/wall"):
            answer = hub.get(f"{linked.address}{path}")
            assert answer.headers["cache-control"] == "no-store", path
            assert answer.headers["x-frame-options"] == "DENY"
            assert "form-action 'self'" in answer.headers["content-security-policy"]
            assert answer.headers["referrer-policy"] == "no-referrer"
        for path in ("/sign-in/passkey", "/sign-in/passkey/begin", "/wall"):
            foreign = {"Sec-Fetch-Site": "cross-site"}
            assert hub.post(f"{linked.address}{path}", headers=foreign).status_code == 403, path
        assert (
            hub.get(f"{linked.address}/sign-in/provider", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        )
        for wrong in ("", "x", "e30.e30.x", "e30.e30." + "x" * 20_000):
            answer = hub.post(f"{linked.address}/sign-in/provider/ended", data={"logout_token": wrong})
            assert answer.status_code in {400, 413}


def test_the_provider_is_the_one_that_others_wrote() -> None:
    assert '"oidc-provider": "9.13.3"' in (openid_process.FOLDER / "package.json").read_text()
    assert '"resolved"' not in (openid_process.FOLDER / "package-lock.json").read_text()
