"""The page about this hub: version, nodes and their clocks, whose work it is built on, and how it can be used."""

import functools
import platform
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from service import __version__, clock, db, migrations
from service.console import doors, rendering
from service.queries import nodes
from service.supply import bom, lock, parts
from service.web.doors import HubDep

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

PATH = "/about"


@dataclass(frozen=True, slots=True)
class Licensed:
    """A part of this build and the licence that it came under; none where its package tells none."""

    name: str
    version: str
    licence: str | None


@router.get(PATH)
async def show(request: Request, hub: HubDep, seat: doors.SeatDep) -> Response:
    """Show what runs here, to whoever is signed in; ``offset`` is this machine's clock minus the database's."""
    async with hub.database.read(seat.principal.reach) as conn:
        alive = await nodes.seen(conn, seat.now)
        # Between two looks at the own clock: half of the trip belongs to neither.
        before = clock.utc_now()
        theirs = await db.now(conn)
        offset = before + (clock.utc_now() - before) / 2 - theirs
    return rendering.page(
        request,
        "about.html",
        now=seat.now,
        version=__version__,
        node=hub.settings.node,
        database=hub.database.dialect,
        schema=migrations.head(),
        python=platform.python_version(),
        offset=round(offset.total_seconds(), 1),
        nodes=alive,
        licensed=licensed(),
    )


@functools.cache
def licensed() -> tuple[Licensed, ...]:
    """Return every part that others made; without its lock beside the code, those of the pages alone."""
    pages = [Licensed(entry["name"], entry["version"], entry["licence"]) for entry in parts.vendored()]
    try:
        pins = lock.pins()
    except OSError:
        pins = ()
    return (*pages, *(Licensed(pin.name, pin.version, bom.licence_of(pin)) for pin in pins))
