"""When what an order's participant owes is due stands in the order; clocks are found by what they are about."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_OPEN = "state IN ('placed', 'delivered', 'acknowledged') OR letting_go_since IS NOT NULL"
_UNIQUE = "uq_deadlines_subject_id_stage_rung_generation"
_BEFORE = "uq_deadlines_subject_kind_subject_id_stage_rung_generation"
_CLOCKS = ("pending", "missed")
# A quarter before the end of the time, on either database.
_TIGHT = {
    "postgresql": "due_at - (due_at - started_at) / 4",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', julianday(due_at) - (julianday(due_at) - julianday(started_at)) / 4)",
}
_OWED = """
    SELECT min({what}) FROM deadlines
    WHERE subject_id = orders.id AND rung = 0 AND state IN ('pending', 'missed') AND (
        stage = 'receipt' AND orders.state = 'placed'
        OR stage = 'acknowledge' AND orders.state IN ('placed', 'delivered')
        OR stage = 'execute' AND orders.state IN ('placed', 'delivered', 'acknowledged')
        OR stage IN ('receipt', 'acknowledge', 'execute') AND started_at >= orders.letting_go_since
    )
"""


def upgrade() -> None:
    """Find clocks by their subject, whatever it is; write into each open order when what it owes is due."""
    for state in _CLOCKS:
        op.drop_index(f"ix_deadlines_{state}", table_name="deadlines")
    _unique(_BEFORE, _UNIQUE, ["subject_id", "stage", "rung", "generation"])
    for name in ("due_at", "tight_at"):
        op.add_column("orders", sa.Column(name, UTCDateTime(), nullable=True))
    tight = _TIGHT[op.get_bind().dialect.name]
    due_at, tight_at = _OWED.format(what="due_at"), _OWED.format(what=tight)
    op.execute(f"UPDATE orders SET due_at = ({due_at}), tight_at = ({tight_at}) WHERE {_OPEN}")
    _open("due_at", "id", "tight_at", "tenant", "participant_id")
    op.create_index("ix_requests_latest", "requests", ["submitted_at", "id"])


def downgrade() -> None:
    """Look at the clocks of each open order."""
    op.drop_index("ix_requests_latest", table_name="requests")
    _open("id")
    for name in ("tight_at", "due_at"):
        op.drop_column("orders", name)
    _unique(_UNIQUE, _BEFORE, ["subject_kind", "subject_id", "stage", "rung", "generation"])
    for state in _CLOCKS:
        where = sa.text(f"state = '{state}'")
        op.create_index(
            f"ix_deadlines_{state}", "deadlines", ["subject_id"], sqlite_where=where, postgresql_where=where
        )


def _unique(before: str, now: str, columns: list[str]) -> None:
    with op.batch_alter_table("deadlines", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f(before), type_="unique")
        batch_op.create_unique_constraint(batch_op.f(now), columns)


def _open(*columns: str) -> None:
    op.drop_index("ix_orders_open", table_name="orders")
    where = sa.text(_OPEN)
    op.create_index("ix_orders_open", "orders", list(columns), sqlite_where=where, postgresql_where=where)
