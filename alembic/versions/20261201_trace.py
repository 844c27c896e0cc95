"""Traces: the code that the tables take, the window that such a request names, and who must have signed."""

import re

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_ACTIONS = ("freeze", "lift", "extend", "takedown", "preserve", "recall", "disclose")
_TABLES = ("requests", "orders", "time_limits")
_NAME = "ck_requests_trace_names_its_window"
_WINDOW = (
    "action <> 'trace' OR (window_since IS NOT NULL AND window_until IS NOT NULL"
    " AND window_since < window_until AND ends_at IS NOT NULL)"
)
_COLUMNS = ("window_since", "window_until")

_GUARD = "orders_signed_by_two"
_TWO_BEFORE = "'freeze', 'extend', 'preserve', 'recall', 'disclose'"
_TWO_NOW = f"{_TWO_BEFORE}, 'trace'"


def upgrade() -> None:
    """Take the new code, and let no trace be placed that only one officer signed."""
    for name in _COLUMNS:
        op.add_column("requests", sa.Column(name, UTCDateTime(), nullable=True))
    for table in _TABLES:
        _take(table, "action", "action", (*_ACTIONS, "trace"))
    _add_check("requests", _NAME, _WINDOW)
    _guard(_TWO_NOW)


def downgrade() -> None:
    """Take the old codes alone again; refused while a row has the new one: it would be a request without its meaning."""
    op.execute("DELETE FROM time_limits WHERE action = 'trace'")
    if op.get_bind().execute(sa.text("SELECT count(*) FROM requests WHERE action = 'trace'")).scalar_one():
        raise RuntimeError("there are traces: the schema before them cannot hold them")
    _guard(_TWO_BEFORE)
    _drop_check("requests", _NAME)
    for table in _TABLES:
        _take(table, "action", "action", _ACTIONS)
    for name in reversed(_COLUMNS):
        op.drop_column("requests", name)


def _take(table: str, column: str, check: str, codes: tuple[str, ...]) -> None:
    name = f"ck_{table}_{check}"
    condition = f"{column} IN ({', '.join(repr(code) for code in codes)})"
    _drop_check(table, name)
    _add_check(table, name, condition)


def _add_check(table: str, name: str, condition: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.create_check_constraint(op.f(name), table, sa.text(condition))
        return
    _rewrite(table, lambda sql: f"{sql.rstrip().removesuffix(')').rstrip()}, CONSTRAINT {name} CHECK ({condition}))")


def _drop_check(table: str, name: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f(name), table, type_="check")
        return
    _rewrite(table, lambda sql: _without(sql, name))


def _without(sql: str, name: str) -> str:
    """Take the constraint of this name, and the comma before it, out of the text of a table."""
    found = re.search(rf",\s*CONSTRAINT \"?{name}\"? CHECK \(", sql)
    if found is None:
        raise RuntimeError(f"{name} is not in the table's text")
    depth, at = 1, found.end()
    while depth:
        depth += {"(": 1, ")": -1}.get(sql[at], 0)
        at += 1
    return sql[: found.start()] + sql[at:]


def _rewrite(table: str, edit) -> None:
    """Change the constraints of a SQLite table in its text, as SQLite's manual describes it (lang_altertable, 7).

    A table that others refer to cannot be made anew inside a transaction: dropping the old one would break their
    foreign keys, and the triggers on it would be gone.
    """
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    sql = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", (table,)
    ).scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    connection.exec_driver_sql("UPDATE sqlite_schema SET sql = ? WHERE type = 'table' AND name = ?", (edit(sql), table))
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")


def _guard(two: str) -> None:
    """Make the guard of 0004 anew for these actions."""
    holds = f"NEW.action IN ({two})"
    by_two = (
        "(r.legal_basis = 'emergency' AND r.review_by IS NOT NULL) OR EXISTS (SELECT 1 FROM approvals a"
        " WHERE a.request_id = r.id AND a.kind = 'approval' AND a.officer_id <> r.officer_id)"
    )
    allowed = (
        "EXISTS (SELECT 1 FROM requests r WHERE r.id = NEW.request_id AND r.state = 'active'"
        f" AND (NOT ({holds}) OR {by_two}))"
    )
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        op.execute(f"DROP TRIGGER {_GUARD}")
        op.execute(
            f"CREATE TRIGGER {_GUARD} BEFORE INSERT ON orders WHEN 1 = 1"
            f" BEGIN SELECT RAISE(ABORT, '{_GUARD}') WHERE NOT {allowed}; END"
        )
        return
    schema = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
    op.execute(
        f"CREATE OR REPLACE FUNCTION {_GUARD}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NOT {allowed} THEN RAISE EXCEPTION '{_GUARD}' USING ERRCODE = 'check_violation'; END IF;"
        " RETURN NEW; END $$"
    )
    # As in 0005: replaced, a function forgets where it looks names up.
    op.execute(f'ALTER FUNCTION {_GUARD}() SET search_path = "{schema}", pg_temp')
