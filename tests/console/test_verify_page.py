"""The page that verifies a file of evidence: in the browser for anybody, at the hub for who is signed in."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import steps
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from console_desk import Desk
from console_site import Open
from playwright.sync_api import BrowserContext, Page, expect

from service import i18n
from service.console.evidence import words_of
from service.engine import evidence as bundles
from service.security import evidence

AXE = Axe()
BOOK = Path(__file__).parents[2] / "service" / "handbook"


@pytest.fixture(scope="module")
def text(desk: Desk) -> str:
    order = desk.run(steps.held(desk.world))
    return desk.run(bundles.export(desk.hub, str(order["request_id"])))


@pytest.fixture
def files(text: str, tmp_path: Path) -> dict[str, Path]:
    """The file, the same with another amount, a list of its keys and one that lacks some."""
    keys = [{**key["jwk"], "kid": key["kid"], "owner_id": key["owner_id"]} for key in json.loads(text)["keys"]]
    contents = {
        "good": text,
        "forged": text.replace("150000000", "150000001"),
        "keys": json.dumps(keys),
        "fewer": json.dumps({"keys": keys[1:]}),
        "none": "[1]",
        "strange": "\x00",
    }
    made = {name: tmp_path / f"{name}.json" for name in contents}
    for name, path in made.items():
        path.write_text(contents[name], "utf-8")
    return made


def choose(page: Page, file: Path, keys: Path | None = None) -> None:
    """Choose files and press the button, by the keyboard."""
    page.locator("#file").set_input_files(file)
    page.locator("#keys").set_input_files([keys] if keys else [])
    page.locator("#verifying button").focus()
    page.keyboard.press("Enter")


def outcomes(page: Page) -> dict[str, bool]:
    """Each check of the page, and whether it is called wrong."""
    lines = [
        (str(line.get_attribute("data-check")), "breached" in str(line.get_attribute("class")))
        for line in page.locator("#checks tr").all()
    ]
    return {name: (name, True) in lines for name, _ in lines}


def by_command(file: Path) -> dict[str, bool]:
    checks = evidence.verify(file.read_text("utf-8"))
    return {check.name: any(each.wrong for each in checks if each.name == check.name) for check in checks}


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
def test_anybody_verifies_a_file_in_the_browser_and_it_is_sent_nowhere(
    desk: Desk, context: BrowserContext, files: dict[str, Path], lang: str
) -> None:
    page = context.new_page()
    sent: list[str] = []
    page.goto(f"{desk.address}/audit/verify?lang={lang}")
    page.on("request", lambda request: sent.append(request.url))
    expect(page.locator("#stays")).to_be_visible()
    choose(page, files["good"])
    expect(page.locator("#verdict.good")).to_be_visible()
    assert outcomes(page) == by_command(files["good"])
    expect(page.locator("#own-keys")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "result"
    choose(page, files["good"], files["keys"])
    expect(page.locator("[data-check='keys.elsewhere']").first).to_be_visible()
    expect(page.locator("#own-keys")).to_be_hidden()
    choose(page, files["forged"])
    expect(page.locator("#verdict.bad")).to_be_visible()
    assert outcomes(page) == by_command(files["forged"])
    assert not [each for each in page.locator("#checks b.bad").all_inner_texts() if each.startswith("(")]
    found = AXE.run(page)
    assert found.violations_count == 0, found.generate_report()
    page.set_viewport_size({"width": 320, "height": 640})
    expect(page.locator("html")).to_have_js_property("scrollWidth", 320)
    choose(page, files["good"], files["fewer"])
    expect(page.locator("#checks .breached[data-check='keys.elsewhere']")).to_have_count(1)
    for file, keys in (("strange", None), ("good", "none")):
        choose(page, files[file], files[keys] if keys else None)
        expect(page.locator("#verdict.bad")).to_be_visible()
    assert [address for address in sent if "/static/" not in address] == []


def test_while_a_file_is_checked_nothing_is_said_of_the_one_before(
    desk: Desk, context: BrowserContext, files: dict[str, Path]
) -> None:
    page = context.new_page()
    page.goto(f"{desk.address}/audit/verify?lang=en")
    choose(page, files["good"])
    expect(page.locator("#verdict.good")).to_be_visible()
    page.evaluate("() => { hoatocEvidence.verify = () => new Promise(() => {}); }")
    choose(page, files["forged"])
    expect(page.locator("#verdict")).to_have_text("Being checked…")
    expect(page.locator("#verdict.good")).to_have_count(0)
    expect(page.locator("#checks tr")).to_have_count(0)


def test_without_scripts_the_hub_verifies_for_who_is_signed_in(
    desk: Desk, at_desk: Open, files: dict[str, Path]
) -> None:
    page = at_desk(java_script_enabled=False).page
    page.goto(f"{desk.address}/audit/verify?lang=en")
    expect(page.locator("#leaves")).to_contain_text("sent to this hub")
    expect(page.locator("#stays")).to_be_hidden()
    for name in ("good", "forged"):
        page.locator("#file").set_input_files(files[name])
        with page.expect_navigation():
            page.locator("#verifying button").click()
        assert outcomes(page) == by_command(files[name])
    page.locator("#file").set_input_files(files["good"])
    page.locator("#keys").set_input_files(files["fewer"])
    with page.expect_navigation():
        page.locator("#verifying button").click()
    assert [name for name, wrong in outcomes(page).items() if wrong] == ["keys.elsewhere"]
    page.locator("#file").set_input_files(files["good"])
    page.locator("#keys").set_input_files(files["none"])
    with page.expect_navigation():
        page.locator("#verifying button").click()
    expect(page.get_by_role("alert")).to_contain_text("no list of public keys")


def test_a_stranger_without_scripts_is_told_what_to_do_and_sends_nothing(
    desk: Desk, context: BrowserContext, browser: Any
) -> None:
    bare = browser.new_context(java_script_enabled=False)
    page = bare.new_page()
    page.goto(f"{desk.address}/audit/verify?lang=en")
    expect(page.locator("#leaves")).to_contain_text("Sign in")
    expect(page.locator("#verifying")).to_be_hidden()
    bare.close()
    answer = context.request.post(f"{desk.address}/audit/verify", multipart={"file": "{}"})
    assert answer.status == 401


def test_each_check_has_its_sentence_and_stands_in_the_handbook() -> None:
    named = {found[1] for found in re.finditer(r'"((?:bundle|audit|request|order|answer|keys)s?\.[a-z_]+)"', source())}
    page = (BOOK / "en" / "evidence.md").read_text("utf-8")
    for lang in i18n.LANGUAGES:
        known = {key.removeprefix("check.") for key in words_of(lang) if key.startswith("check.")}
        assert named - {"request.submitted", "request.approved", "request.reviewed"} <= known | facts()
        assert {name for name in known if f"`{name}`" not in page} == set()


def source() -> str:
    folder = Path(evidence.__file__).parent
    return "".join((folder / f"{name}.py").read_text("utf-8") for name in ("evidence", "evidence_orders"))


def facts() -> set[str]:
    return {str(key).removeprefix("facts.") for key in i18n.texts("en") if str(key).startswith("facts.")}
