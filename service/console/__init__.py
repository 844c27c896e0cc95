"""The door for people: server-rendered pages in Vietnamese and English, under a policy that loads nothing foreign."""

from fastapi import FastAPI, Request
from starlette.types import Receive, Scope, Send

from service.console import (
    about,
    answers,
    appeals,
    approving,
    assets,
    attempts,
    audit,
    by_passkey,
    by_provider,
    callbacks,
    cases,
    custody,
    delivery,
    docs,
    doors,
    escalations,
    evidence,
    ladders,
    letters,
    live,
    maintenance,
    mine,
    notes,
    officer_key,
    own_sessions,
    pages,
    participants,
    providers,
    session,
    tasks,
    walls,
)
from service.console.filing import finish, paper, receipt, start
from service.console.filing import pages as questions
from service.console.watching import Watch
from service.engine.hub import Hub

__all__ = ["mount"]


def mount(app: FastAPI) -> None:
    """Add the pages, the sign-in, the offline API docs and the static files to the application."""
    # Before the page of a request, whose id would else be taken to be "new".
    for door in (start, questions, paper, finish, receipt):
        app.include_router(door.router)
    # Before the link, which would take their names for a token.
    for door in (by_provider, by_passkey):
        app.include_router(door.router)
    for door in (
        session,
        pages,
        live,
        tasks,
        escalations,
        delivery,
        attempts,
        letters,
        participants,
        maintenance,
        notes,
        mine,
        cases,
        answers,
        approving,
        officer_key,
        appeals,
        callbacks,
        docs,
        about,
        own_sessions,
        walls,
        evidence,
        audit,
        ladders,
        custody,
    ):
        app.include_router(door.router)
    app.state.watch = Watch()
    hub: Hub = app.state.hub
    app.state.provider = providers.of(hub.settings)
    app.state.page_of = doors.page_of
    app.mount("/static", assets.StaticAssets(directory=assets.FOLDER), name="static")
    _answer_people(app)


def _answer_people(app: FastAPI) -> None:
    """Show who follows a dead link with a browser a page; whoever asks for no page gets the problem as before."""
    otherwise = app.router.default

    async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in {"GET", "HEAD"}:
            request = Request(scope)
            if "text/html" in request.headers.get("accept", ""):
                await doors.refuse(request, 404, "not_found")(scope, receive, send)
                return
        await otherwise(scope, receive, send)

    app.router.default = nowhere
