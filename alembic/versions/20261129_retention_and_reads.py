"""The retention table's own terms, legal holds, digests in the place of delivery bodies, and restorations."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from service.row_security import Rule, protect

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_RULES = {"retention_rules": Rule.SHARED, "legal_holds": Rule.TENANT, "restorations": Rule.SHARED}
_TEXT = sqlmodel.sql.sqltypes.AutoString
_INSTANT = sqlmodel.sql.sqltypes.UTCDateTime
_WHOLE = sa.text("reduced_at IS NULL AND settled_at IS NOT NULL")


def upgrade() -> None:
    """Make the tables; what was delivered long ago is reduced by the first run of the housekeeping."""
    op.create_table(
        "retention_rules",
        sa.Column("id", sa.Uuid(), nullable=False),
        _code("kind", ("refused_request", "ended_measure", "delivery_body"), "record_kind"),
        sa.Column("keep", _TEXT(length=16), nullable=False),
        sa.Column("source", _TEXT(length=200), nullable=False),
        sa.Column("proposed_by", _TEXT(length=80), nullable=False),
        sa.Column("proposed_at", _INSTANT(), nullable=False),
        sa.Column("approved_by", _TEXT(length=80), nullable=True),
        sa.Column("approved_at", _INSTANT(), nullable=True),
        sa.CheckConstraint(
            "approved_by IS NULL OR approved_by <> proposed_by",
            name=op.f("ck_retention_rules_approved_by_another"),
        ),
        sa.CheckConstraint(
            "(approved_by IS NULL) = (approved_at IS NULL)", name=op.f("ck_retention_rules_approved_whole")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_rules")),
    )
    op.create_table(
        "legal_holds",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", _TEXT(length=64), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        _code("reason", ("court", "inspection", "data_subject"), "hold_reason"),
        sa.Column("placed_by", _TEXT(length=80), nullable=False),
        sa.Column("placed_at", _INSTANT(), nullable=False),
        sa.Column("released_by", _TEXT(length=80), nullable=True),
        sa.Column("released_at", _INSTANT(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_legal_holds_tenant")),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name=op.f("fk_legal_holds_request_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legal_holds")),
    )
    op.create_index(op.f("ix_legal_holds_request_id"), "legal_holds", ["request_id"])
    op.create_table(
        "restorations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("backup_at", _INSTANT(), nullable=False),
        sa.Column("manifest_sha256", _TEXT(length=64), nullable=False),
        sa.Column("restored_by", _TEXT(length=80), nullable=False),
        sa.Column("restored_at", _INSTANT(), nullable=False),
        sa.Column("released_by", _TEXT(length=80), nullable=True),
        sa.Column("released_at", _INSTANT(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restorations")),
    )
    for table, rule in _RULES.items():
        protect(op.get_bind(), table, rule)
    op.add_column("dispatches", sa.Column("reduced_at", _INSTANT(), nullable=True))
    op.add_column("dispatches", sa.Column("message_sha256", _TEXT(length=64), nullable=True))
    op.add_column("attempts", sa.Column("answer_head_sha256", _TEXT(length=64), nullable=True))
    op.create_index("ix_dispatches_whole", "dispatches", ["settled_at"], sqlite_where=_WHOLE, postgresql_where=_WHOLE)


def downgrade() -> None:
    """Drop them; a body that was reduced to its digest does not come back."""
    op.drop_index("ix_dispatches_whole", table_name="dispatches")
    op.drop_column("attempts", "answer_head_sha256")
    op.drop_column("dispatches", "message_sha256")
    op.drop_column("dispatches", "reduced_at")
    op.drop_table("restorations")
    op.drop_index(op.f("ix_legal_holds_request_id"), table_name="legal_holds")
    op.drop_table("legal_holds")
    op.drop_table("retention_rules")


def _code(name: str, members: tuple[str, ...], kind: str) -> sa.Column[str]:
    return sa.Column(
        name, sa.Enum(*members, name=kind, native_enum=False, create_constraint=True, length=32), nullable=False
    )
