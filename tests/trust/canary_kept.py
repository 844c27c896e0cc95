"""Lets a hub full of canaries be kept: an exported proof, a backup, archives of its facts, each to be listened to."""

import dataclasses
import gzip
from datetime import timedelta
from pathlib import Path

import sealed_to
import sqlalchemy as sa
import steps
from apis import Api
from builders import keep_master, table
from canary_cast import Bird
from canary_flight import contact, money, preserve, takedown
from postgres import OWNER
from rigs import FastForward
from world import World

from service import db
from service.actions import changes, export_evidence
from service.backup import making, stream
from service.engine import archiving, housekeeping, retaining
from service.models import ActionRequest, Dispatch, Task

MINH = changes.local_administrator("minh")


async def export(api: Api, request: str, named: str) -> None:
    """Export the proof of a request, in which its person is named; what else tells of it is listened to elsewhere."""
    assert named in await export_evidence.export(api.hub, MINH, request)


async def back_up(api: Api, folder: Path) -> dict[str, bytes]:
    """Make a backup of an embedded hub; return its files, and what its two recipients get when they open it."""
    keep_master(api.hub.settings.data_dir)
    made = await making.make(api.hub.settings, folder, MINH, sealed_to.certificates())
    key = sealed_to.opener().unseal((folder / making.KEY).read_bytes())
    with stream.Opening(folder / making.SEALED, key, made.bound) as opening:
        opened = b"".join(iter(lambda: opening.read(stream.CHUNK), b""))
    assert opened.startswith(b"SQLite format")
    return {f"backup: {name}": raw for name, raw in files_in(folder).items()} | {"backup, opened": opened}


async def archive(api: Api, fast_forward: FastForward, folder: Path) -> dict[str, bytes]:
    """Let two years pass, erase what is due, and write the old facts to archives; return these."""
    world, hub = api.world, api.hub
    if hub.database.dialect == "postgresql":
        url = sa.make_url(hub.settings.url).set(username=OWNER).render_as_string(hide_password=False)
        hub = dataclasses.replace(hub, settings=hub.settings.model_copy(update={"migration_url": url}))
    await fast_forward(days=800)
    await housekeeping.make_months(hub)
    await _all_is_over(world)
    while (await retaining.retain(hub)).erased:
        pass
    made = await archiving.archive(hub, folder, MINH)
    assert made and all(each.entries for each in made)
    files = files_in(folder)
    found = {"archives": b"".join(files.values())}
    return found | {"archived facts": b"".join(gzip.decompress(files[name]) for name in files if name.endswith(".gz"))}


async def whole_matter(world: World, bird: Bird) -> str:
    """File what may be ordered about one bird, and let it be disclosed; return a reference, which is no secret."""
    account = {"kind": "account", "value": bird.account, "institution": "970436", "holder_name": bird.holder}
    data = {"asked": ["holder_name", "holder_document"], "contact": contact(bird)}
    for body in (*money(bird), takedown(bird), preserve(bird), steps.disclose(account, **data)):
        filed = await world.submit(body)
        if filed.approvals_needed > 1:
            await world.approve(filed.id, "second" if body["officer_id"] == "approver" else "approver")
    await world.answer(await steps.traced(world, target=account), outcome="executed", traced=steps.moved(bird.wallet))
    [order] = await world.orders(filed.id)
    paper = {"kind": "national_id", "number": bird.document}
    await world.answer(order, outcome="executed", disclosed={"holder_name": bird.holder, "holder_document": paper})
    return filed.reference


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder by their names."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def _all_is_over(world: World) -> None:
    async with world.hub.database.read(db.HUB) as conn:
        at = await db.now(conn) - timedelta(days=790)

    async def unit(conn: db.AsyncConnection) -> None:
        await conn.execute(sa.update(table(ActionRequest)).values(state="closed", closed_at=at))
        await conn.execute(sa.update(table(Dispatch)).values(state="delivered", settled_at=at))
        await conn.execute(sa.update(table(Task)).where(table(Task).c.resolved_at.is_(None)).values(resolved_at=at))
        for statement in ("DELETE FROM dispatch_queue", "UPDATE orders SET state = 'withdrawn'"):
            await conn.execute(sa.text(statement))

    await world.hub.database.write(unit, db.HUB)
