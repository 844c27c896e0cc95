"""A dispatch may carry the message of another one, over the participant's next endpoint."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_SECOND = sa.text("first_id IS NOT NULL")


def upgrade() -> None:
    """Name the first dispatch of each message in those that follow it."""
    op.add_column("dispatches", sa.Column("first_id", sa.Uuid(), nullable=True))
    op.create_index(
        "ix_dispatches_first_id", "dispatches", ["first_id"], sqlite_where=_SECOND, postgresql_where=_SECOND
    )


def downgrade() -> None:
    """Forget which messages went over several endpoints."""
    op.drop_index("ix_dispatches_first_id", "dispatches")
    with op.batch_alter_table("dispatches", schema=None) as batch_op:
        batch_op.drop_column("first_id")
