"""PostgreSQL only: the hub's clock as a function, and storage settings of the two tables that churn."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# STABLE although it reads the clock: a volatile function in a WHERE clause keeps the index on the due instant unused.
_HUB_NOW = """
CREATE FUNCTION hub_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT clock_timestamp()'
"""
_STORAGE = {
    "dispatch_queue": "fillfactor=70, autovacuum_vacuum_scale_factor=0.01, autovacuum_vacuum_threshold=500,"
    " autovacuum_vacuum_cost_delay=0",
    "deadlines": "fillfactor=70, autovacuum_vacuum_scale_factor=0.02",
    "audit_heads": "fillfactor=70",
}


def upgrade() -> None:
    """Create ``hub_now()`` and leave room for updates in place; SQLite registers the function per connection."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(_HUB_NOW)
    for table, settings in _STORAGE.items():
        op.execute(f"ALTER TABLE {table} SET ({settings})")


def downgrade() -> None:
    """Drop ``hub_now()`` and the settings."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute("DROP FUNCTION hub_now()")
    for table, settings in _STORAGE.items():
        names = ", ".join(setting.split("=")[0].strip() for setting in settings.split(","))
        op.execute(f"ALTER TABLE {table} RESET ({names})")
