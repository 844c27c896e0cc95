"""The live board finds the open orders, and those with a result of late, however many lie behind them."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_orders_open", "orders", "id", "state IN ('placed', 'delivered', 'acknowledged')"),
    ("ix_orders_settled", "orders", "changed_at", "state NOT IN ('placed', 'delivered', 'acknowledged')"),
    ("ix_deadlines_missed", "deadlines", "subject_id", "state = 'missed'"),
)


def upgrade() -> None:
    """Index the open orders, the others by when they last changed, and the deadlines that were missed."""
    for name, table, column, where in _INDEXES:
        op.create_index(name, table, [column], sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def downgrade() -> None:
    """Drop them."""
    for name, table, _, _ in reversed(_INDEXES):
        op.drop_index(name, table)
