"""The public page of an appeal: readable by anybody with its reference, in both languages, and by nobody without it."""

import appeal_steps
import pytest
import steps
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from console_desk import Desk
from console_site import Watched
from playwright.sync_api import BrowserContext
from world import AGENCY, World

from service import i18n
from workflows.terms import AppealState

BOTH = pytest.mark.parametrize("lang", i18n.LANGUAGES)
NARROW = {"width": 320, "height": 640}
SECRETS = (*appeal_steps.APPELLANT.values(), appeal_steps.STATEMENT, AGENCY, "vietcombank", "wrong_person")


@pytest.fixture(scope="module")
def references(desk: Desk) -> dict[AppealState, str]:
    """An appeal in each state, brought there as it is in life; returns their references."""
    return desk.run(_appeals(desk.world))


async def _appeals(world: World) -> dict[AppealState, str]:
    order = await steps.held(world)
    rejected = await appeal_steps.decide(world, await appeal_steps.file(world, order), "rejected")
    answered = await appeal_steps.reply(world, await appeal_steps.file(world, order))
    filed = await appeal_steps.file_for_a_person(world, order_id=str(order["id"]))
    [blocked] = await appeal_steps.held_numbers(world, "+84980000031")
    wrong = await appeal_steps.file_for_a_person(world, order_id=str(blocked["id"]))
    upheld = await appeal_steps.decide(world, wrong)
    made = {appeal.state: appeal.reference for appeal in (rejected, answered, filed, upheld)}
    assert made.keys() == set(AppealState)
    return made


@BOTH
def test_whoever_has_the_reference_reads_the_state_and_nothing_about_anybody(
    desk: Desk, references: dict[AppealState, str], context: BrowserContext, lang: str
) -> None:
    watched = Watched(context.new_page(), desk.address)
    page = watched.page
    for state, reference in references.items():
        answer = page.goto(f"{desk.address}/appeals/{reference}?lang={lang}")
        assert answer is not None and answer.status == 200
        assert page.locator("h1").inner_text() == reference
        assert page.locator(".badge").inner_text().lower() == i18n.term(state, lang)
        # Filed, answered or due, decided or due.
        assert page.locator("main time").count() == 3
        due = i18n.text("console.appeal.due", lang)
        waiting = {AppealState.FILED: 2, AppealState.ANSWERED: 1}.get(state, 0)
        assert sum(due in told for told in page.locator("main dd").all_inner_texts()) == waiting
        source = page.content()
        assert [secret for secret in SECRETS if secret in source] == []
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    assert (watched.errors, watched.foreign) == ([], [])
    assert {each["name"] for each in page.context.cookies()} == {"hoatoc_lang"}


@BOTH
def test_a_reference_that_was_never_given_has_a_page_that_says_so(
    desk: Desk, references: dict[AppealState, str], context: BrowserContext, lang: str
) -> None:
    page = context.new_page()
    pages = []
    for reference in ("KN-261123-ZZZZZZZZZZ", references[AppealState.FILED].lower(), "%F0%9F%94%A5", "x" * 3000):
        answer = page.goto(f"{desk.address}/appeals/{reference}?lang={lang}")
        assert answer is not None and answer.status == 404
        assert page.locator("h1").inner_text() == i18n.text("console.appeal.unknown", lang)
        pages.append(page.locator("main").inner_html())
    assert len(set(pages)) == 1
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@BOTH
def test_the_page_of_an_appeal_fits_a_small_screen_without_scripts(
    desk: Desk, references: dict[AppealState, str], lang: str, context: BrowserContext
) -> None:
    small = context.browser.new_context(viewport=NARROW)  # type: ignore[union-attr]
    page = small.new_page()
    for reference in references.values():
        page.goto(f"{desk.address}/appeals/{reference}?lang={lang}")
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
        assert page.locator("script").count() == 0
    small.close()
