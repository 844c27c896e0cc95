"""A served hub with its story, a real Chromium, and people who sign in to it by a link."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import world as worlds
from console_desk import Desk
from console_site import CHROMIUM, DrillSite, Open, Site, Watched
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from service.engine.hub import OPERATOR
from workflows.terms import Role

# How fast the machine is decides nothing: what is expected may take its time to come.
expect.set_options(timeout=30_000)

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
    """Debian's Chromium; its absence fails the tests, it never skips them.

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
    yield from entering(site, browser)


@pytest.fixture(scope="session")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A drill's hub with the whole story, served on loopback."""
    made = DrillSite(tmp_path_factory.mktemp("drill"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def in_drill(drill: Site, browser: Browser) -> Iterator[Open]:
    """``in_drill(role=…, tenant=…, **context)`` opens a page of a person at the drill's hub."""
    yield from entering(drill, browser)


@pytest.fixture
def let_in(browser: Browser) -> Iterator[Callable[[Site], Open]]:
    """``let_in(site)`` returns what ``signed_in`` is at another site."""
    doors: list[Iterator[Open]] = []

    def into(site: Site) -> Open:
        doors.append(entering(site, browser))
        return next(doors[-1])

    yield into
    for door in doors:
        assert next(door, None) is None


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A hub at which officers file, sign and approve, served on loopback under a name."""
    made = Desk(tmp_path_factory.mktemp("desk"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def at_desk(desk: Desk, browser: Browser) -> Iterator[Open]:
    """``at_desk(person=…, role=…, **context)`` opens a page of an officer, or of another person, at that hub."""
    yield from entering(desk, browser, role=Role.APPROVER, tenant=worlds.AGENCY, person="approver")


def entering(
    site: Site,
    browser: Browser,
    role: Role = Role.COORDINATOR,
    tenant: str = OPERATOR,
    person: str = "tran-lan-thu",
) -> Iterator[Open]:
    """Yield what lets people into a site by a link, and close their browsers in the end."""
    contexts: list[BrowserContext] = []

    def enter(role: Role = role, tenant: str = tenant, person: str = person, **options: Any) -> Watched:
        made = browser.new_context(**{"locale": "vi-VN", "timezone_id": "Asia/Ho_Chi_Minh", **options})
        contexts.append(made)
        watched = Watched(made.new_page(), site.address)
        # What the button of the link's page sends; how that page looks is tested where it is about that.
        answer = made.request.post(site.link(role, tenant, person), max_redirects=0)
        assert answer.status == 303, answer.text()
        watched.page.goto(f"{site.address}/")
        return watched

    yield enter
    for made in contexts:
        made.close()
