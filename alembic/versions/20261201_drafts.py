"""Drafts of requests, one a person, under a key of their own that goes with them."""

import re

import sqlalchemy as sa
import sqlmodel
from alembic import op

from service.row_security import Rule, protect

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_OWNERS = ("request", "officer", "contact", "house")
_KINDS = ("refused_request", "ended_measure", "delivery_body", "officer_name", "fact")
# table, column, name of the check, what it took until now
_CODES = (
    ("subject_keys", "kind", "key_owner", _OWNERS),
    ("retention_rules", "kind", "record_kind", _KINDS),
)


def upgrade() -> None:
    """Make the table, and take its codes for keys and for the retention table."""
    for table, column, check, before in _CODES:
        _take(table, column, check, (*before, "draft"))
    op.create_table(
        "drafts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("person", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("answers_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("paper_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("touched_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_drafts_tenant_participants")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drafts")),
        sa.UniqueConstraint("tenant", "person", name=op.f("uq_drafts_tenant_person")),
    )
    op.create_index(op.f("ix_drafts_touched_at"), "drafts", ["touched_at"])
    protect(op.get_bind(), "drafts", Rule.TENANT)


def downgrade() -> None:
    """Drop the table with what is in it, and take the codes of before alone."""
    op.drop_table("drafts")
    for table, column, check, before in _CODES:
        op.execute(f"DELETE FROM {table} WHERE {column} = 'draft'")
        _take(table, column, check, before)


def _take(table: str, column: str, check: str, codes: tuple[str, ...]) -> None:
    name = f"ck_{table}_{check}"
    condition = f"{column} IN ({', '.join(repr(code) for code in codes)})"
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f(name), table, type_="check")
        op.create_check_constraint(op.f(name), table, sa.text(condition))
        return
    _rewrite(table, lambda sql: _with(sql, name, condition))


def _with(sql: str, name: str, condition: str) -> str:
    """Put another condition into the named constraint in the text of a table."""
    found = re.search(rf"CONSTRAINT \"?{name}\"? CHECK \(", sql)
    if found is None:
        raise RuntimeError(f"{name} is not in the table's text")
    depth, at = 1, found.end()
    while depth:
        depth += {"(": 1, ")": -1}.get(sql[at], 0)
        at += 1
    return f"{sql[: found.end()]}{condition}){sql[at:]}"


def _rewrite(table: str, edit) -> None:
    """Change the constraints of a SQLite table in its text, as in 0010: it is not made anew, so nothing of it is lost."""
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    sql = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", (table,)
    ).scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    connection.exec_driver_sql("UPDATE sqlite_schema SET sql = ? WHERE type = 'table' AND name = ?", (edit(sql), table))
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")
