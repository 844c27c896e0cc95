"""Which examinations of a participant's system the hub accepted."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from service.row_security import Rule, protect

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TEXT = sqlmodel.sql.sqltypes.AutoString
_INSTANT = sqlmodel.sql.sqltypes.UTCDateTime
_PROFILES = ("bank-webhook", "bank-iso20022", "telecom-webhook", "telecom-etsi", "pull")


def upgrade() -> None:
    """Make the table; endpoints that are in force stay so without a certification."""
    op.create_table(
        "certifications",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", _TEXT(length=64), nullable=False),
        sa.Column(
            "profile",
            sa.Enum(*_PROFILES, name="profile", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("host", _TEXT(length=255), nullable=True),
        sa.Column("port", sa.Integer(), nullable=True),
        sa.Column("definition_sha256", _TEXT(length=64), nullable=True),
        sa.Column("report_sha256", _TEXT(length=64), nullable=False),
        sa.Column("kid", _TEXT(length=64), nullable=False),
        sa.Column("ended_at", _INSTANT(), nullable=False),
        sa.Column("recorded_by", _TEXT(length=80), nullable=False),
        sa.Column("recorded_at", _INSTANT(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_certifications_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_certifications")),
        sa.UniqueConstraint("tenant", "report_sha256", name=op.f("uq_certifications_tenant_report_sha256")),
    )
    op.create_index(op.f("ix_certifications_tenant"), "certifications", ["tenant"])
    protect(op.get_bind(), "certifications", Rule.TENANT)


def downgrade() -> None:
    """Forget which examinations were accepted."""
    op.drop_table("certifications")
