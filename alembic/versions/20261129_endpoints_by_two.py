"""A webhook's address is in force once a second administrator approved it, and the database sees to that itself."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from service.row_security import Rule, protect

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_GUARD = "endpoints_approved_by_two"
_DEFINITION = ("url", "network", "port", "ca_pem", "client_certificate", "max_in_flight", "timeout_seconds", "position")
_WATCHED = (*_DEFINITION, "id", "tenant", "channel", "purpose", "approved_sha256", "proposed_by", "approved_by")

_CONCERNED = "NEW.channel = 'webhook' AND NEW.approved_sha256 IS NOT NULL"
_TWO = (
    "approved_sha256 IS NULL OR (proposed_by IS NOT NULL AND approved_by IS NOT NULL"
    " AND approved_at IS NOT NULL AND approved_by <> proposed_by)"
)
_COLUMNS = (
    ("client_certificate", sa.Text()),
    ("approved_sha256", sqlmodel.sql.sqltypes.AutoString(length=64)),
    ("proposed_by", sqlmodel.sql.sqltypes.AutoString(length=64)),
    ("approved_by", sqlmodel.sql.sqltypes.AutoString(length=64)),
    ("approved_at", sqlmodel.sql.sqltypes.UTCDateTime()),
)


def _approved(same: str) -> str:
    """Return the condition that exactly what the row says was approved, and by another person than proposed it."""
    alike = " AND ".join(f"p.{name} {same} NEW.{name}" for name in (*_DEFINITION, "tenant", "proposed_by"))
    return f"""
EXISTS (
    SELECT 1 FROM endpoint_proposals p
    WHERE p.endpoint_id = NEW.id AND p.state = 'approved' AND p.sha256 = NEW.approved_sha256
      AND p.decided_by = NEW.approved_by AND p.decided_by <> p.proposed_by AND {alike}
)
"""


def upgrade() -> None:
    """Add the proposals. What one person registered before stays, and is not sent to until two let it pass."""
    op.create_table(
        "endpoint_proposals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("url", sqlmodel.sql.sqltypes.AutoString(length=500), nullable=False),
        sa.Column("network", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("ca_pem", sa.Text(), nullable=False),
        sa.Column("client_certificate", sa.Text(), nullable=True),
        sa.Column("max_in_flight", sa.Integer(), nullable=False),
        sa.Column("timeout_seconds", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "proposed",
                "approved",
                "refused",
                "superseded",
                name="proposal_state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("proposed_by", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("proposed_for", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("proposed_key", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("proposed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("decided_by", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("decided_key", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("decided_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint(
            "state <> 'approved' OR (decided_by IS NOT NULL AND decided_by <> proposed_by AND decided_key IS NOT NULL"
            " AND (proposed_key IS NULL OR decided_key <> proposed_key))",
            name=op.f("ck_endpoint_proposals_approved_by_another"),
        ),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["endpoints.id"], name=op.f("fk_endpoint_proposals_endpoint_id_endpoints")
        ),
        sa.ForeignKeyConstraint(
            ["tenant"], ["participants.id"], name=op.f("fk_endpoint_proposals_tenant_participants")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoint_proposals")),
    )
    op.create_index(op.f("ix_endpoint_proposals_tenant"), "endpoint_proposals", ["tenant"])
    op.create_index("ix_endpoint_proposals_endpoint_id", "endpoint_proposals", ["endpoint_id"])
    op.create_index(
        "uq_endpoint_proposals_open",
        "endpoint_proposals",
        ["endpoint_id"],
        unique=True,
        sqlite_where=sa.text("state = 'proposed'"),
        postgresql_where=sa.text("state = 'proposed'"),
    )
    protect(op.get_bind(), "endpoint_proposals", Rule.TENANT)
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        for name, kind in _COLUMNS:
            batch_op.add_column(sa.Column(name, kind, nullable=True))
        batch_op.create_check_constraint(batch_op.f("ck_endpoints_approved_by_another"), sa.text(_TWO))
    _guard("INSERT")
    _guard(f"UPDATE OF {', '.join(_WATCHED)}")


def downgrade() -> None:
    """Forget who approved what."""
    for event in ("insert", "update"):
        name = f"{_GUARD}_on_{event}"
        if op.get_bind().dialect.name == "sqlite":
            op.execute(f"DROP TRIGGER {name}")
            continue
        op.execute(f"DROP TRIGGER {name} ON endpoints")
        op.execute(f"DROP FUNCTION {name}()")
    op.drop_table("endpoint_proposals")
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_endpoints_approved_by_another"), type_="check")
        for name, _ in reversed(_COLUMNS):
            batch_op.drop_column(name)


def _guard(event: str) -> None:
    name = f"{_GUARD}_on_{event.split()[0].lower()}"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {event} ON endpoints WHEN {_CONCERNED}"
            f" BEGIN SELECT RAISE(ABORT, '{_GUARD}') WHERE NOT ({_approved('IS')}); END"
        )
        return
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NOT ({_approved('IS NOT DISTINCT FROM')}) THEN RAISE EXCEPTION '{_GUARD}' USING ERRCODE = 'check_violation'; END IF;"
        " RETURN NEW; END $$"
    )
    # As in 0005: a temporary table of another's making is not asked who approved what.
    schema = op.get_bind().exec_driver_sql("SELECT current_schema()").scalar_one()
    op.execute(f'ALTER FUNCTION {name}() SET search_path = "{schema}", pg_temp')
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {event} ON endpoints FOR EACH ROW WHEN ({_CONCERNED}) EXECUTE FUNCTION {name}()"
    )
