"""The door for people: server-rendered pages in Vietnamese and English, under a policy that loads nothing foreign."""

from fastapi import FastAPI

from service.console import appeals, approving, assets, callbacks, docs, officer_key, pages, session

__all__ = ["mount"]


def mount(app: FastAPI) -> None:
    """Add the pages, the sign-in, the offline API docs and the static files to the application."""
    for door in (session, pages, approving, officer_key, appeals, callbacks, docs):
        app.include_router(door.router)
    app.mount("/static", assets.StaticAssets(directory=assets.FOLDER), name="static")
