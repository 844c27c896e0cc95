"""A served hub with its story, a real Chromium, and people who sign in to it by a link."""

import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from console_site import Open, Site, Watched
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from service.engine.hub import OPERATOR
from workflows.terms import Role

CHROMIUM = shutil.which("chromium")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
NO_EXTRAS = ("--disable-sync", "--no-first-run")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A hub with the whole story, served on loopback."""
    made = Site(tmp_path_factory.mktemp("site"))
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium; its absence fails the tests, it never skips them.

    Playwright's synchronous driver keeps a loop running in this thread, so a module that uses it has no async test.
    """
    if CHROMIUM is None:
        pytest.fail("chromium is not installed", pytrace=False)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *NO_EXTRAS])
        yield launched
        launched.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without cookies, as in Vietnam."""
    made = browser.new_context(locale="vi-VN", timezone_id="Asia/Ho_Chi_Minh")
    yield made
    made.close()


@pytest.fixture
def signed_in(site: Site, browser: Browser) -> Iterator[Open]:
    """``signed_in(role=…, tenant=…, **context)`` opens a page of a person who came in by a link."""
    contexts: list[BrowserContext] = []

    def enter(role: Role = Role.COORDINATOR, tenant: str = OPERATOR, **options: Any) -> Watched:
        made = browser.new_context(**{"locale": "vi-VN", "timezone_id": "Asia/Ho_Chi_Minh", **options})
        contexts.append(made)
        watched = Watched(made.new_page(), site.address)
        watched.page.goto(site.link(role, tenant))
        watched.page.get_by_role("button", name=re.compile("Đăng nhập|Sign in")).click()
        watched.page.wait_for_url(f"{site.address}/")
        return watched

    yield enter
    for made in contexts:
        made.close()
