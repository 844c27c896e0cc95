"""Ways to sign in: people of an identity provider, passkeys, and screens on a wall; sessions that can be told apart."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

from service.row_security import Rule, protect

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_ROLES = (
    *("maker", "approver", "reader", "agency_admin", "participant_operator", "supervisor", "coordinator", "auditor"),
    "hub_admin",
)
_WAYS = ("link", "provider", "passkey")


def _code(name: str, codes: tuple[str, ...]) -> sa.Enum:
    return sa.Enum(*codes, name=name, native_enum=False, create_constraint=True, length=32)


def upgrade() -> None:
    """Make the tables. Nobody knows by which browser the sessions of before came: whoever is in signs in once more."""
    op.execute("DELETE FROM console_sessions")
    with op.batch_alter_table("console_sessions") as sessions:
        sessions.add_column(sa.Column("id", sa.Uuid(), nullable=False))
        sessions.add_column(sa.Column("way", _code("way", _WAYS), nullable=False))
        sessions.add_column(sa.Column("browser", AutoString(length=32), nullable=False))
        sessions.add_column(sa.Column("provider_session", sa.LargeBinary(), nullable=True))
        sessions.add_column(sa.Column("provider_subject", sa.LargeBinary(), nullable=True))
        sessions.create_unique_constraint(op.f("uq_console_sessions_id"), ["id"])
    for column in ("provider_session", "provider_subject"):
        op.create_index(op.f(f"ix_console_sessions_{column}"), "console_sessions", [column])
    op.create_table(
        "provider_links",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("tenant", AutoString(length=64), nullable=False),
        sa.Column("person", AutoString(length=64), nullable=False),
        sa.Column("role", _code("role", _ROLES), nullable=False),
        sa.Column("created_by", AutoString(length=80), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_provider_links_tenant_participants")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_provider_links")),
    )
    op.create_table(
        "console_passkeys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("credential_id", sa.String(length=1364), nullable=False),
        sa.Column("tenant", AutoString(length=64), nullable=False),
        sa.Column("person", AutoString(length=64), nullable=False),
        sa.Column("role", _code("role", _ROLES), nullable=False),
        sa.Column("jwk", sa.JSON(), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("browser", AutoString(length=32), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("used_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_console_passkeys_tenant_participants")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_console_passkeys")),
        sa.UniqueConstraint("credential_id", name=op.f("uq_console_passkeys_credential_id")),
    )
    op.create_table(
        "displays",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", AutoString(length=64), nullable=False),
        sa.Column("name", AutoString(length=60), nullable=False),
        sa.Column("created_by", AutoString(length=64), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("code_digest", sa.LargeBinary(), nullable=True),
        sa.Column("code_ends_at", UTCDateTime(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("browser", AutoString(length=32), nullable=True),
        sa.Column("paired_at", UTCDateTime(), nullable=True),
        sa.Column("seen_at", UTCDateTime(), nullable=True),
        sa.Column("ends_at", UTCDateTime(), nullable=False),
        sa.Column("revoked_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_displays_tenant_participants")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_displays")),
        sa.UniqueConstraint("code_digest", name=op.f("uq_displays_code_digest")),
        sa.UniqueConstraint("digest", name=op.f("uq_displays_digest")),
    )
    for table in ("provider_links", "console_passkeys", "displays"):
        protect(op.get_bind(), table, Rule.TENANT)


def downgrade() -> None:
    """Drop them, and what sessions have since."""
    for table in ("displays", "console_passkeys", "provider_links"):
        op.drop_table(table)
    for column in ("provider_session", "provider_subject"):
        op.drop_index(op.f(f"ix_console_sessions_{column}"), "console_sessions")
    with op.batch_alter_table("console_sessions") as sessions:
        sessions.drop_constraint(op.f("uq_console_sessions_id"), type_="unique")
        sessions.drop_constraint(op.f("ck_console_sessions_way"), type_="check")
        for column in ("provider_subject", "provider_session", "browser", "way", "id"):
            sessions.drop_column(column)
