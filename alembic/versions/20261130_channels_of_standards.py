"""Endpoints and dispatches may speak ISO 20022 and ETSI TS 103 120; what two approve covers them like a webhook."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_BEFORE = ("webhook", "pull", "email")
_NOW = ("webhook", "iso20022", "etsi", "pull", "email")
_GUARD = "endpoints_approved_by_two"
_DEFINITION = ("url", "network", "port", "ca_pem", "client_certificate", "max_in_flight", "timeout_seconds", "position")
_WATCHED = (*_DEFINITION, "id", "tenant", "channel", "purpose", "approved_sha256", "proposed_by", "approved_by")
_CALLED_BEFORE = "NEW.channel = 'webhook'"
_CALLED_NOW = "NEW.channel IN ('webhook', 'iso20022', 'etsi')"


def upgrade() -> None:
    """Let the two channels in, and guard the addresses behind them."""
    _change(_NOW, _CALLED_NOW)


def downgrade() -> None:
    """Know the three channels of before; fails where an endpoint speaks one of the two."""
    _change(_BEFORE, _CALLED_BEFORE)


def _change(channels: tuple[str, ...], called: str) -> None:
    # SQLite drops the triggers of a table with the table that the new one takes the place of.
    for event in ("insert", "update"):
        _drop(event)
    for table in ("endpoints", "dispatches"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_constraint(batch_op.f(f"ck_{table}_channel"), type_="check")
            batch_op.create_check_constraint(batch_op.f(f"ck_{table}_channel"), sa.column("channel").in_(channels))
    _guard("insert", "INSERT", called)
    _guard("update", f"UPDATE OF {', '.join(_WATCHED)}", called)


def _drop(event: str) -> None:
    on = "" if op.get_bind().dialect.name == "sqlite" else " ON endpoints"
    op.execute(f"DROP TRIGGER {_GUARD}_on_{event}{on}")


def _guard(event: str, when: str, called: str) -> None:
    name, concerned = f"{_GUARD}_on_{event}", f"{called} AND NEW.approved_sha256 IS NOT NULL"
    if op.get_bind().dialect.name != "sqlite":
        # The function of 0006 stays: only when it is asked has changed.
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {when} ON endpoints FOR EACH ROW WHEN ({concerned}) EXECUTE FUNCTION {name}()"
        )
        return
    alike = " AND ".join(f"p.{column} IS NEW.{column}" for column in (*_DEFINITION, "tenant", "proposed_by"))
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {when} ON endpoints WHEN {concerned}"
        f" BEGIN SELECT RAISE(ABORT, '{_GUARD}') WHERE NOT EXISTS ("
        "SELECT 1 FROM endpoint_proposals p WHERE p.endpoint_id = NEW.id AND p.state = 'approved'"
        " AND p.sha256 = NEW.approved_sha256 AND p.decided_by = NEW.approved_by AND p.decided_by <> p.proposed_by"
        f" AND {alike}); END"
    )
