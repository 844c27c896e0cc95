"""Facts lie by month; old months go to archives that verify, and nothing goes that anybody still needs."""

import dataclasses
import gzip
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import ORDER_KEY, Everywhere, table, unbound
from postgres import OWNER
from rigs import FastForward
from sqlalchemy.exc import DBAPIError
from world import World

from service import audit, db
from service.actions import changes
from service.backup import making
from service.engine import archiving, housekeeping, order_keys, retaining
from service.engine.hub import Hub
from service.models import ActionRequest, AuditEntry, AuditHead, Dispatch, FactArchive, FactRun
from service.security import archived, keyring
from service.security.archived import ArchiveUnfit
from service.selfcheck import database as looks
from workflows.terms import Actor, ActorKind, Fact

MINH = changes.local_administrator("minh")
ENTRIES = table(AuditEntry)
SOMEBODY = Actor(ActorKind.HUB, "node-a", "hoatoc-hub")
POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network whose hub knows the login that owns the tables."""
    if hub.database.dialect == "postgresql":
        url = sa.make_url(hub.settings.url).set(username=OWNER).render_as_string(hide_password=False)
        hub = dataclasses.replace(hub, settings=hub.settings.model_copy(update={"migration_url": url}))
    made = World(hub)
    await made.settle_in()
    await hub.database.write(lambda conn: order_keys.register(conn, hub), db.HUB)
    return made


async def grown_old(world: World, fast_forward: FastForward) -> UUID:
    """A freeze of more than two years ago, ended and erased since."""
    hold = await steps.held(world)
    await fast_forward(days=800)
    await housekeeping.make_months(world.hub)
    await erase(world, hold["request_id"])
    return UUID(str(hold["request_id"]))


async def erase(world: World, request_id: Any) -> None:
    requests, at = table(ActionRequest), await steps.now(world)

    async def unit(conn: Any) -> None:
        closed = {"state": "closed", "closed_at": at - timedelta(days=790)}
        await conn.execute(sa.update(requests).where(requests.c.id == request_id).values(**closed))
        of = table(Dispatch)
        settled = {"state": "delivered", "settled_at": at}
        await conn.execute(sa.update(of).where(of.c.request_id == request_id).values(**settled))
        await conn.execute(sa.text("DELETE FROM dispatch_queue"))
        await conn.execute(sa.text("UPDATE orders SET state = 'withdrawn'"))

    await world.hub.database.write(unit, db.HUB)
    assert (await retaining.retain(world.hub)).erased == 1


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("facts-*"))


async def rows_of(world: World, month: str) -> list[dict[str, Any]]:
    first, following = archiving.bounds(month)
    rows = [row for row in await world.rows(AuditEntry) if first <= row["at"] < following]
    return sorted(rows, key=lambda row: (row["chain"].encode(), row["sequence"]))


async def test_an_old_month_goes_to_a_file_that_verifies_and_the_log_still_does(
    world: World, fast_forward: FastForward, tmp_path: Path
) -> None:
    request_id = await grown_old(world, fast_forward)
    [month] = await archiving.months(world.hub)
    before = await rows_of(world, month.month)
    assert (month.entries, month.waits_for) == (len(before), 0) and month.size > 0
    [made] = await archiving.archive(world.hub, tmp_path, MINH)
    assert (made.month, made.entries) == (month.month, len(before))
    on_postgresql = world.hub.database.dialect == "postgresql"
    assert made.dropped is on_postgresql
    # What is left in the database: nothing of the month, or on SQLite all of it.
    assert await rows_of(world, month.month) == ([] if on_postgresql else before)
    verdict, told = await archiving.verify(world.hub)
    assert verdict.findings == ()
    assert verdict.away == ((audit.Away(month.month, len(before)),) if on_postgresql else ())
    assert told == ({month.month: "missing"} if on_postgresql else {})
    _, told = await archiving.verify(world.hub, tmp_path)
    assert told == ({month.month: None} if on_postgresql else {})
    # The file has each fact as its hash is over it, and nothing besides that the database had not.
    lines = [
        json.loads(line) for line in gzip.decompress(archived.file_of(tmp_path, month.month).read_bytes()).splitlines()
    ]
    assert [(line["chain"], line["sequence"], line["hash"]) for line in lines] == [
        (row["chain"], row["sequence"], row["hash"].hex()) for row in before
    ]
    manifest = archived.read(archived.manifest_of(tmp_path, month.month).read_text())
    archived.verify_seal(manifest, archived.keys_of([ORDER_KEY.public_jwk()]))
    archived.verify_file(tmp_path, manifest)
    [fact] = await world.rows(AuditEntry, code="facts.archived")
    assert json.loads(fact["data"])["month"] == month.month
    # It is archived once; chains go on where they were, and a backup of such a hub is one.
    assert await archiving.months(world.hub) == [] == await archiving.archive(world.hub, tmp_path, MINH)
    await record(world.hub, audit.request_chain(request_id), worlds.AGENCY)
    async with world.hub.database.read(db.HUB) as conn:
        assert (await making.proved(conn))[1] == len(await world.rows(AuditEntry))


async def record(hub: Hub, chain: str, tenant: str, deadline_id: int | None = None) -> None:
    async def unit(conn: Any) -> None:
        log = await audit.Log.open(conn, await db.now(conn), [chain])
        log.record(chain, Fact.TASK_OPENED, SOMEBODY, tenant, deadline_id=deadline_id)
        await log.flush()

    await hub.database.write(unit, db.HUB)


async def test_a_month_stays_for_one_request_that_was_not_erased(
    world: World, fast_forward: FastForward, tmp_path: Path
) -> None:
    second = await world.active(worlds.freeze(case_number="02/2026/CA"))
    await grown_old(world, fast_forward)
    [month] = await archiving.months(world.hub)
    assert (month.waits_for, month.may_go) == (1, False)
    before = await rows_of(world, month.month)
    assert await archiving.archive(world.hub, tmp_path, MINH) == []
    assert await rows_of(world, month.month) == before and files_in(tmp_path) == []
    await erase(world, second.id)
    assert [each.month for each in await archiving.archive(world.hub, tmp_path, MINH)] == [month.month]


async def test_a_month_that_is_not_old_enough_is_not_even_looked_at(world: World, fast_forward: FastForward) -> None:
    await steps.held(world)
    end = archiving.bounds(f"{await steps.now(world):%Y-%m}")[1]
    over = retaining.retention.RULES[retaining.RecordKind.FACT].keep.after(end)
    await fast_forward(seconds=(over - await steps.now(world)).total_seconds() - 60)
    assert await archiving.months(world.hub) == []
    await fast_forward(seconds=61)
    assert [each.waits_for for each in await archiving.months(world.hub)] == [1]


async def test_nothing_is_archived_of_a_log_that_does_not_hold(
    world: World, fast_forward: FastForward, tmp_path: Path
) -> None:
    await grown_old(world, fast_forward)
    async with unbound(world.hub) as past_everything:
        edited = sa.update(ENTRIES).where(ENTRIES.c.sequence == 1).values(actor_id="nobody")
        await past_everything.write(lambda conn: conn.execute(edited))
    with pytest.raises(ArchiveUnfit, match="does not hold: edited"):
        await archiving.archive(world.hub, tmp_path, MINH)
    assert files_in(tmp_path) == [] and await world.rows(FactArchive) == []


async def test_what_is_changed_in_an_archive_is_found_without_a_hub(
    world: World, fast_forward: FastForward, tmp_path: Path
) -> None:
    await grown_old(world, fast_forward)
    [made] = await archiving.archive(world.hub, tmp_path, MINH)
    path = archived.file_of(tmp_path, made.month)
    whole = path.read_bytes()
    manifest = archived.read(archived.manifest_of(tmp_path, made.month).read_text())
    lines = gzip.decompress(whole).splitlines(keepends=True)
    edited = lines[0].replace(b'"code":"', b'"code":"x', 1)
    for changed in ([edited, *lines[1:]], lines[1:], [*lines, lines[-1]], [lines[1], lines[0], *lines[2:]]):
        path.write_bytes(gzip.compress(b"".join(changed)))
        with pytest.raises(ArchiveUnfit, match="not the file"):
            archived.verify_file(tmp_path, manifest)
        # Whoever makes the digest fit has changed what was sealed; and the facts tell by themselves.
        with pytest.raises(ArchiveUnfit):
            archived.verify_file(tmp_path, {**manifest, "file_sha256": archived.files.sha256(path)})
    path.write_bytes(whole[:-20])
    with pytest.raises(ArchiveUnfit):
        archived.contents(path)
    keys = archived.own_key(manifest)
    for name, value in {"month": "2020-01", "entries": 1, "hub": "https://elsewhere", "archived_at": "x"}.items():
        with pytest.raises(ArchiveUnfit, match="not the one"):
            archived.verify_seal({**manifest, name: value}, keys)
    stranger = keyring.SigningKey.generate(not_before=ORDER_KEY.not_before, not_after=ORDER_KEY.not_after)
    with pytest.raises(ArchiveUnfit, match="not among"):
        archived.verify_seal(manifest, archived.keys_of([stranger.public_jwk()]))


@POSTGRESQL
async def test_who_makes_up_what_an_archive_held_is_found_without_it(
    world: World, fast_forward: FastForward, tmp_path: Path
) -> None:
    await grown_old(world, fast_forward)
    [made] = await archiving.archive(world.hub, tmp_path, MINH)
    name, runs, archives = f"archive:{made.month}", table(FactRun), table(FactArchive)
    [row] = await world.rows(FactArchive)
    lied = json.dumps({**json.loads(row["manifest"]), "hub": "https://elsewhere"})
    last = sa.select(sa.func.max(runs.c.last)).scalar_subquery()
    for statement in (
        sa.update(runs).where(runs.c.last == last).values(tenant="nobody"),
        sa.delete(runs).where(runs.c.last == last),
        sa.update(archives).values(entries=1),
        sa.update(archives).values(manifest=lied),
    ):
        assert name in await findings_after(world, statement), str(statement)
    # Who denies an archive altogether has facts that are missing.
    assert await findings_after(world, sa.delete(runs), sa.delete(archives)) != set()


async def findings_after(world: World, *statements: Any) -> set[str]:
    """The chains of what is found once somebody past every rule has done this, which is undone."""
    kept = {each: await world.rows(each) for each in (FactArchive, FactRun)}
    async with unbound(world.hub) as past_everything:
        for statement in statements:
            await past_everything.write(lambda conn, each=statement: conn.execute(each))
        verdict, _ = await archiving.verify(world.hub)
        for model in (FactRun, FactArchive):
            await past_everything.write(lambda conn, of=model: conn.execute(sa.delete(table(of))))
        for model in (FactArchive, FactRun):
            await past_everything.write(lambda conn, of=model: db.insert_rows(conn, table(of), kept[of]))
    return {finding.chain for finding in verdict.findings}


async def written_and_not_dropped(world: World, folder: Path) -> archiving.Month:
    """A month whose archive was written while somebody read the facts, so that it stayed."""
    async with world.hub.database.read(db.HUB) as conn:
        await conn.execute(sa.select(sa.func.count()).select_from(ENTRIES))
        with pytest.raises(ArchiveUnfit, match="try again"):
            await archiving.archive(world.hub, folder, MINH)
    [month] = await archiving.months(world.hub)
    return month


@POSTGRESQL
async def test_a_month_that_somebody_reads_is_dropped_by_the_next_call(
    world: World, fast_forward: FastForward, tmp_path: Path
) -> None:
    await grown_old(world, fast_forward)
    month = await written_and_not_dropped(world, tmp_path)
    assert len(await rows_of(world, month.month)) == month.entries
    [made] = await archiving.archive(world.hub, tmp_path, MINH)
    assert made.dropped and await rows_of(world, made.month) == []
    assert len(await world.rows(AuditEntry, code="facts.archived")) == 1
    assert (await archiving.verify(world.hub, tmp_path))[0].findings == ()


@POSTGRESQL
async def test_a_file_that_is_not_at_hand_keeps_its_month(
    world: World, fast_forward: FastForward, tmp_path: Path
) -> None:
    await grown_old(world, fast_forward)
    with pytest.raises(ArchiveUnfit, match="HOATOC_MIGRATION_URL"):
        alone = world.hub.settings.model_copy(update={"migration_url": None})
        await archiving.archive(dataclasses.replace(world.hub, settings=alone), tmp_path / "no", MINH)
    month = await written_and_not_dropped(world, tmp_path)
    archived.file_of(tmp_path, month.month).unlink()
    with pytest.raises(ArchiveUnfit, match="is not in"):
        await archiving.archive(world.hub, tmp_path, MINH)
    assert len(await rows_of(world, month.month)) == month.entries


@POSTGRESQL
async def test_a_month_that_has_more_than_its_archive_stays(
    world: World, fast_forward: FastForward, tmp_path: Path
) -> None:
    await grown_old(world, fast_forward)
    month = await written_and_not_dropped(world, tmp_path)
    at = archiving.bounds(month.month)[0]
    [row, *_] = await rows_of(world, month.month)
    more = {**row, "id": 10**9, "chain": "tenant:late", "sequence": 1, "at": at, "deadline_id": None}
    more["hash"] = audit.entry_hash(audit.GENESIS, audit.hashed({**more, "previous": audit.GENESIS}))

    async def unit(conn: Any) -> None:
        await db.insert_rows(conn, ENTRIES, [{**more, "previous": audit.GENESIS}])
        head = {"chain": "tenant:late", "tenant": row["tenant"], "sequence": 1, "hash": more["hash"]}
        await db.insert_rows(conn, table(AuditHead), [head])

    await world.hub.database.write(unit, db.HUB)
    with pytest.raises(ArchiveUnfit, match="other facts"):
        await archiving.archive(world.hub, tmp_path, MINH)
    assert len(await rows_of(world, month.month)) == month.entries + 1


@pytest.fixture
async def owned(hub: Hub) -> AsyncIterator[Everywhere]:
    """The database as the owner of its tables."""
    made = Everywhere(sa.make_url(hub.settings.url).set(username=OWNER).render_as_string(hide_password=False), pool=1)
    yield made
    await made.close()


@POSTGRESQL
async def test_facts_that_no_month_took_are_told_and_moved(hub: Hub, fast_forward: FastForward) -> None:
    async def states() -> list[tuple[str, str]]:
        async with hub.database.read(db.HUB) as conn:
            return [(check.state, check.says) for check in await looks.facts(conn)]

    assert await states() == [("ok", "ok")]
    await fast_forward(days=3 * 31)
    assert await states() == [("failed", "behind")]
    await fast_forward(days=365)
    await record(hub, "tenant:agency-a", "agency-a")
    await record(hub, "tenant:agency-a", "agency-a")
    assert await states() == [("failed", "stray")]
    assert (await housekeeping.make_months(hub), await states()) == (2, [("ok", "ok")])
    assert (await housekeeping.make_months(hub)) == 0
    async with hub.database.read(db.HUB) as conn:
        verdict = await audit.verify(conn)
    assert (verdict.entries, verdict.findings) == (2, ())


@POSTGRESQL
async def test_over_all_months_a_deadline_fires_once_and_a_head_never_goes_back(
    hub: Hub, fast_forward: FastForward
) -> None:
    await record(hub, "tenant:agency-a", "agency-a", deadline_id=7)
    await fast_forward(days=40)
    with pytest.raises(DBAPIError, match="pk_fired_deadlines"):
        await record(hub, "tenant:agency-b", "agency-b", deadline_id=7)
    back = sa.text("UPDATE audit_heads SET sequence = 1, hash = hash")
    with pytest.raises(DBAPIError, match="audit_heads_move_on"):
        await hub.database.write(lambda conn: conn.execute(back), db.HUB)


@POSTGRESQL
async def test_of_two_first_facts_of_a_chain_one_is_written(hub: Hub) -> None:
    chain = f"request:{UUID(int=5)}"

    async def first(conn: Any) -> audit.Log:
        log = await audit.Log.open(conn, await db.now(conn), [chain])
        log.record(chain, Fact.TASK_OPENED, SOMEBODY, "agency-a")
        return log

    async with hub.database.read(db.HUB) as slower:
        late = await first(slower)
        await hub.database.write(lambda conn: _flushed(first, conn), db.HUB)
        # In another month, where no constraint of a month helps.
        late._rows = [{**row, "at": row["at"] + timedelta(days=40)} for row in late._rows]
        with pytest.raises(DBAPIError, match="audit_heads_move_on"):
            await late.flush()
    async with hub.database.read(db.HUB) as conn:
        assert (await audit.verify(conn)).findings == ()


async def _flushed(make: Any, conn: Any) -> None:
    await (await make(conn)).flush()


@POSTGRESQL
async def test_every_month_is_guarded_as_the_whole_is(hub: Hub, owned: Everywhere) -> None:
    parts = sa.text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_entries'::regclass")
    await record(hub, "tenant:agency-a", "agency-a")
    async with owned.read(db.NOBODY) as conn:
        names = list((await conn.execute(parts)).scalars())
        assert len(names) == 5
        # Its owner is bound by each month's own policy too.
        counts = [(await conn.exec_driver_sql(f"SELECT count(*) FROM {name}")).scalar_one() for name in names]
    assert counts == [0] * 5
    for name in names:
        with pytest.raises(DBAPIError, match="permission denied"):
            await hub.database.write(lambda conn, part=name: conn.exec_driver_sql(f"DELETE FROM {part}"), db.HUB)
