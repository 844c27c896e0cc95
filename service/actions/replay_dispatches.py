"""A coordinator has dispatches sent once more: what was given up, or what a participant has lost since."""

from sqlalchemy.ext.asyncio import AsyncConnection

from service import db, errors
from service.actions import standing
from service.engine import replaying, selecting, writer
from service.engine.hub import Hub
from service.schemas.replays import ReplayAnswer, ReplayPreview, ReplaySelection
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows import replay


async def preview(hub: Hub, principal: Principal, selection: ReplaySelection) -> ReplayPreview:
    """Count what ``run`` would send, and change nothing. Raises as ``run``."""
    principal.require(Scope.TASKS_RESOLVE)
    async with hub.database.read(principal.reach) as conn:
        await _check(conn, selection)
        return await selecting.preview(conn, selection)


async def run(hub: Hub, principal: Principal, selection: ReplaySelection) -> ReplayAnswer:
    """Put the oldest of what is selected back into the queue, and tell whether there is more.

    Asked again, it goes on with the rest: what was sent once more does not fit the selection any longer, so that
    nothing is sent twice by it, whoever asks and how often. Raises ``ScopeMissing``, ``InvalidInput`` for an end in
    the future, ``Unauthenticated`` when suspended meanwhile.
    """
    principal.require(Scope.TASKS_RESOLVE)

    async def unit(conn: AsyncConnection) -> ReplayAnswer:
        await _check(conn, selection)
        chosen, more = await _oldest(conn, selection)
        log = await writer.lock(conn, {replaying.chain(row) for row in chosen})
        await standing.check(conn, principal)
        # Read again under the locks: one may have been lifted, answered or sent once more in between.
        rows = await selecting.again(conn, selection, [row["id"] for row in chosen])
        await replaying.put_back(conn, hub, log, principal.actor(), rows)
        await log.flush()
        return ReplayAnswer(count=len(rows), more=more)

    return await standing.run(hub, principal, unit)


async def _check(conn: AsyncConnection, selection: ReplaySelection) -> None:
    if selection.until > await db.now(conn):
        raise errors.InvalidInput.of("/until", "replay.future")


async def _oldest(conn: AsyncConnection, selection: ReplaySelection) -> tuple[list[selecting.Row], bool]:
    chosen: list[selecting.Row] = []
    async for rows in selecting.pages(conn, selection):
        chosen += filter(selecting.may_go, rows)
        if len(chosen) > replay.AT_ONCE:
            return chosen[: replay.AT_ONCE], True
    return chosen, False
