"""The verifier in a browser says of a file what the command says of it: of whole ones, and with a byte changed."""

import dataclasses
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import appeal_steps
import pytest
import silence_steps
import steps
import world as worlds
from console_desk import Desk
from playwright.sync_api import BrowserContext, Page
from world import World

from service.console import assets
from service.engine import evidence as bundles
from service.security import evidence, evidence_checks

SCRIPTS = ("signing.js", "evidence_base.js", "evidence_form.js", "evidence_orders.js", "evidence.js")
MUTATIONS = 400
SEED = 7
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def stories(desk: Desk) -> dict[str, str]:
    """A bundle of each kind of story that a browser can judge to the end."""
    world = desk.world
    held = await steps.held(world)
    appealed = await steps.held(world)
    contested = await appeal_steps.file(world, appealed)
    await appeal_steps.reply(world, contested)
    await appeal_steps.decide(world, contested)
    emergency = await world.submit(steps.emergency())
    await world.review(emergency.id)
    taken_back = await world.submit(worlds.freeze())
    await world.withdraw(taken_back.id, "junior")
    extension = await world.active(steps.extend(held, days=3))
    lifted = await steps.held(world)
    lift = await world.active(worlds.lift(lifted["request_id"]))
    number = await world.active(worlds.takedown({"kind": "phone", "value": "+84980000007"}))
    silent = await silence_steps.ended(world)
    traced = await steps.traced(world)
    await world.answer(traced, outcome="executed", traced=steps.moved())
    await silence_steps.end(world, traced["request_id"])
    told = {
        "held": held["request_id"],
        "appealed": appealed["request_id"],
        "emergency": emergency.id,
        "withdrawn": taken_back.id,
        "extension": extension.id,
        "lift": lift.id,
        "takedown": number.id,
        "silence": silent["request_id"],
        "trace": traced["request_id"],
    }
    made = {name: await bundles.export(world.hub, str(request_id)) for name, request_id in told.items()}
    return {**made, "drill": await of_a_drill(world)}


async def of_a_drill(world: World) -> str:
    """The bundle of a request at the same hub, were it a drill's."""
    settings = world.hub.settings.model_copy(update={"issuer": "https://drill.hoatoc.example.vn", "drill": True})
    drill = World(dataclasses.replace(world.hub, settings=settings), keys=world.keys)
    return await bundles.export(drill.hub, str((await steps.held(drill))["request_id"]))


@pytest.fixture(scope="module")
def told(desk: Desk) -> dict[str, str]:
    return desk.run(stories(desk))


@pytest.fixture
def judge(desk: Desk, context: BrowserContext) -> Page:
    """A page of this hub with the scripts of the verifier and nothing else."""
    page = context.new_page()
    page.goto(f"{desk.address}/healthz")
    for script in SCRIPTS:
        page.evaluate((assets.FOLDER / script).read_text("utf-8"))
    return page


def in_browser(page: Page, text: str, keys: list[dict[str, Any]] | None = None) -> list[tuple[str, str, str]]:
    found = page.evaluate("([text, keys]) => window.hoatocEvidence.verify(text, keys)", [text, keys])
    assert not [each for each in found if each["unseen"]], found
    return [(each["name"], each["about"], each["wrong"]) for each in found]


def by_command(text: str, keys: list[dict[str, Any]] | None = None) -> list[tuple[str, str, str]]:
    return [(each.name, each.about, each.wrong) for each in evidence.verify(text, keys)]


def outcome(checks: list[tuple[str, str, str]]) -> list[tuple[str, bool]]:
    """What holds, check by check in their order.

    A broken text is called by other words in the two languages. Of a demand whose own signature is broken a browser may
    not know that it is none (that a number cannot exist), and so not ask for a second officer.
    """
    is_broken = any(name == "request.signature" and wrong for name, _, wrong in checks)
    return [(name, bool(wrong)) for name, _, wrong in checks if not (is_broken and name == "request.four_eyes")]


def test_a_whole_file_of_every_kind_holds_check_by_check(told: dict[str, str], judge: Page) -> None:
    for name, text in told.items():
        keys = json.loads(text)["keys"]
        assert in_browser(judge, text, keys) == by_command(text, keys), name
        assert [each for each in in_browser(judge, text) if each[2]] == [], name


def test_a_drills_file_says_so_and_whatever_says_otherwise_is_found(told: dict[str, str], judge: Page) -> None:
    text = told["drill"]
    assert ("bundle.drill", "this is an EXERCISE", "") in in_browser(judge, text)
    assert "bundle.drill" not in {name for name, *_ in in_browser(judge, told["held"])}
    bundle = json.loads(text)
    unmarked = {name: each for name, each in bundle.items() if name != "drill"}
    marked = {**json.loads(told["held"]), "drill": True}
    for other in (unmarked, marked, {**bundle, "drill": None}):
        theirs, ours = by_command(json.dumps(other)), in_browser(judge, json.dumps(other))
        assert outcome(ours) == outcome(theirs)
        [wrong] = [wrong for name, _, wrong in ours if name == "bundle.drill"]
        assert wrong.endswith("orders say otherwise")
    for strange in (False, "yes"):
        assert [name for name, *_ in in_browser(judge, json.dumps({**bundle, "drill": strange}))] == ["bundle.form"]


@pytest.mark.parametrize(
    ("spelling", "is_one"),
    [
        *((f"2026-12-05{between}01:53:14Z", between in "Tt ") for between in ("T", "t", " ", "X", "_", "5")),
        *((f"2026-12-05T01:53:14{end}", is_one) for end, is_one in (("z", True), ("+07:00", True), ("", False))),
        *((f"2026-12-05T01:53:14{end}", False) for end in ("+7", "+0700", "+24:00", "-07:60", "+07:00:01", ".Z", "ZZ")),
        *((f"2026-12-05T01:53:14.{part}Z", len(part) < 10) for part in ("5", "123456", "123456789", "1234567890")),
        *((f"{day}T00:00:00Z", False) for day in ("2026-02-30", "20261205", "2026-W49-6", "2026-12", "+2026-12-05")),
        *((f"{year}-12-05T01:53:14Z", 1900 <= year < 3000) for year in (1026, 1899, 1900, 2999, 3000, 9026)),
        *(("1900-01-01T00:00:00+01:00", False), ("2999-12-31T23:59:59-01:00", False)),
        *((f"2026-12-05T{time}Z", False) for time in ("24:00:00", "23:59:60", "01:53", "015314", "٠1:53:14")),
    ],
)
def test_an_instant_is_one_to_both_or_to_neither(judge: Page, spelling: str, is_one: bool) -> None:
    by_the_command = evidence_checks.instant(spelling)
    seen = judge.evaluate("(text) => String(window.hoatocEvidence.instant(text))", spelling)
    assert (by_the_command is not None) is is_one
    assert seen == (str((by_the_command - EPOCH) // timedelta(microseconds=1)) if by_the_command else "null")


def changed(text: str, draw: random.Random) -> str:
    """The file with one character of it changed to another that may stand there."""
    place = draw.choice([at for at, each in enumerate(text) if not each.isspace()])
    old = text[place]
    pool = "0123456789" if old.isdigit() else "abcdefghijklmnopqrstuvwxyz" if old.islower() else 'ABCXYZ-_.,:"{}[]'
    new = draw.choice([each for each in pool if each != old])
    return f"{text[:place]}{new}{text[place + 1 :]}"


def test_one_changed_character_is_found_by_the_very_checks_that_the_command_names(
    told: dict[str, str], judge: Page
) -> None:
    draw = random.Random(SEED)
    texts, failed = list(told.values()), set()
    for number in range(MUTATIONS):
        text = changed(texts[number % len(texts)], draw)
        theirs, ours = by_command(text), in_browser(judge, text)
        if "bundle.form" in {name for name, _, wrong in theirs if wrong}:
            assert [each[0] for each in ours] == ["bundle.form"], (number, ours, theirs)
            continue
        assert outcome(ours) == outcome(theirs), (number, set(ours) ^ set(theirs))
        assert any(wrong for *_, wrong in ours), number
        failed |= {name for name, _, wrong in ours if wrong}
    assert len(failed) > 10, failed
