"""A dispatch remembers when somebody had it sent once more."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Keep the instant of the last replay."""
    op.add_column("dispatches", sa.Column("replayed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True))


def downgrade() -> None:
    """Forget what was sent once more."""
    with op.batch_alter_table("dispatches", schema=None) as batch_op:
        batch_op.drop_column("replayed_at")
