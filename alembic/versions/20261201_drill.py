"""Whether this database is the real hub's or a drill's; what there is by now is real."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString

from service.row_security import Rule, protect

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table with its one row; whoever makes a drill's database says so in the same transaction."""
    table = op.create_table(
        "installations",
        sa.Column("name", AutoString(length=16), nullable=False),
        sa.Column("drill", sa.Boolean(), nullable=False),
        sa.Column("live_sha256", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_installations")),
    )
    op.bulk_insert(table, [{"name": "hub", "drill": False, "live_sha256": []}])
    protect(op.get_bind(), "installations", Rule.SHARED)


def downgrade() -> None:
    """Drop it, at the real hub alone. Raises RuntimeError at a drill, which would count as the real hub from then on."""
    installations = sa.table("installations", sa.column("drill", sa.Boolean))
    if any(op.get_bind().execute(sa.select(installations.c.drill)).scalars()):
        raise RuntimeError("this database is a drill's: it does not go back, lay the drill out anew")
    op.drop_table("installations")
