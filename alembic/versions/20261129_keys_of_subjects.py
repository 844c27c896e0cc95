"""Keys of their own for tenants and subjects, the root of the blind indexes, and the ledger of erasures."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from service.row_security import Rule, protect

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_OWNERS = ("request", "officer", "contact", "house")
_RULES = {
    "root_keys": Rule.SHARED,
    "tenant_keys": Rule.WRAPPED,
    "subject_keys": Rule.WRAPPED,
    "erasures": Rule.TENANT,
}
_TEXT = sqlmodel.sql.sqltypes.AutoString
_INSTANT = sqlmodel.sql.sqltypes.UTCDateTime


def upgrade() -> None:
    """Make the tables; what was sealed before stays as it is and is opened by the root (``hoatoc keys rotate vault``)."""
    op.create_table(
        "root_keys",
        sa.Column("name", _TEXT(length=16), nullable=False),
        sa.Column("master", _TEXT(length=64), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _INSTANT(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_root_keys")),
    )
    op.create_table(
        "tenant_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", _TEXT(length=64), nullable=False),
        sa.Column("master", _TEXT(length=64), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _INSTANT(), nullable=False),
        sa.Column("retired_at", _INSTANT(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_tenant_keys_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenant_keys")),
    )
    current = sa.text("retired_at IS NULL")
    op.create_index(op.f("ix_tenant_keys_tenant"), "tenant_keys", ["tenant"])
    op.create_index(
        "uq_tenant_keys_current",
        "tenant_keys",
        ["tenant"],
        unique=True,
        sqlite_where=current,
        postgresql_where=current,
    )
    op.create_table(
        "subject_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", _TEXT(length=64), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(*_OWNERS, name="key_owner", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("subject", _TEXT(length=64), nullable=False),
        sa.Column("tenant_key_id", sa.Uuid(), nullable=True),
        sa.Column("wrapped", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", _INSTANT(), nullable=False),
        sa.Column("destroyed_at", _INSTANT(), nullable=True),
        sa.CheckConstraint(
            "(wrapped IS NULL) = (destroyed_at IS NOT NULL) AND (wrapped IS NULL) = (tenant_key_id IS NULL)",
            name=op.f("ck_subject_keys_whole_or_destroyed"),
        ),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_subject_keys_tenant")),
        sa.ForeignKeyConstraint(["tenant_key_id"], ["tenant_keys.id"], name=op.f("fk_subject_keys_tenant_key_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subject_keys")),
        sa.UniqueConstraint("tenant", "kind", "subject", name=op.f("uq_subject_keys_tenant_kind_subject")),
    )
    op.create_index(op.f("ix_subject_keys_tenant_key_id"), "subject_keys", ["tenant_key_id"])
    op.create_table(
        "erasures",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("tenant", _TEXT(length=64), nullable=False),
        sa.Column("decision", _TEXT(length=64), nullable=False),
        sa.Column("asked_by", _TEXT(length=80), nullable=False),
        sa.Column("asked_at", _INSTANT(), nullable=False),
        sa.Column("confirmed_by", _TEXT(length=80), nullable=True),
        sa.Column("erased_at", _INSTANT(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_erasures_tenant")),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_erasures")),
    )
    op.create_index(op.f("ix_erasures_tenant"), "erasures", ["tenant"])
    for table, rule in _RULES.items():
        protect(op.get_bind(), table, rule)
    if op.get_bind().dialect.name == "postgresql":
        # A destroyed key is an old version of its row until it is vacuumed: here one is enough to be worth it.
        op.execute("ALTER TABLE subject_keys SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0)")


def downgrade() -> None:
    """Drop the tables, and with them everything that was sealed since: for a database without data."""
    for table in ("erasures", "subject_keys", "tenant_keys", "root_keys"):
        op.drop_table(table)
