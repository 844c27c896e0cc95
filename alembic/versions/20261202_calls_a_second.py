"""An endpoint may bear only so many calls a second, and two administrators approve that like the rest."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_GUARD = "endpoints_approved_by_two"
_CALLED = ("url", "network", "port", "ca_pem", "client_certificate", "max_in_flight", "timeout_seconds", "position")
_BEFORE = (*_CALLED, "batch")
_CONCERNED = "NEW.channel IN ('webhook', 'iso20022', 'etsi') AND NEW.approved_sha256 IS NOT NULL"


def upgrade() -> None:
    """Add the rate, which nobody has said yet, to what must be as it was approved."""
    for table in ("endpoint_proposals", "endpoints"):
        op.add_column(table, sa.Column("max_per_second", sa.Integer(), nullable=True))
    _drop_guards()
    _guard((*_BEFORE, "max_per_second"))


def downgrade() -> None:
    """Forget the rates: calls begin as soon as there is room."""
    _drop_guards()
    # An approval of a definition with a rate is none of the definition without it.
    op.execute("UPDATE endpoints SET approved_sha256 = NULL WHERE max_per_second IS NOT NULL")
    for table in ("endpoints", "endpoint_proposals"):
        op.drop_column(table, "max_per_second")
    _guard(_BEFORE)


def _drop_guards() -> None:
    for event in ("insert", "update"):
        name = f"{_GUARD}_on_{event}"
        if op.get_bind().dialect.name == "sqlite":
            op.execute(f"DROP TRIGGER {name}")
            continue
        op.execute(f"DROP TRIGGER {name} ON endpoints")
        op.execute(f"DROP FUNCTION {name}()")


def _guard(definition: tuple[str, ...]) -> None:
    watched = (*definition, "id", "tenant", "channel", "purpose", "approved_sha256", "proposed_by", "approved_by")
    for event in ("INSERT", f"UPDATE OF {', '.join(watched)}"):
        name = f"{_GUARD}_on_{event.split()[0].lower()}"
        if op.get_bind().dialect.name == "sqlite":
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {event} ON endpoints WHEN {_CONCERNED}"
                f" BEGIN SELECT RAISE(ABORT, '{_GUARD}') WHERE NOT ({_approved(definition, 'IS')}); END"
            )
            continue
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF NOT ({_approved(definition, 'IS NOT DISTINCT FROM')}) THEN"
            f" RAISE EXCEPTION '{_GUARD}' USING ERRCODE = 'check_violation'; END IF; RETURN NEW; END $$"
        )
        # As in 0005: a temporary table of another's making is not asked who approved what.
        schema = op.get_bind().exec_driver_sql("SELECT current_schema()").scalar_one()
        op.execute(f'ALTER FUNCTION {name}() SET search_path = "{schema}", pg_temp')
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {event} ON endpoints FOR EACH ROW WHEN ({_CONCERNED})"
            f" EXECUTE FUNCTION {name}()"
        )


def _approved(definition: tuple[str, ...], same: str) -> str:
    """Return the condition that exactly what the row says was approved, and by another person than proposed it."""
    alike = " AND ".join(f"p.{name} {same} NEW.{name}" for name in (*definition, "tenant", "proposed_by"))
    return f"""
EXISTS (
    SELECT 1 FROM endpoint_proposals p
    WHERE p.endpoint_id = NEW.id AND p.state = 'approved' AND p.sha256 = NEW.approved_sha256
      AND p.decided_by = NEW.approved_by AND p.decided_by <> p.proposed_by AND {alike}
)
"""
