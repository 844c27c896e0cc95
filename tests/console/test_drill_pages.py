"""The pages of a drill: whatever is opened, by whoever, in either language, says loudly that none of it is real."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import filing_steps
import pytest
import steps as hub_steps
import world as worlds
from console_desk import Desk
from console_site import DrillSite, Open, Site, Watched, look_over
from console_teller import AGENCY
from journey_processes import until
from playwright.sync_api import BrowserContext, Page, expect

from service import i18n
from service.actions import changes, load_directory
from service.drill import cast as casting
from service.drill import playing, report, scenarios
from service.drill.cast import Cast
from service.drill.playing import NotPlayed
from workflows.terms import Role

FOUR = scenarios.SCENARIOS["four-banks"]
MARK = "DIỄN TẬP – EXERCISE"
BOTH = pytest.mark.parametrize("lang", i18n.LANGUAGES)


def pages(site: Site) -> list[str]:
    """Return the path of every page that a coordinator has, and of two that are not there for him."""
    request = f"/requests/{site.told.ids['7k3mq']}"
    return [
        *(
            "/",
            "/board",
            "/board?wall=1",
            "/tasks",
            "/escalations",
            "/delivery",
            "/participants",
            "/handover",
            "/about",
        ),
        *("/participants/vietcombank", "/docs", "/mine", "/officer/key", "/requests/new/action", "/requests/unknown"),
        *(request, f"{request}/case", f"{request}/approve", f"{request}/receipt"),
    ]


def is_marked(page: Page, lang: str) -> None:
    """The band is there, in sight, in words, in colour and with a border, and so is the title."""
    band = page.locator(".drill")
    assert band.count() == 1 and band.is_visible(), page.url
    assert MARK in band.inner_text() and i18n.text("console.frame.drill", lang) in band.inner_text()
    assert page.title().startswith(MARK), page.title()
    shown = band.evaluate("each => [getComputedStyle(each).backgroundColor, getComputedStyle(each).borderTopWidth]")
    assert shown == ["rgb(255, 212, 0)", "4px"]
    # However far down one reads.
    page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
    assert band.evaluate("each => each.getBoundingClientRect().top") >= 0


@BOTH
def test_every_page_of_a_drill_says_so_and_no_page_of_the_real_hub_does(
    drill: Site, site: Site, in_drill: Open, signed_in: Open, lang: str
) -> None:
    page = in_drill().page
    for path in pages(drill):
        answer = page.goto(f"{drill.address}{path}{'&' if '?' in path else '?'}lang={lang}")
        assert answer is not None and answer.headers.get("hoatoc-drill") == "true", path
        is_marked(page, lang)
    real = signed_in().page
    for path in pages(site):
        answer = real.goto(f"{site.address}{path}{'&' if '?' in path else '?'}lang={lang}")
        assert answer is not None and "hoatoc-drill" not in answer.headers, path
        assert real.locator(".drill").count() == 0 and MARK not in real.content()


@BOTH
def test_whoever_is_not_signed_in_sees_it_too(drill: Site, context: BrowserContext, lang: str) -> None:
    page = context.new_page()
    for path in ("/", f"/sign-in/{'x' * 43}", "/nothing", "/docs"):
        page.goto(f"{drill.address}{path}?lang={lang}")
        is_marked(page, lang)
    page.goto(f"{drill.link()}?lang={lang}")
    is_marked(page, lang)


@BOTH
def test_an_officer_reads_it_where_he_files_and_signs(drill: Site, in_drill: Open, lang: str) -> None:
    for role in (Role.MAKER, Role.APPROVER):
        page = in_drill(role, AGENCY).page
        for path in ("/", "/mine", "/officer/key", "/requests/new/action"):
            page.goto(f"{drill.address}{path}?lang={lang}")
            is_marked(page, lang)


@BOTH
def test_the_pages_of_a_drill_are_accessible_by_day_by_night_and_narrow(drill: Site, in_drill: Open, lang: str) -> None:
    look_over(in_drill, drill.address, [path for path in pages(drill) if path.startswith(("/b", "/t", "/about"))], lang)


def test_the_table_of_a_case_says_it_in_its_name_and_in_its_first_line(drill: Site, in_drill: Open) -> None:
    page = in_drill().page
    answer = page.request.get(f"{drill.address}/requests/{drill.told.ids['7k3mq']}/case.csv")
    assert 'filename="DIEN-TAP-' in answer.headers["content-disposition"]
    assert answer.text().lstrip("\ufeff").splitlines()[0] == MARK


@BOTH
def test_the_drawing_of_a_case_says_it_in_name_title_and_band(drill: Site, in_drill: Open, lang: str) -> None:
    page = in_drill().page
    answer = page.request.get(f"{drill.address}/requests/{drill.told.ids['7k3mq']}/case.svg?lang={lang}")
    assert 'filename="DIEN-TAP-' in answer.headers["content-disposition"]
    # As a file of its own, without the policy of the hub's pages.
    page = page.context.new_page()
    page.set_content(answer.text())
    assert (page.locator("svg > title").text_content() or "").startswith(MARK)
    band, first = page.locator("svg .band"), page.locator("svg text").first
    assert first.text_content() == MARK
    assert band.evaluate("each => getComputedStyle(each).fill") == "rgb(255, 212, 0)"
    # The words stand in the band, and nothing else does.
    places = {name: each.bounding_box() for name, each in (("band", band), ("mark", first))}
    places["next"] = page.locator("svg text").nth(1).bounding_box()
    inner, outer, below = places["mark"], places["band"], places["next"]
    assert inner and outer and below
    assert outer["y"] <= inner["y"] and inner["y"] + inner["height"] <= outer["y"] + outer["height"] <= below["y"]


def test_movements_and_evidence_are_taken_along_under_a_name_that_says_it(desk: Desk, at_desk: Open) -> None:
    order = desk.run(hub_steps.traced(desk.world))
    desk.run(desk.world.answer(order, outcome="executed", traced=hub_steps.moved("9704000012345")))
    page, maker = at_desk().page, at_desk(role=Role.MAKER, person="maker").page
    about = f"{desk.address}/requests/{order['request_id']}"

    def taken() -> list[str]:
        answer = maker.request.get(f"{about}/answers.csv")
        page.goto(about)
        with page.expect_download() as evidence:
            page.locator("form[action$='/evidence'] button").click()
        first = answer.text().lstrip("\ufeff").splitlines()[0]
        return [answer.headers["content-disposition"], first, evidence.value.suggested_filename]

    name, first, evidence = taken()
    assert "DIEN-TAP" not in f"{name}{first}{evidence}" and MARK not in first
    settings = desk.hub.settings.model_copy(update={"drill": True})
    desk.app.state.hub = dataclasses.replace(desk.hub, settings=settings)
    try:
        name, first, evidence = taken()
    finally:
        desk.app.state.hub = desk.hub
    assert 'filename="DIEN-TAP-' in name and first == MARK and evidence.startswith("DIEN-TAP-evidence-")


def test_letters_and_texts_to_be_signed_bear_a_name_that_says_it(desk: Desk, at_desk: Open) -> None:
    filed = desk.run(desk.world.active(worlds.freeze()))
    (order,) = desk.run(desk.world.orders(filed.id))
    filing_steps.laid(desk, "31")
    page, maker = at_desk().page, at_desk(role=Role.MAKER, person="maker").page

    def names() -> list[str]:
        answers = (
            page.request.get(f"{desk.address}/orders/{order['id']}/letter.pdf"),
            page.request.get(f"{desk.page(filed.id)}/content.json"),
            maker.request.get(f"{desk.address}/requests/new/sign/content.json"),
        )
        return [answer.headers["content-disposition"] for answer in answers]

    assert not any("DIEN-TAP" in name for name in names())
    settings = desk.hub.settings.model_copy(update={"drill": True})
    desk.app.state.hub = dataclasses.replace(desk.hub, settings=settings)
    try:
        assert all('filename="DIEN-TAP-' in name for name in names())
    finally:
        desk.app.state.hub = desk.hub


def test_paper_and_the_wall_show_it_and_no_script_is_needed(drill: Site, in_drill: Open) -> None:
    watched: Watched = in_drill(java_script_enabled=False)
    for path, media in (
        ("/board?wall=1", "screen"),
        ("/board", "print"),
        (f"/requests/{drill.told.ids['7k3mq']}", "print"),
    ):
        watched.page.emulate_media(media=media)
        watched.page.goto(f"{drill.address}{path}")
        band = watched.page.locator(".drill")
        assert band.is_visible() and MARK in band.inner_text(), path
    assert watched.foreign == []


class Exercise(DrillSite):
    """A drill at work: laid out, its worker delivering and firing by clocks that run in seconds."""

    policy = "demo-seconds"
    works = True
    cast: Cast

    async def fill(self) -> None:
        """Lay the drill out, as ``hoatoc drill prepare`` does, in the place of a story."""
        minh = changes.local_administrator("minh")
        await load_directory.load(self.hub, minh)
        played = {name: role.sector for name, role in FOUR.roles.items()}
        self.cast = await casting.enroll(self.hub, minh, "pc02-79", played)


class Played(NamedTuple):
    """A drill that was played to its end: what was filed, and what each participant's system told."""

    site: Exercise
    filed: list[Mapping[str, Any]]
    told: list[tuple[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def exercise(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """The scenario of four banks, played over HTTP by real receivers until the silent one was escalated."""
    made = Exercise(tmp_path_factory.mktemp("exercise"))
    made.start()
    told: list[tuple[str, dict[str, Any]]] = []

    async def whole() -> list[Mapping[str, Any]]:
        stop = asyncio.Event()

        async def answers() -> bool:
            with contextlib.suppress(NotPlayed):
                await playing._is_drill(made.address)
                return True
            return False

        # It listens before it serves.
        await until(answers, 120, "the drill's hub does not answer")
        playing_it = asyncio.create_task(
            playing.play(
                made.hub.settings, made.address, FOUR, made.cast, lambda kind, data: told.append((kind, data)), stop
            )
        )

        async def is_over() -> bool:
            rows = {row.participant_id: row for row in (await report.make(made.hub)).rows}
            held = all(row.executed for name, row in rows.items() if name != "bidv")
            return playing_it.done() or (len(rows) == 4 and held and rows["bidv"].rungs >= 2)

        await until(is_over, 240, lambda: f"the scenario came to no end: {told}")
        stop.set()
        return await playing_it

    future = asyncio.run_coroutine_threadsafe(whole(), made._loop)
    yield Played(made, future.result(timeout=400), told)
    made.stop()


@BOTH
def test_a_whole_drill_is_seen_by_its_coordinators(exercise: Played, let_in: Callable[[Site], Open], lang: str) -> None:
    site = exercise.site
    enter = let_in(site)
    page = enter().page
    for path in ("/board", "/escalations", *(f"/requests/{each['id']}" for each in exercise.filed)):
        page.goto(f"{site.address}{path}?lang={lang}")
        is_marked(page, lang)
    silent = exercise.filed[3]
    page.goto(f"{site.address}/escalations?lang={lang}")
    expect(page.locator("main")).to_contain_text(silent["reference"])
    expect(page.locator("main")).to_contain_text("BIDV")
    page.goto(f"{site.address}/requests/{exercise.filed[0]['id']}?lang={lang}")
    expect(page.locator("main")).to_contain_text("150.000.000")
    # By day, by night and narrow, with axe.
    look_over(enter, site.address, ("/board", "/escalations", f"/requests/{silent['id']}"), lang)


def test_the_receivers_got_orders_that_said_what_they_are_and_the_report_tells_of_each(exercise: Played) -> None:
    received = [data for kind, data in exercise.told if kind == "received"]
    assert {data["participant"] for data in received} == FOUR.roles.keys()
    assert all(data["drill"] == "true" for data in received)
    assert not [kind for kind, _ in exercise.told if kind in ("signature_refused", "answer_failed", "malformed")]
    made = exercise.site.run(report.make(exercise.site.hub))
    for lang, late in (("vi", "QUÁ HẠN"), ("en", "LATE")):
        page = report.as_markdown(made, lang)
        assert page.startswith(f"# {MARK}: ")
        lines = {line.split(" | ")[0].removeprefix("| "): line for line in page.splitlines() if line.startswith("| ")}
        assert late in lines["BIDV"] and "Vietcombank" in lines
