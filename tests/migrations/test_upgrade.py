"""A database of the build before, with real rows, is brought to this build: nothing is lost, and it is guarded now."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import earlier_rows as earlier
import journey_network
import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy.exc import DBAPIError

from service import app, audit, db, migrations, row_security
from service.db import Database, Reach
from service.engine import rekeying, resealing
from service.engine.hub import Hub
from service.models import ActionRequest, Approval, AuditEntry, Dispatch, Endpoint, Officer, Order, Target, table_of
from service.queries import erasures
from service.settings import Settings
from service.vault import subjects
from workflows.terms import TargetKind

_SEALED = (
    (ActionRequest, earlier.REQUEST, "body_sealed", earlier.BODY),
    (Target, earlier.TARGET, "value_sealed", earlier.ACCOUNT),
    (Target, earlier.TARGET, "holder_sealed", earlier.HOLDER),
    (Dispatch, earlier.DISPATCH, "message_sealed", earlier.BODY),
    (Endpoint, earlier.ENDPOINT, "secret_sealed", earlier.SECRET),
    *((Officer, officer, "name_sealed", name) for officer, name in earlier.NAMES.items()),
)


@pytest.fixture(params=["sqlite", "postgresql"])
async def settings(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Settings]:
    """A node of the former build: its database at 0004 with rows, and the key file that sealed them."""
    async with journey_network.database_of(request.param) as url:
        chosen = journey_network.settings_of(tmp_path, url, profile="production", policy="vn-default", node="a")
        chosen.keys_dir.mkdir(mode=0o700)
        (chosen.keys_dir / "vault.key").write_bytes(earlier.ROOT)
        (chosen.keys_dir / "vault.key").chmod(0o400)
        await _fill(chosen)
        yield chosen


async def _fill(chosen: Settings) -> None:
    def unit(connection: sa.Connection) -> None:
        command.upgrade(migrations.config(connection), "0004")
        earlier.write(connection)

    database = Database(chosen.owner_url)
    await database.write(lambda conn: conn.run_sync(unit), db.NOBODY)
    await database.close()


@pytest.fixture
async def hub(settings: Settings) -> AsyncIterator[Hub]:
    """This build on it, after the upgrade, as its own login."""
    # On PostgreSQL the new login may read nothing at all before the owner has brought the schema here.
    with pytest.raises((migrations.SchemaMismatch, DBAPIError)):
        await app.open_hub(settings)
    database = Database(settings.owner_url)
    await migrations.upgrade(database)
    await database.close()
    opened = await app.open_hub(settings)
    yield opened
    await app.close_hub(opened)


async def _rows(hub: Hub, model: Any, reach: Reach = db.HUB) -> list[dict[str, Any]]:
    async with hub.database.read(reach) as conn:
        return [dict(row._mapping) for row in await conn.execute(sa.select(table_of(model)))]


async def _opened(hub: Hub, model: Any, row_id: UUID | str, column: str) -> str:
    table = table_of(model)
    async with hub.database.read(db.HUB) as conn:
        row = (await conn.execute(sa.select(table).where(table.c.id == row_id))).one()
        sealed = row._mapping[column]
        keys = await subjects.of(conn, sealed)
    return hub.vault.unseal(keys, table.name, row_id, row.tenant, sealed)


async def test_every_row_is_there_and_the_chains_verify(hub: Hub) -> None:
    [request] = await _rows(hub, ActionRequest)
    assert (request["reference"], request["amount"], request["state"]) == ("HT-261125-ABC123", 150_000_000, "active")
    assert request["submitted_at"] == earlier.AT
    [order], [approval], [dispatch] = [await _rows(hub, model) for model in (Order, Approval, Dispatch)]
    assert (order["state"], order["amount_held"], approval["officer_id"]) == ("executed", 120_000_000, "tran-thi-binh")
    assert (dispatch["state"], dispatch["order_id"]) == ("delivered", order["id"])
    assert [row["code"] for row in await _rows(hub, AuditEntry)][-1] == "order.executed"
    async with hub.database.read(db.HUB) as conn:
        verdict = await audit.verify(conn)
    assert (verdict.findings, verdict.entries) == ((), 4)


async def test_facts_go_back_to_one_table_and_to_their_months_again(hub: Hub) -> None:
    before = sorted(await _rows(hub, AuditEntry), key=lambda row: row["id"])

    async def to(revision: str) -> None:
        move = command.downgrade if revision == "0015" else command.upgrade
        database = Database(hub.settings.owner_url)
        await database.alter(lambda conn: conn.run_sync(lambda held: move(migrations.config(held), revision)))
        await database.close()

    await to("0015")
    assert sorted(await _rows(hub, AuditEntry), key=lambda row: row["id"]) == before != []
    twice = sa.insert(table_of(AuditEntry)).values({**before[0], "id": 10**6})
    with pytest.raises(DBAPIError, match=r"(?i)unique|duplicate"):
        await hub.database.write(lambda conn: conn.execute(twice), db.HUB)
    await to("head")
    assert sorted(await _rows(hub, AuditEntry), key=lambda row: row["id"]) == before
    async with hub.database.read(db.HUB) as conn:
        assert (await audit.verify(conn)).findings == ()
    # What comes next is counted on from there.
    more = {**before[-1], "chain": "tenant:later", "sequence": 1}
    del more["id"]
    await hub.database.write(lambda conn: conn.execute(sa.insert(table_of(AuditEntry)).values(more)), db.HUB)
    assert max(row["id"] for row in await _rows(hub, AuditEntry)) == before[-1]["id"] + 1


async def test_a_webhook_that_one_person_registered_waits_for_two(hub: Hub) -> None:
    [endpoint] = await _rows(hub, Endpoint)
    assert (endpoint["url"], endpoint["approved_sha256"], endpoint["approved_by"]) == (
        "https://orders.bank.example/x",
        None,
        None,
    )
    by_hand = {"approved_sha256": "0" * 64, "proposed_by": "a", "approved_by": "b", "approved_at": earlier.AT}
    statement = sa.update(table_of(Endpoint)).values(by_hand)
    with pytest.raises(DBAPIError, match="endpoints_approved_by_two"):
        await hub.database.write(lambda conn: conn.execute(statement), db.HUB)


async def test_an_upgrade_that_would_leave_rows_without_what_they_refer_to_changes_nothing(settings: Settings) -> None:
    if not settings.embedded:
        return
    path = settings.url.partition(":///")[2]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM targets")
        connection.commit()
    database = Database(settings.owner_url)
    with pytest.raises(db.ReferencesBroken, match="orders"):
        await migrations.upgrade(database)
    with pytest.raises(migrations.SchemaMismatch, match="0004"):
        await migrations.check(database)
    # References are asked for again by whoever writes next.
    gone = sa.text("DELETE FROM requests")
    with pytest.raises(DBAPIError, match="FOREIGN KEY"):
        await database.write(lambda conn: conn.execute(gone), db.HUB)
    await database.close()


@pytest.mark.parametrize(
    ("state", "clock", "is_awaited"),
    [
        ("lapsed", "missed", True),
        ("withdrawn", "pending", True),
        ("withdrawn", "met", False),
        ("executed", "met", False),
    ],
)
async def test_what_is_still_to_be_let_go_is_known_after_the_upgrade(
    settings: Settings, state: str, clock: str, is_awaited: bool
) -> None:
    """Since the clocks of its lift were set: what the order itself was late with before is no part of that."""
    lifted_at = earlier.AT + timedelta(days=3)

    def before(connection: sa.Connection) -> None:
        command.upgrade(migrations.config(connection), "0024")
        connection.execute(
            sa.text("UPDATE orders SET state = :state, lift_ordered = :yes"), {"state": state, "yes": True}
        )
        for generation, at in enumerate((earlier.AT, lifted_at)):
            earlier.execute_clock(connection, generation, at, "missed" if at < lifted_at else clock)

    database = Database(settings.owner_url)
    await database.alter(lambda conn: conn.run_sync(before))
    await migrations.upgrade(database)
    query = sa.select(table_of(Order).c.letting_go_since)
    async with database.read(db.HUB) as conn:
        found = (await conn.execute(query)).scalar_one()
    await database.close()
    assert found == (lifted_at if is_awaited else None)


async def test_postgresql_guards_the_rows_of_before(hub: Hub) -> None:
    if hub.database.dialect == "sqlite":
        # It has no policies; the start says so.
        assert await _rows(hub, ActionRequest, Reach.of(earlier.BANK)) != []
        return
    async with hub.database.read(db.HUB) as conn:
        assert await row_security.faults(conn) == ()
    assert await _rows(hub, ActionRequest, db.NOBODY) == await _rows(hub, Target, Reach.of(earlier.BANK)) == []
    assert len(await _rows(hub, ActionRequest, Reach.of(earlier.AGENCY))) == 1
    # An order is its addressee's too.
    assert len(await _rows(hub, Order, Reach.of(earlier.BANK))) == 1
    with pytest.raises(DBAPIError, match="permission denied"):
        await hub.database.write(lambda conn: conn.execute(sa.text("DELETE FROM audit_entries")), db.HUB)


async def test_what_was_sealed_before_opens_and_the_documented_step_seals_it_anew(hub: Hub) -> None:
    for model, row_id, column, text in _SEALED:
        assert await _opened(hub, model, row_id, column) == text
    async with hub.database.read(db.HUB) as conn:
        assert await resealing.count(conn) > 0
    # What hoatoc keys rotate vault does.
    await rekeying.rotate_master(hub, hub.actor, hub.vault.masters.make())
    assert await resealing.reseal(hub) > 0
    async with hub.database.read(db.HUB) as conn:
        assert await resealing.count(conn) == 0
        assert (await audit.verify(conn)).findings == ()
        found = await erasures.about(conn, hub.vault, TargetKind.ACCOUNT, earlier.ACCOUNT)
    for model, row_id, column, text in _SEALED:
        assert await _opened(hub, model, row_id, column) == text
    assert [each.request_id for each in found] == [earlier.REQUEST]
