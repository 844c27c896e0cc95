"""Row-level security on PostgreSQL, asked in raw SQL as the hub's own login: whose rows a transaction reaches."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import stray_rows
from builders import keep_master, make_hub, superuser_url
from postgres import LOGIN, OWNER
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from stray_rows import ME

from service import app, db, models, row_security
from service.db import Database, Reach
from service.row_security import RULES, Rule
from service.settings import Settings

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

# Which of the scattered rows one tenant's reach finds, by the rule of their table.
REACHED = {
    Rule.TENANT: {"own"},
    Rule.ADDRESSED: {"own", "addressed"},
    Rule.SUPERVISED: {"own", "addressed", "supervised"},
}
# What says which facts are in archives, and whether all this is real: nobody writes it but the owner of the tables.
OWNERS = frozenset({"fact_archives", "fact_runs", "installations"})
TENANTS = [table for table in stray_rows.tables() if RULES.get(table.name) in REACHED]
TODO = (
    "a new table needs its rule in service/row_security.py RULES, and in its migration:"
    ' row_security.protect(op.get_bind(), "<table>", Rule.<its rule>)'
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The hub's login, on one connection, so that whatever a transaction leaves behind is met by the next."""
    made = Database(database_url, pool=1)
    yield made
    await made.close()


@pytest.fixture
async def keys(database_url: str) -> dict[str, dict[str, Any]]:
    """Rows of several tenants in every table."""
    return await stray_rows.scatter(database_url)


def test_every_table_has_a_rule(database_url: str) -> None:
    ruled, there = set(RULES), {table.name for table in stray_rows.tables()}
    assert there - ruled == set(), TODO
    assert ruled - there == set(), "a rule for a table that does not exist"


def test_a_table_that_names_a_tenant_is_ruled_by_it(database_url: str) -> None:
    # Wrapped keys are read by everybody: what is addressed to a participant is sealed under a key of the agency's.
    wrapped = {name for name, rule in RULES.items() if rule is Rule.WRAPPED}
    by_tenant = {table.name for table in stray_rows.tables() if "tenant" in table.columns} - wrapped
    assert by_tenant == {table.name for table in TENANTS}, TODO
    for name in (name for name, rule in RULES.items() if rule is Rule.FREE):
        assert {"tenant", "participant_id"}.isdisjoint(models.metadata.tables[name].columns.keys()), name


async def test_no_table_lacks_forced_row_security(database: Database) -> None:
    async with database.read(db.NOBODY) as conn:
        found = await row_security.faults(conn)
    assert found == (), TODO


async def test_a_tenant_reads_its_own_rows_and_no_others(database: Database, keys: dict[str, dict[str, Any]]) -> None:
    for table in TENANTS:
        wanted = {keys[table.name][kind] for kind in REACHED[RULES[table.name]]}
        assert await _seen(database, table, Reach.of(ME)) == wanted, table.name


async def test_a_tenant_changes_and_deletes_its_own_rows_and_no_others(
    database: Database, keys: dict[str, dict[str, Any]]
) -> None:
    for table in TENANTS:
        reached = len(REACHED[RULES[table.name]])
        if table.name not in {"audit_entries", *OWNERS}:
            assert await _rolled_back(database, sa.update(table).values(tenant=table.c.tenant)) == reached, table.name
        if table.name not in {"audit_entries", "audit_heads", *OWNERS}:
            assert await _rolled_back(database, sa.delete(table)) == reached, table.name
    everything = sa.select(sa.func.count())
    for table in TENANTS:
        async with database.read(db.HUB) as conn:
            left = (await conn.execute(everything.select_from(table))).scalar_one()
        assert left == len(keys[table.name]), table.name


async def test_a_tenant_writes_no_row_for_another_and_gives_none_of_its_own_away(
    database: Database, keys: dict[str, dict[str, Any]]
) -> None:
    for table in TENANTS:
        foreign = stray_rows.row(table, stray_rows.OTHER, stray_rows.STRANGER)
        # The guard of orders looks before the policy does: it finds no active request of the tenant's.
        with pytest.raises(DBAPIError, match=r"row-level security|orders_signed_by_two|permission denied"):
            await _rolled_back(database, sa.insert(table).values(foreign))
        if table.name in {"audit_entries", *OWNERS}:
            continue
        away: dict[str, Any] = {"tenant": stray_rows.OTHER}
        if "participant_id" in table.columns:
            away["participant_id"] = stray_rows.STRANGER
        with pytest.raises(DBAPIError, match="row-level security"):
            await _rolled_back(database, sa.update(table).values(away))


async def test_a_tenant_changes_nothing_that_is_kept_for_all_and_of_the_members_itself_alone(
    database: Database, keys: dict[str, dict[str, Any]]
) -> None:
    for name in (name for name, rule in RULES.items() if rule is Rule.SHARED and name not in OWNERS):
        table = models.metadata.tables[name]
        column = next(iter(table.columns))
        assert await _rolled_back(database, sa.update(table).values({column: column})) == 0, table.name
        assert await _rolled_back(database, sa.delete(table)) == 0, table.name
        with pytest.raises(DBAPIError, match="row-level security"):
            await _rolled_back(database, sa.insert(table).values(stray_rows.row(table, "", ME)))
    members = models.metadata.tables["participants"]
    assert await _rolled_back(database, sa.update(members).values(short_name="x")) == 1
    with pytest.raises(DBAPIError, match="row-level security"):
        await _rolled_back(database, sa.update(members).where(members.c.id == ME).values(id="another"))


@pytest.mark.parametrize("reach", [db.NOBODY, Reach("tenant"), Reach("hub "), Reach("tenant", "*"), None])
async def test_without_a_reach_there_are_no_rows(
    database: Database, keys: dict[str, dict[str, Any]], reach: Reach | None
) -> None:
    for table in TENANTS:
        assert await _seen(database, table, reach) == set(), table.name


async def test_the_hubs_reach_is_all_rows(database: Database, keys: dict[str, dict[str, Any]]) -> None:
    for table in TENANTS:
        assert await _seen(database, table, db.HUB) == set(keys[table.name].values()), table.name


@pytest.mark.parametrize("reach", [db.HUB, Reach.of(ME)])
async def test_a_reach_ends_with_its_transaction_and_is_not_left_in_the_pool(
    database: Database, keys: dict[str, dict[str, Any]], reach: Reach
) -> None:
    cases = models.metadata.tables["cases"]

    async def unit(conn: AsyncConnection) -> int:
        await conn.execute(sa.update(cases).values(number=cases.c.number))
        return int((await conn.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one())

    before = await database.write(unit, reach)
    # Whoever forgets to say a reach gets the very connection that had one.
    async with database.engine.connect() as conn:
        assert (await conn.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one() == before
        assert (await conn.execute(sa.select(cases.c.id))).all() == []
    async with database.read(reach) as conn:
        assert (await conn.execute(sa.select(cases.c.id))).all() != []
    async with database.engine.connect() as conn:
        assert (await conn.execute(sa.select(cases.c.id))).all() == []


async def test_a_reach_that_no_transaction_took_is_not_left_in_the_pool_either(
    database: Database, keys: dict[str, dict[str, Any]]
) -> None:
    cases = models.metadata.tables["cases"]
    async with database.read(db.HUB) as conn:
        assert (await conn.execute(sa.select(cases.c.id))).all() != []
    async with database.read(db.HUB):
        pass  # Nothing was asked, and so nothing has begun.
    async with database.engine.connect() as conn:
        assert (await conn.execute(sa.select(cases.c.id))).all() == []


async def test_no_name_of_a_member_says_more_than_its_reach(
    database: Database, keys: dict[str, dict[str, Any]]
) -> None:
    cases = models.metadata.tables["cases"]
    for name in ("x'; SET LOCAL hoatoc.reach = 'hub'; --", "x\\'; SET LOCAL hoatoc.reach = 'hub'; --", "'", "''"):
        async with database.read(Reach.of(name)) as conn:
            assert (await conn.execute(sa.select(cases.c.id))).all() == []
            kept = await conn.exec_driver_sql(
                "SELECT current_setting('hoatoc.tenant'), current_setting('hoatoc.reach')"
            )
            assert tuple(kept.one()) == (name, "tenant")


async def test_the_owner_of_the_tables_is_bound_too(
    database_url: str, templates: Any, keys: dict[str, dict[str, Any]]
) -> None:
    owner = Database(templates.url(sa.make_url(database_url).database, OWNER), pool=1)
    try:
        for table in TENANTS:
            assert await _seen(owner, table, None) == set(), table.name
    finally:
        await owner.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET data = '{}'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
        "DELETE FROM audit_heads",
        "INSERT INTO fact_runs SELECT * FROM fact_runs",
        "INSERT INTO fact_archives SELECT * FROM fact_archives",
        "UPDATE fact_archives SET entries = 0",
        "DELETE FROM fired_deadlines",
        "DELETE FROM audit_entries_default",
        "INSERT INTO audit_entries_default SELECT * FROM audit_entries_default",
        "SELECT hoatoc_make_month(date '1999-01-01')",
        "SELECT hoatoc_drop_month(date '1999-01-01', 0)",
        "ALTER TABLE orders DISABLE TRIGGER orders_signed_by_two",
        "ALTER TABLE requests DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE requests NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY hoatoc_rows ON requests",
        "CREATE POLICY mine ON requests USING (true)",
        "CREATE TABLE mine (id int)",
        "CREATE VIEW theirs AS SELECT * FROM requests",
        "CREATE OR REPLACE FUNCTION hoatoc_reaches_all() RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        "CREATE OR REPLACE FUNCTION hub_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
        "UPDATE alembic_version SET version_num = '0001'",
        "SET session_replication_role = replica",
        f"SET ROLE {OWNER}",
    ],
)
async def test_the_hubs_login_owns_nothing_and_switches_nothing_off(database: Database, statement: str) -> None:
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
        await database.write(lambda conn: conn.exec_driver_sql(statement), db.HUB)


async def test_a_temporary_table_does_not_stand_in_for_what_officers_signed(database: Database) -> None:
    orders = models.metadata.tables["orders"]
    made = stray_rows.row(orders, ME, stray_rows.STRANGER)

    async def unit(conn: AsyncConnection) -> None:
        await conn.exec_driver_sql("CREATE TEMPORARY TABLE requests AS SELECT * FROM requests WITH NO DATA")
        await conn.exec_driver_sql("SET LOCAL search_path = pg_temp, public")
        values = {"id": made["request_id"], "state": "active"}
        await conn.execute(sa.text("INSERT INTO pg_temp.requests (id, state) VALUES (:id, :state)"), values)
        await conn.execute(sa.insert(orders).values(made))

    with pytest.raises(DBAPIError, match="orders_signed_by_two"):
        await database.write(unit, db.HUB)


@pytest.mark.parametrize(
    ("sabotage", "code"),
    [
        (f"ALTER ROLE {LOGIN} SUPERUSER", "role.superuser"),
        (f"ALTER ROLE {LOGIN} BYPASSRLS", "role.bypassrls"),
        (f"ALTER TABLE cases OWNER TO {LOGIN}", "role.owner"),
        (f"GRANT CREATE ON SCHEMA public TO {LOGIN}", "role.creates"),
        (f"GRANT UPDATE ON audit_entries TO {LOGIN}", "audit.writable"),
        (f"GRANT INSERT ON audit_entries_default TO {LOGIN}", "audit.writable"),
        ("ALTER TABLE audit_entries_default NO FORCE ROW LEVEL SECURITY", "rows.unforced"),
        ("ALTER TABLE cases DISABLE ROW LEVEL SECURITY", "rows.unforced"),
        ("ALTER TABLE cases NO FORCE ROW LEVEL SECURITY", "rows.unforced"),
        ("DROP POLICY hoatoc_rows ON cases", "rows.unforced"),
        ("CREATE TABLE novelties (id int, tenant text)", "rows.unforced"),
        ("CREATE VIEW theirs AS SELECT * FROM cases", "rows.unforced"),
        ("CREATE VIEW theirs WITH (security_invoker = true) AS SELECT * FROM cases", None),
        ("CREATE MATERIALIZED VIEW theirs AS SELECT * FROM cases", "rows.unforced"),
    ],
)
async def test_what_makes_it_void_is_found(database_url: str, sabotage: str, code: str | None) -> None:
    # In one transaction that never commits: a role is the whole server's.
    engine = create_async_engine(superuser_url(database_url))
    async with engine.connect() as conn:
        await conn.exec_driver_sql(sabotage)
        await conn.exec_driver_sql(f"SET LOCAL SESSION AUTHORIZATION {LOGIN}")
        found = await row_security.faults(conn)
        await conn.rollback()
    await engine.dispose()
    assert {fault.code for fault in found} == ({code} if code else set()), [str(fault) for fault in found]


@pytest.mark.parametrize("login", ["superuser", "owner"])
async def test_production_does_not_start_on_a_login_that_no_policy_binds(
    database_url: str, templates: Any, tmp_path: Path, login: str
) -> None:
    urls = {
        "superuser": superuser_url(database_url),
        "owner": templates.url(sa.make_url(database_url).database, OWNER),
    }
    settings = Settings(data_dir=tmp_path, database_url=urls[login])
    keep_master(tmp_path)
    with pytest.raises(row_security.Unprotected) as refused:
        await app.open_hub(settings)
    assert f"role.{login}" in {fault.code for fault in refused.value.faults}
    assert "the hub's login" in str(refused.value)
    # The demo is told, and goes on.
    await app.close_hub(await app.open_hub(settings.model_copy(update={"profile": "demo"})))
    await app.close_hub(await app.open_hub(settings.model_copy(update={"database_url": database_url})))


async def test_every_call_of_the_hubs_own_code_names_a_reach(database_url: str, tmp_path: Path) -> None:
    hub = make_hub(database_url, tmp_path)
    plain = Database(database_url, pool=1)
    forgotten: list[Callable[[], Any]] = [lambda: plain.read(), lambda: plain.write(_nothing)]  # type: ignore[call-arg]
    for call in forgotten:
        with pytest.raises(TypeError, match="reach"):
            call()
    await plain.close()
    await hub.database.close()


async def _nothing(_conn: AsyncConnection) -> None:
    """A unit without a change."""


async def _seen(database: Database, table: sa.Table, reach: Reach | None) -> set[Any]:
    query = sa.select(next(iter(table.primary_key.columns)))
    if reach is None:
        async with database.engine.connect() as conn:
            return set((await conn.execute(query)).scalars())
    async with database.read(reach) as conn:
        return set((await conn.execute(query)).scalars())


async def _rolled_back(database: Database, statement: Any) -> int:
    # No foreign key stands in the way: the statement is undone before it would be checked, or breaks first.
    async with database.read(Reach.of(ME)) as conn:
        done = await conn.execute(statement)
        return int(done.rowcount)
