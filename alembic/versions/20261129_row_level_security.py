"""PostgreSQL only: forced row-level security on every table, and the role of the hub's processes, which owns nothing."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from service.row_security import READ, ROLE, Rule, expose, protect

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_RULES = {
    Rule.TENANT: (
        "approvals attempts audit_entries audit_heads baselines callbacks cases clients console_sessions contacts"
        " deadlines dispatch_queue endpoint_states endpoints idempotency_keys officers public_keys requests"
        " sign_in_links targets tasks"
    ),
    Rule.ADDRESSED: "acknowledgements appeals dispatches orders",
    Rule.SUPERVISED: "escalations",
    Rule.MEMBER: "participants",
    Rule.SHARED: "aliases calendar_days nodes policies time_limits units",
    Rule.FREE: "spent_identifiers",
}
# Whatever was set for an earlier transaction is '' afterwards, never NULL again: neither is anybody's tenant.
_FUNCTIONS = (
    "CREATE FUNCTION hoatoc_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS"
    " $$ SELECT NULLIF(pg_catalog.current_setting('hoatoc.tenant', true), '') $$",
    "CREATE FUNCTION hoatoc_reaches_all() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS"
    " $$ SELECT COALESCE(pg_catalog.current_setting('hoatoc.reach', true) = 'hub', false) $$",
)
# The role is the server's, not the database's: another hub on it, or another start of this one, may have made it.
_MAKE_ROLE = f"""
DO $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{ROLE}') THEN CREATE ROLE {ROLE} NOLOGIN; END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the migrating role may not create roles: let an administrator run CREATE ROLE {ROLE} NOLOGIN';
END $$
"""
_GUARDS = ("orders_signed_by_two", "orders_prolonged_by_two", "orders_stay_what_was_signed")


def upgrade() -> None:
    """Create the role and the policies, and keep with each appeal the reference that its participant may know."""
    with op.batch_alter_table("appeals", schema=None) as batch_op:
        batch_op.add_column(sa.Column("request_reference", sqlmodel.sql.sqltypes.AutoString(length=24), nullable=True))
    op.execute(
        "UPDATE appeals SET request_reference = (SELECT r.reference FROM requests r WHERE r.id = appeals.request_id)"
    )
    with op.batch_alter_table("appeals", schema=None) as batch_op:
        batch_op.alter_column(
            "request_reference", existing_type=sqlmodel.sql.sqltypes.AutoString(length=24), nullable=False
        )
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    for statement in (*_FUNCTIONS, _MAKE_ROLE):
        connection.exec_driver_sql(statement)
    schema = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
    database = connection.exec_driver_sql("SELECT current_database()").scalar_one()
    connection.exec_driver_sql(f'GRANT USAGE ON SCHEMA "{schema}" TO {ROLE}')
    connection.exec_driver_sql(f"GRANT {READ} ON alembic_version TO {ROLE}")
    # A temporary table called "requests" would be found before ours by whatever looks a name up.
    connection.exec_driver_sql(f'REVOKE TEMPORARY ON DATABASE "{database}" FROM PUBLIC')
    for guard in _GUARDS:
        connection.exec_driver_sql(f'ALTER FUNCTION {guard}() SET search_path = "{schema}", pg_temp')
    for rule, tables in _RULES.items():
        for table in tables.split():
            protect(connection, table, rule)


def downgrade() -> None:
    """Take the policies and grants away; the role stays, for it may be another database's too."""
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        for tables in _RULES.values():
            for table in tables.split():
                expose(connection, table)
        connection.exec_driver_sql(f"REVOKE ALL ON alembic_version FROM {ROLE}")
        schema = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
        connection.exec_driver_sql(f'REVOKE ALL ON SCHEMA "{schema}" FROM {ROLE}')
        for sequence in connection.exec_driver_sql(
            "SELECT c.oid::regclass FROM pg_class c"
            " WHERE c.relkind = 'S' AND c.relnamespace = current_schema()::regnamespace"
        ).scalars():
            connection.exec_driver_sql(f"REVOKE ALL ON SEQUENCE {sequence} FROM {ROLE}")
        for guard in _GUARDS:
            connection.exec_driver_sql(f"ALTER FUNCTION {guard}() RESET search_path")
        for function in ("hoatoc_tenant", "hoatoc_reaches_all"):
            connection.exec_driver_sql(f"DROP FUNCTION {function}()")
    with op.batch_alter_table("appeals", schema=None) as batch_op:
        batch_op.drop_column("request_reference")
