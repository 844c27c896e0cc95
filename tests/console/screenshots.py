"""Takes the pictures of README and handbook, and each page wide, narrow and by night in both languages to look at."""

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("console", "hub")]

from console_site import Site  # noqa: E402 - the tests' folders are on the path from here on
from console_teller import AGENCY  # noqa: E402
from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402

from service import i18n  # noqa: E402
from service.engine.hub import OPERATOR  # noqa: E402
from workflows.terms import Role  # noqa: E402

PICTURES = ROOT / "service" / "handbook" / "pictures"
SIZES = {"wide": (1360, 850), "narrow": (320, 640), "night": (1360, 850)}


@dataclass(frozen=True)
class Shot:
    """A page, who looks at it, and in which languages it is shown in README or handbook, wide."""

    name: str
    path: str
    role: Role = Role.COORDINATOR
    tenant: str = OPERATOR
    person: str = "tran-lan-thu"
    shown: tuple[str, ...] = ()


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
)


def main() -> None:
    """Seed a hub with the tests' story, take every picture, and keep those that are shown in the handbook."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where each picture goes, to be looked at")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is not installed: make test installs it")
    with tempfile.TemporaryDirectory() as data:
        site = Site(Path(data))
        site.start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            for shot in SHOTS:
                for name, lang, page in _looks(site, browser, shot):
                    page.screenshot(path=folder / f"{shot.name}-{lang}-{name}.png", full_page=True)
                    if name == "wide" and lang in shot.shown:
                        page.screenshot(path=PICTURES / f"console-{shot.name}-{lang}.png")
            browser.close()
        site.stop()
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}, those that are shown in {PICTURES}")


def _looks(site: Site, browser: Browser, shot: Shot) -> Iterator[tuple[str, str, Page]]:
    path = shot.path
    for known, request_id in site.told.ids.items():
        path = path.replace(f"{{{known}}}", str(request_id))
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
        page.get_by_role("button", name=re.compile("Đăng nhập")).click()
        page.wait_for_url(re.compile("/(board)?$"))
        for lang in i18n.LANGUAGES:
            page.goto(f"{site.address}{path}{'&' if '?' in path else '?'}lang={lang}")
            yield name, lang, page
        context.close()


if __name__ == "__main__":
    main()
