"""Recalls and disclosures: the codes that the tables take, what such a request must name, and who must have signed."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_ACTIONS = ("freeze", "lift", "extend", "takedown", "preserve")
_BASES = ("aml_postponement", "cpc_129", "decree_52_11", "decree_147", "emergency")
_REFUSALS = (
    "target_not_found",
    "holder_mismatch",
    "no_balance",
    "target_closed",
    "not_mine",
    "authority_doubted",
    "document_doubted",
    "target_legitimate",
    "not_feasible",
    "other",
)
_KINDS = ("holds", "takedowns", "lifts")
# table, column, name of the check, what it took until now, what it takes besides
_CODES = (
    ("requests", "action", "action", _ACTIONS, ("recall", "disclose")),
    ("orders", "action", "action", _ACTIONS, ("recall", "disclose")),
    ("time_limits", "action", "action", _ACTIONS, ("recall", "disclose")),
    ("requests", "legal_basis", "legal_basis", _BASES, ("cpc_88",)),
    ("time_limits", "legal_basis", "legal_basis", _BASES, ("cpc_88",)),
    (
        "acknowledgements",
        "refusal_code",
        "refusal_code",
        _REFUSALS,
        ("payment_not_found", "already_paid_out", "already_returned", "holder_declines"),
    ),
    ("baselines", "kind", "bound_kind", _KINDS, ("disclosures",)),
)
_NAMED = {
    "ck_requests_recall_names_its_payment": (
        "action <> 'recall' OR (amount IS NOT NULL AND NOT whole_account AND payment_sealed IS NOT NULL"
        " AND ends_at IS NOT NULL)"
    ),
    "ck_requests_disclosure_says_what": "action <> 'disclose' OR (asked IS NOT NULL AND ends_at IS NOT NULL)",
}
_COLUMNS = (
    ("requests", "payment_sealed", sa.LargeBinary()),
    ("requests", "asked", sa.JSON()),
    ("orders", "amount_returned", sa.BigInteger()),
    ("acknowledgements", "amount_returned", sa.BigInteger()),
)

_GUARD = "orders_signed_by_two"
_TWO_BEFORE = "'freeze', 'extend', 'preserve'"
_TWO_NOW = f"{_TWO_BEFORE}, 'recall', 'disclose'"


def upgrade() -> None:
    """Take the new codes, and let no recall and no disclosure be placed that only one officer signed."""
    for table, name, kind in _COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=True))
    for table, column, check, before, new in _CODES:
        _take(table, column, check, (*before, *new))
    for name, condition in _NAMED.items():
        _add_check("requests", name, condition)
    _guard(_TWO_NOW)


def downgrade() -> None:
    """Take the old codes alone again; refused while a row has a new one: it would be a request without its meaning."""
    op.execute("DELETE FROM baselines WHERE kind = 'disclosures'")
    op.execute("DELETE FROM time_limits WHERE action IN ('recall', 'disclose') OR legal_basis = 'cpc_88'")
    left = "SELECT count(*) FROM requests WHERE action IN ('recall', 'disclose') OR legal_basis = 'cpc_88'"
    if op.get_bind().execute(sa.text(left)).scalar_one():
        raise RuntimeError("there are recalls or disclosures: the schema before them cannot hold them")
    _guard(_TWO_BEFORE)
    for name in _NAMED:
        _drop_check("requests", name)
    for table, column, check, before, _ in _CODES:
        _take(table, column, check, before)
    for table, name, _ in reversed(_COLUMNS):
        op.drop_column(table, name)


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
