"""A hub with a story behind real HTTP on loopback, and pages that are watched while they load."""

import asyncio
import re
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import console_story
import console_teller
import sqlalchemy as sa
import uvicorn
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from builders import widened
from console_story import Told
from fastapi import FastAPI
from playwright.sync_api import Page
from sqlalchemy.ext.asyncio import AsyncConnection

from service import app, clock, db
from service.actions import changes, make_sign_in_link
from service.engine.hub import OPERATOR, Hub
from service.models import ConsoleSession
from service.schemas.policies import NewSignInLink
from service.settings import Settings
from workflows.terms import Role

T = TypeVar("T")
# The shell is the same Chromium without windows of its own, which cost more than the pages in them.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")


class Site:
    """A running hub: its address, its story, and a way to run something in its loop."""

    host = "127.0.0.1"
    # Where it listens, and whether it is a drill's hub.
    bound = "127.0.0.1"
    drill = False
    # By whose clocks, and whether its worker delivers and fires.
    policy = "vn-default"
    works = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._ready: Future[None] = Future()
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self.hub: Hub
        self.app: FastAPI
        self.told: Told
        self.address = ""

    def start(self) -> None:
        """Serve until ``stop``; an error of the start-up is raised here."""
        self._thread.start()
        self._ready.result(timeout=60)

    def stop(self) -> None:
        """Stop serving."""
        if self._server:
            self._server.should_exit = True
        self._thread.join(timeout=20)

    def run(self, work: Awaitable[T]) -> T:
        """Run something in the hub's loop and return its result."""

        async def whole() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(whole(), self._loop).result(timeout=60)

    def link(self, role: Role = Role.COORDINATOR, tenant: str = OPERATOR, person: str = "tran-lan-thu") -> str:
        """Make a sign-in link and return its address."""
        body = NewSignInLink(participant_id=tenant, person=person, role=role)
        made = self.run(make_sign_in_link.make(self.hub, changes.local_administrator("root"), body))
        return self.address + made.path

    def page_of(self, name: str) -> str:
        """Return the address of a seeded request's page."""
        return f"{self.address}/requests/{self.told.ids[name]}"

    def age_session(self, digest: str, *, minutes: int) -> None:
        """Move the instant at which a session was last seen into the past."""
        sessions = console_teller.table(ConsoleSession)
        here = sessions.c.digest == bytes.fromhex(digest)

        async def unit(conn: AsyncConnection) -> None:
            seen_at = (await conn.execute(sa.select(sessions.c.seen_at).where(here))).scalar_one()
            moved = min(seen_at - timedelta(minutes=minutes), await db.now(conn))
            await conn.execute(sa.update(sessions).where(here).values(seen_at=moved))

        self.run(self.hub.database.write(unit, db.HUB))

    def settings(self, port: int) -> Settings:
        """Return the hub's settings."""
        own: dict[str, Any] = {"drill": self.drill, "policy": self.policy}
        return Settings(data_dir=self._folder, port=port, issuer=self.address, node="node-a", **own)

    async def fill(self) -> None:
        """Write what the pages show."""
        self.told = await console_story.seed(self.hub, clock.utc_now())

    async def _serve(self) -> None:
        try:
            sock = uvicorn.Config("", host=self.bound, port=0).bind_socket()
            port = sock.getsockname()[1]
            self.address = f"http://{self.host}:{port}"
            self.hub = widened(await app.open_hub(self.settings(port), migrate=True))
            await self.fill()
            worker = app.make_worker(self.hub) if self.works else None
            self.app = app.create_app(self.hub, worker)
            config = uvicorn.Config(self.app, log_level="warning", access_log=False)
            self._server = uvicorn.Server(config)
            serving = asyncio.create_task(self._server.serve(sockets=[sock]))
            # The socket listens already: whoever connects now waits until the server takes it.
            self._ready.set_result(None)
        except BaseException as error:
            self._ready.set_exception(error)
            raise
        await serving
        await app.close_hub(self.hub)


class DrillSite(Site):
    """The same story at a drill's hub, at the second address of this machine."""

    host = bound = "127.0.0.2"
    drill = True


class Watched:
    """A page whose console errors and requests to elsewhere are kept."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self.foreign: list[str] = []
        page.on("console", lambda line: self.errors.append(line.text) if line.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._note(request.url, address))

    def _note(self, url: str, address: str) -> None:
        # The browser's own viewer of PDF files loads itself.
        own = ("data:", "about:", "chrome:", "chrome-extension:")
        if not url.startswith(address + "/") and not url.startswith(own):
            self.foreign.append(url)


Open = Callable[..., Watched]


def look_at(page: Page, name: str, without: str | None = None) -> None:
    """Look at an open page: all its words are there, axe finds nothing, and it fits a narrow screen if that is one.

    ``name`` is how a failure calls it; ``without`` is a part, by its selector, that others wrote.
    """
    words = page.locator("body").inner_text()
    assert not _LEFT_OUT.search(words), words
    found = Axe().run(page, context={"exclude": [[without]]} if without else None)
    assert found.violations_count == 0, f"{name}: {found.generate_report()}"
    assert page.evaluate("document.documentElement.scrollWidth <= Math.max(320, window.innerWidth)"), name


# By day, by night, and on the narrowest screen that WCAG 2.2 asks for (1.4.10).
LOOKS: tuple[dict[str, Any], ...] = ({}, {"color_scheme": "dark"}, {"viewport": {"width": 320, "height": 640}})
_LEFT_OUT = re.compile(r"\bNone\b|\[\[|undefined|console\.\w|terms\.\w")


def look_over(enter: Callable[..., Watched], address: str, paths: Iterable[str], lang: str, status: int = 200) -> None:
    """Open each page by day, by night and narrow: all its words are there, axe finds nothing, nothing fails or scrolls.

    ``enter`` signs somebody in, in a browser with the options that it is given; ``status`` is what each page answers.
    """
    for options in LOOKS:
        watched = enter(**options)
        for path in paths:
            answer = watched.page.goto(f"{address}{path}{'&' if '?' in path else '?'}lang={lang}")
            assert answer is not None and answer.status == status, path
            look_at(watched.page, path)
        # The browser itself notes each answer that is no success.
        errors = [each for each in watched.errors if status == 200 or f"a status of {status} " not in each]
        assert (errors, watched.foreign) == ([], []), f"{errors} {watched.foreign}"
