"""Row-level security on PostgreSQL: who reaches the rows of which table, what the hub's own role may do, and the check.

Whoever adds a table gives it a rule in ``RULES`` and calls ``protect`` in its migration (ADR 0026).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

# The group whose members' logins the hub's processes use: it owns nothing, and is no way around a policy.
ROLE = "hoatoc_app"
READ, WRITE, APPEND, MOVE = "SELECT", "SELECT, INSERT, UPDATE, DELETE", "SELECT, INSERT", "SELECT, INSERT, UPDATE"


class Rule(StrEnum):
    """Who reaches a row when the transaction's reach is one tenant's; under the hub's reach everybody does."""

    TENANT = "tenant"  # the member that it belongs to
    ADDRESSED = "addressed"  # that member, and the participant that it is addressed to
    SUPERVISED = "supervised"  # those two, and the participant's supervisor
    MEMBER = "member"  # everybody reads the network's members, each member changes itself alone
    WRAPPED = "wrapped"  # everybody reads what only the vault unwraps, each member writes its own
    SHARED = "shared"  # everybody reads what the hub's operator keeps for all
    FREE = "free"  # nobody's: it names no tenant, and holds nothing of one


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "acknowledgements": Rule.ADDRESSED,
        "aliases": Rule.SHARED,
        "appeals": Rule.ADDRESSED,
        "approvals": Rule.TENANT,
        "attempts": Rule.TENANT,
        "audit_entries": Rule.TENANT,
        "audit_heads": Rule.TENANT,
        "baselines": Rule.TENANT,
        "calendar_days": Rule.SHARED,
        "callbacks": Rule.TENANT,
        "cases": Rule.TENANT,
        "certifications": Rule.TENANT,
        "clients": Rule.TENANT,
        "console_passkeys": Rule.TENANT,
        "console_sessions": Rule.TENANT,
        "contacts": Rule.TENANT,
        "deadlines": Rule.TENANT,
        "dispatch_queue": Rule.TENANT,
        "dispatches": Rule.ADDRESSED,
        "displays": Rule.TENANT,
        "drafts": Rule.TENANT,
        "endpoint_states": Rule.TENANT,
        "endpoint_proposals": Rule.TENANT,
        "endpoints": Rule.TENANT,
        "erasures": Rule.TENANT,
        "escalations": Rule.SUPERVISED,
        "fact_archives": Rule.SHARED,
        "fact_runs": Rule.TENANT,
        "idempotency_keys": Rule.TENANT,
        "installations": Rule.SHARED,
        "legal_holds": Rule.TENANT,
        "maintenance_windows": Rule.TENANT,
        "nodes": Rule.SHARED,
        "notes": Rule.TENANT,
        "officers": Rule.TENANT,
        "orders": Rule.ADDRESSED,
        "participants": Rule.MEMBER,
        "policies": Rule.SHARED,
        "provider_links": Rule.TENANT,
        "public_keys": Rule.TENANT,
        "requests": Rule.TENANT,
        "restorations": Rule.SHARED,
        "retention_rules": Rule.SHARED,
        "root_keys": Rule.SHARED,
        "sign_in_links": Rule.TENANT,
        "spent_identifiers": Rule.FREE,
        "subject_keys": Rule.WRAPPED,
        "targets": Rule.TENANT,
        "tasks": Rule.TENANT,
        "tenant_keys": Rule.WRAPPED,
        "time_limits": Rule.SHARED,
        "units": Rule.SHARED,
    }
)

# Scalar sub-selects: the settings are read once a statement, not once a row.
_ALL, _ME = "(SELECT hoatoc_reaches_all())", "(SELECT hoatoc_tenant())"
_OWN, _TO_ME = f"tenant = {_ME}", f"participant_id = {_ME}"
_WATCHED = f"participant_id IN (SELECT id FROM participants WHERE supervisor_id = {_ME})"  # noqa: S608 - our own text
_REACHED: Mapping[Rule, tuple[str, ...]] = MappingProxyType(
    {
        Rule.TENANT: (_OWN,),
        Rule.ADDRESSED: (_OWN, _TO_ME),
        Rule.SUPERVISED: (_OWN, _TO_ME, _WATCHED),
        Rule.MEMBER: (f"id = {_ME}",),
        Rule.WRAPPED: (_OWN,),
        Rule.SHARED: (),
    }
)
_READ_BY_ALL = frozenset({Rule.MEMBER, Rule.WRAPPED, Rule.SHARED})

# Facts are written once; a chain's head moves and never goes; what stands for facts is the owner's to write, and so is
# whether all this is real.
_MAY: Mapping[str, str] = MappingProxyType(
    {"audit_entries": APPEND, "audit_heads": MOVE, "fact_archives": READ, "fact_runs": READ, "installations": READ}
)


class Unprotected(Exception):
    """On this database a forgotten condition would show one agency another's rows; ``faults`` says why."""

    def __init__(self, faults: "tuple[Fault, ...]") -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that makes row-level security void: a stable code, and what is wrong in words."""

    code: str
    detail: str

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


def protect(connection: sa.Connection, table: str, rule: Rule) -> None:
    """Give a new table its grants to the hub's role and, forced on its owner too, the policies of its rule.

    For migrations; nothing happens on SQLite, which has no row-level security.
    """
    if connection.dialect.name != "postgresql":
        return
    run = connection.exec_driver_sql
    run(f'GRANT {_MAY.get(table, WRITE)} ON "{table}" TO {ROLE}')
    for sequence in connection.execute(_SEQUENCES, {"table": table}).scalars():
        run(f"GRANT USAGE, SELECT ON SEQUENCE {sequence} TO {ROLE}")
    if rule is Rule.FREE:
        return
    reached = " OR ".join((_ALL, *_REACHED[rule]))
    run(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY')
    run(f'CREATE POLICY hoatoc_rows ON "{table}" USING ({reached}) WITH CHECK ({reached})')
    if rule in _READ_BY_ALL:
        run(f'CREATE POLICY hoatoc_read ON "{table}" FOR SELECT USING (true)')


def expose(connection: sa.Connection, table: str) -> None:
    """Undo ``protect``: for the downgrade of a migration that does not drop the table."""
    if connection.dialect.name != "postgresql":
        return
    run = connection.exec_driver_sql
    for policy in ("hoatoc_rows", "hoatoc_read"):
        run(f'DROP POLICY IF EXISTS {policy} ON "{table}"')
    run(f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY')
    run(f'REVOKE ALL ON "{table}" FROM {ROLE}')


async def faults(conn: AsyncConnection) -> tuple[Fault, ...]:
    """Return what makes row-level security void for this connection's role; nothing on SQLite, which has none.

    A role that is a superuser or has BYPASSRLS is not bound by policies, one that owns a table may switch them off.
    """
    if conn.dialect.name != "postgresql":
        return ()
    found = []
    role = (await conn.execute(_ROLE_NOW)).one()
    if role.super:
        found.append(Fault("role.superuser", f"the hub's login {role.name} is a superuser"))
    elif role.bypass:
        found.append(Fault("role.bypassrls", f"the hub's login {role.name} has BYPASSRLS"))
    owned = (await conn.execute(_OWNED)).scalars().all()
    if owned and not role.super:
        found.append(Fault("role.owner", f"the hub's login {role.name} owns {', '.join(owned)}"))
    if role.creates and not role.super:
        found.append(Fault("role.creates", f"the hub's login {role.name} may create tables in the hub's schema"))
    writable = (await conn.execute(_WRITABLE)).scalar_one()
    if writable and not (role.super or owned):
        found.append(Fault("audit.writable", f"the hub's login {role.name} may change or delete facts"))
    open_tables = [
        row.name for row in (await conn.execute(_TABLES)).all() if needs_policy(row.name) and not row.guarded
    ]
    if open_tables:
        found.append(Fault("rows.unforced", f"no forced row-level security on {', '.join(open_tables)}"))
    return tuple(found)


def needs_policy(table: str) -> bool:
    """Tell whether a table must have forced row-level security; one that nobody gave a rule to must."""
    return table != "alembic_version" and RULES.get(table) is not Rule.FREE


# The sequences that count up a table's keys.
_SEQUENCES = sa.text(
    "SELECT s.oid::regclass FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.deptype IN ('a', 'i')"
    " WHERE s.relkind = 'S' AND d.refobjid = to_regclass(quote_ident(:table))"
)
_ROLE_NOW = sa.text(
    "SELECT current_user AS name, bool_or(rolsuper) AS super, bool_or(rolbypassrls) AS bypass,"
    " has_schema_privilege(current_schema(), 'CREATE') AS creates"
    " FROM pg_roles WHERE rolname IN (current_user, session_user)"
)
_OWNED = sa.text(
    "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm')"
    " AND relnamespace = current_schema()::regnamespace AND pg_has_role(relowner, 'MEMBER') ORDER BY relname"
)
# A month is written through the whole alone: by its own name one would pass the guards that watch over all months.
_WRITABLE = sa.text(
    "SELECT has_table_privilege('audit_entries', 'UPDATE, DELETE, TRUNCATE') OR EXISTS (SELECT 1 FROM pg_inherits"
    " WHERE inhparent = 'audit_entries'::regclass"
    " AND has_table_privilege(inhrelid, 'INSERT, UPDATE, DELETE, TRUNCATE'))"
)
# A view that does not ask as its caller reads past every policy: none may.
_TABLES = sa.text(
    "SELECT c.relname AS name, CASE WHEN c.relkind = 'v' THEN"
    " COALESCE('security_invoker=true' = ANY(c.reloptions) OR 'security_invoker=on' = ANY(c.reloptions), false)"
    " ELSE c.relrowsecurity AND c.relforcerowsecurity"
    " AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polcmd = '*'"
    " AND p.polqual IS NOT NULL AND p.polwithcheck IS NOT NULL) END AS guarded"
    " FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm') AND c.relnamespace = current_schema()::regnamespace"
    " ORDER BY c.relname"
)
