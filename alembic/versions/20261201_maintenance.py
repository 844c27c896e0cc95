"""The times in which participants do not serve their endpoints, as they announce them."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

from service.row_security import Rule, protect

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_REASONS = ("upgrade", "infrastructure", "network", "keys", "security", "drill")


def upgrade() -> None:
    """Make the table of windows."""
    op.create_table(
        "maintenance_windows",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", AutoString(length=64), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=True),
        sa.Column("starts_at", UTCDateTime(), nullable=False),
        sa.Column("ends_at", UTCDateTime(), nullable=False),
        sa.Column(
            "reason",
            sa.Enum(*_REASONS, name="maintenance_reason", native_enum=False, length=32, create_constraint=True),
            nullable=False,
        ),
        sa.Column("announced_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["endpoints.id"], name=op.f("fk_maintenance_windows_endpoint_id_endpoints")
        ),
        sa.ForeignKeyConstraint(
            ["tenant"], ["participants.id"], name=op.f("fk_maintenance_windows_tenant_participants")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_maintenance_windows")),
    )
    op.create_index(op.f("ix_maintenance_windows_tenant"), "maintenance_windows", ["tenant"])
    op.create_index(op.f("ix_maintenance_windows_ends_at"), "maintenance_windows", ["ends_at"])
    protect(op.get_bind(), "maintenance_windows", Rule.TENANT)


def downgrade() -> None:
    """Drop it."""
    op.drop_table("maintenance_windows")
