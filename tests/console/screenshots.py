"""Takes the pictures of README and handbook, and each page wide, narrow and by night in both languages to look at."""

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("console", "hub")]

import appeal_steps  # noqa: E402 - the tests' folders are on the path from here on
import filing_steps  # noqa: E402
import steps  # noqa: E402
import world as worlds  # noqa: E402
from console_desk import Desk  # noqa: E402
from console_site import CHROMIUM, Site  # noqa: E402
from console_teller import AGENCY  # noqa: E402
from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402
from test_callback_page import held as held_for_callback  # noqa: E402
from test_desk_pages import given_up  # noqa: E402

from service import i18n  # noqa: E402
from service.engine.hub import OPERATOR  # noqa: E402
from workflows.terms import Role  # noqa: E402

PICTURES = ROOT / "service" / "handbook" / "pictures"
SIZES = {"wide": (1360, 850), "narrow": (320, 640), "night": (1360, 850)}


@dataclass(frozen=True)
class Shot:
    """A page, who looks at it, and in which languages it is shown in README or handbook, wide.

    ``works``: it is of the hub at which officers file and sign; the others are of the one that tells the story.
    ``presses`` is a button that leads from the page to the one that is meant, once each of ``fills`` has its value.
    """

    name: str
    path: str
    role: Role = Role.COORDINATOR
    tenant: str = OPERATOR
    person: str = "tran-lan-thu"
    shown: tuple[str, ...] = ()
    works: bool = False
    presses: str = ""
    fills: tuple[tuple[str, str], ...] = ()


_MAKER = (Role.MAKER, worlds.AGENCY, "maker")

SHOTS = (
    Shot("board", "/board", shown=("vi", "en")),
    Shot("wall", "/board?wall=1"),
    Shot("requests", "/"),
    Shot("request", "/requests/{7k3mq}", shown=("vi", "en")),
    Shot("case", "/requests/{7k3mq}/case"),
    Shot("tasks", "/tasks"),
    Shot("handover", "/handover"),
    Shot("escalations", "/escalations"),
    Shot("delivery", "/delivery"),
    Shot("participants", "/participants?status=active"),
    Shot("participant", "/participants/vietcombank"),
    Shot("mine", "/mine", Role.MAKER, AGENCY, "cb-101", shown=("vi", "en")),
    Shot("filing", "/requests/new", Role.MAKER, AGENCY, "cb-101"),
    Shot("ladders", "/requests/{7k3mq}/ladders"),
    Shot("custody", "/requests/{7k3mq}/custody"),
    Shot("audit", "/audit", Role.AUDITOR, OPERATOR, "vu-hai-an"),
    Shot("audit-chain", "/audit/requests/{7k3mq}", Role.AUDITOR, OPERATOR, "vu-hai-an"),
    Shot("verify", "/audit/verify"),
    Shot("about", "/about"),
    Shot("ways", "/sign-in"),
    Shot("sessions", "/sessions"),
    Shot("displays", "/displays"),
    Shot("wall-code", "/wall"),
    Shot("docs", "/docs"),
    Shot("officer-key", "/officer/key", Role.MAKER, AGENCY, "cb-101"),
    Shot("filing-question", "/requests/new/amount", *_MAKER, works=True),
    Shot("filing-check", "/requests/new/check", *_MAKER, works=True),
    Shot("filing-sign", "/requests/new/sign", *_MAKER, works=True),
    Shot("receipt", "/requests/{awaiting}/receipt", *_MAKER, works=True),
    Shot("approve", "/requests/{awaiting}/approve", Role.APPROVER, worlds.AGENCY, "approver", works=True),
    Shot("answers", "/requests/{traced}/answers", *_MAKER, works=True),
    Shot("call-back", "/requests/{called}", works=True),
    Shot("attempts", "/orders/{refused}", works=True),
    Shot(
        "replay",
        "/delivery",
        works=True,
        presses="form[action='/delivery/previews'] button",
        fills=(("#replay-since", "2026-01-01T08:00"),),
    ),
    Shot("appeal", "/appeals/{appeal}", works=True),
    Shot("refused", "/tasks", Role.SUPERVISOR, "sbv", "giam-sat", works=True),
)


def main() -> None:
    """Seed a hub with the tests' story, take every picture, and keep those that are shown in the handbook."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where each picture goes, to be looked at")
    parser.add_argument("--only", nargs="*", default=(), help="the names of the pictures to take; all without it")
    chosen = parser.parse_args()
    folder: Path = chosen.folder
    folder.mkdir(parents=True, exist_ok=True)
    if CHROMIUM is None:
        sys.exit("chromium is not installed: make test installs it")
    shots = [shot for shot in SHOTS if not chosen.only or shot.name in chosen.only]
    for kind in (Site, Desk):
        of_kind = [shot for shot in shots if shot.works == (kind is Desk)]
        if not of_kind:
            continue
        with tempfile.TemporaryDirectory() as data:
            site = kind(Path(data))
            site.start()
            places = _scene(site) if isinstance(site, Desk) else {name: str(at) for name, at in site.told.ids.items()}
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
                for shot in of_kind:
                    for name, lang, page in _looks(site, browser, shot, places):
                        page.screenshot(path=folder / f"{shot.name}-{lang}-{name}.png", full_page=True)
                        if name == "wide" and lang in shot.shown:
                            page.screenshot(path=PICTURES / f"console-{shot.name}-{lang}.png")
                browser.close()
            site.stop()
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}, those that are shown in {PICTURES}")


def _scene(desk: Desk) -> dict[str, str]:
    """Let happen what the pages of officers and of the desk show; return the ids that their addresses name."""
    filing_steps.laid(desk, "31")
    awaiting = desk.file(worlds.freeze())
    traced = desk.run(steps.traced(desk.world))
    desk.run(desk.world.answer(traced, outcome="executed", traced=steps.moved()))
    appeal = desk.run(appeal_steps.file(desk.world, desk.run(steps.held(desk.world))))
    _, refused = given_up(desk)
    return {
        "awaiting": str(awaiting),
        "traced": str(traced["request_id"]),
        "appeal": str(appeal.reference),
        "refused": str(refused["id"]),
        "called": str(held_for_callback(desk)),
    }


def _looks(site: Site, browser: Browser, shot: Shot, places: Mapping[str, str]) -> Iterator[tuple[str, str, Page]]:
    path = shot.path
    for known, place in places.items():
        path = path.replace(f"{{{known}}}", place)
    for name, (width, height) in SIZES.items():
        scheme = "dark" if name == "night" else "light"
        context = browser.new_context(
            locale="vi-VN",
            timezone_id="Asia/Ho_Chi_Minh",
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type] - one of two words
        )
        page = context.new_page()
        page.goto(site.link(shot.role, shot.tenant, shot.person))
        with page.expect_navigation():
            page.get_by_role("button", name=re.compile("Đăng nhập")).click()
        for lang in i18n.LANGUAGES:
            page.goto(f"{site.address}{path}{'&' if '?' in path else '?'}lang={lang}")
            for field, value in shot.fills:
                page.locator(field).fill(value)
            if shot.presses:
                with page.expect_navigation():
                    page.locator(shot.presses).click()
            yield name, lang, page
        context.close()


if __name__ == "__main__":
    main()
