"""When an officer left: from then on counts how long his name is kept."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from service import clock

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_KINDS = ("refused_request", "ended_measure", "delivery_body")


def upgrade() -> None:
    """Add the instant; of whoever is suspended already the term begins now."""
    op.add_column("officers", sa.Column("left_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True))
    officers = sa.table("officers", sa.column("left_at", sqlmodel.sql.sqltypes.UTCDateTime()), sa.column("active"))
    op.execute(sa.update(officers).where(sa.not_(officers.c.active)).values(left_at=clock.utc_now()))
    _kinds((*_KINDS, "officer_name"))


def downgrade() -> None:
    """Forget it, and any other term for names."""
    op.execute("DELETE FROM retention_rules WHERE kind = 'officer_name'")
    _kinds(_KINDS)
    with op.batch_alter_table("officers", schema=None) as batch_op:
        batch_op.drop_column("left_at")


def _kinds(kinds: tuple[str, ...]) -> None:
    with op.batch_alter_table("retention_rules", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_retention_rules_record_kind"), type_="check")
        batch_op.create_check_constraint(batch_op.f("ck_retention_rules_record_kind"), sa.column("kind").in_(kinds))
