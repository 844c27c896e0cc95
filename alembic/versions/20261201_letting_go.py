"""Since when the hub waits to hear that what ended, or was taken back, is held no more; the board reads by it."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_BEFORE = "state IN ('placed', 'delivered', 'acknowledged')"
_NOW = f"{_BEFORE} OR letting_go_since IS NOT NULL"
# Of a hold that lapsed whoever has not said "lifted"; of what was withdrawn whoever still has a clock for it. Since
# when: the latest of an order's clocks are those of its lift.
_LETTING_GO = """
    UPDATE orders SET letting_go_since = (
        SELECT max(started_at) FROM deadlines
        WHERE subject_id = orders.id AND rung = 0 AND stage IN ('receipt', 'acknowledge', 'execute')
    )
    WHERE lift_ordered AND action NOT IN ('recall', 'disclose', 'trace') AND (
        state = 'lapsed' OR state = 'withdrawn' AND EXISTS (
            SELECT 1 FROM deadlines
            WHERE subject_id = orders.id AND state = 'pending' AND stage IN ('receipt', 'acknowledge', 'execute')
        )
    )
"""


def upgrade() -> None:
    """Add the instant, and take it into what is open."""
    op.add_column("orders", sa.Column("letting_go_since", UTCDateTime(), nullable=True))
    op.execute(_LETTING_GO)
    _index(_NOW)


def downgrade() -> None:
    """Tell what is open by the state alone."""
    _index(_BEFORE)
    op.drop_column("orders", "letting_go_since")


def _index(is_open: str) -> None:
    for name, column, where in (("open", "id", is_open), ("settled", "changed_at", f"NOT ({is_open})")):
        op.drop_index(f"ix_orders_{name}", table_name="orders")
        condition = sa.text(where)
        op.create_index(f"ix_orders_{name}", "orders", [column], sqlite_where=condition, postgresql_where=condition)
