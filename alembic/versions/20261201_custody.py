"""The audit is searched by instant, by kind, by member and by who acted, however many facts there are."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_BY_OTHERS = sa.text("actor_kind <> 'hub'")


def upgrade() -> None:
    """Index the facts by instant, kind, member and who acted; on PostgreSQL each month that there is, and each to come."""
    op.create_index("ix_audit_entries_at", "audit_entries", ["at", "id"])
    op.create_index("ix_audit_entries_code", "audit_entries", ["code", "at", "id"])
    op.create_index("ix_audit_entries_tenant", "audit_entries", ["tenant", "at", "id"])
    where = {"sqlite_where": _BY_OTHERS, "postgresql_where": _BY_OTHERS}
    op.create_index("ix_audit_entries_actor", "audit_entries", ["actor_id", "at", "id"], **where)


def downgrade() -> None:
    """Drop them."""
    for name in ("actor", "tenant", "code", "at"):
        op.drop_index(f"ix_audit_entries_{name}", "audit_entries")
