"""PostgreSQL: facts lie in one partition a month, and are still each one's only; both: which months are archived."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from service.row_security import ROLE, Rule, protect

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_TEXT = sqlmodel.sql.sqltypes.AutoString
_INSTANT = sqlmodel.sql.sqltypes.UTCDateTime
_KINDS = ("refused_request", "ended_measure", "delivery_body", "officer_name")

_COLUMNS = (
    "id, tenant, chain, sequence, request_id, code, actor_kind, actor_id, actor_tenant, at, data, deadline_id,"
    " previous, hash"
)
# Both ways: the table gets a new form under its own name, and what was in the former one goes over.
_BEFORE = ("ALTER TABLE audit_entries RENAME TO audit_entries_before",)
_COPY = f"INSERT INTO audit_entries ({_COLUMNS}) SELECT {_COLUMNS} FROM audit_entries_before"
_AFTER = (
    "ALTER SEQUENCE audit_entries_id_seq OWNED BY audit_entries.id",
    "DROP TABLE audit_entries_before",
    "CREATE INDEX ix_audit_entries_request_id ON audit_entries (request_id)",
)
_GUARD = "ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
_REACHED = "(SELECT hoatoc_reaches_all()) OR tenant = (SELECT hoatoc_tenant())"
_POLICY = f"USING ({_REACHED}) WITH CHECK ({_REACHED})"
_DIVIDED = (
    "CREATE TABLE audit_entries (LIKE audit_entries_before INCLUDING DEFAULTS) PARTITION BY RANGE (at)",
    # What no month takes must not be refused: it waits here, is moved by whoever makes its month, and a doctor tells.
    "CREATE TABLE audit_entries_default PARTITION OF audit_entries DEFAULT",
    f"ALTER TABLE audit_entries_default {_GUARD}, ADD CONSTRAINT uq_audit_entries_default UNIQUE (chain, sequence)",
    f"CREATE POLICY hoatoc_rows ON audit_entries_default {_POLICY}",
    # To count what is there; nothing is written but through the whole.
    f"GRANT SELECT ON audit_entries_default TO {ROLE}",
)
# Attached, not made as a partition: that would lock the whole table out of use. This locks the default partition
# alone, and no reader makes it wait for longer than half a second: it is tried again within the hour.
_MAKE_MONTH = f"""
CREATE FUNCTION hoatoc_make_month(month date) RETURNS bigint LANGUAGE plpgsql
SET search_path = "{{schema}}", pg_temp SET lock_timeout = '500ms' AS $$
DECLARE
    part text := 'audit_entries_' || to_char(month, 'YYYY_MM');
    starts timestamptz := month::timestamp AT TIME ZONE 'UTC';
    ends timestamptz := (month::timestamp + interval '1 month') AT TIME ZONE 'UTC';
    strays bigint;
BEGIN
    IF to_regclass(quote_ident(part)) IS NOT NULL THEN RETURN 0; END IF;
    LOCK TABLE ONLY audit_entries IN SHARE UPDATE EXCLUSIVE MODE;
    LOCK TABLE audit_entries_default IN ACCESS EXCLUSIVE MODE;
    IF to_regclass(quote_ident(part)) IS NOT NULL THEN RETURN 0; END IF;
    EXECUTE format('CREATE TABLE %I (LIKE audit_entries INCLUDING DEFAULTS)', part);
    EXECUTE format('ALTER TABLE %I {_GUARD}, ADD CONSTRAINT %I UNIQUE (chain, sequence)', part, 'uq_' || part);
    EXECUTE format('CREATE POLICY hoatoc_rows ON %I {_POLICY}', part);
    EXECUTE format(
        'WITH strays AS (DELETE FROM audit_entries_default WHERE at >= %L AND at < %L RETURNING *)'
        ' INSERT INTO %I SELECT * FROM strays', starts, ends, part);
    GET DIAGNOSTICS strays = ROW_COUNT;
    EXECUTE format('ALTER TABLE audit_entries ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part, starts, ends);
    RETURN strays;
END $$
"""
# The hub's own login makes no table. It may have the owner make those of this month and the next three, nothing else.
_MAKE_MONTHS = """
CREATE FUNCTION hoatoc_make_months() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = "{schema}", pg_temp AS $$
DECLARE
    this timestamp := date_trunc('month', hub_now() AT TIME ZONE 'UTC');
    month date;
    strays bigint := 0;
BEGIN
    FOR month IN
        SELECT (this + interval '1 month' * g)::date FROM generate_series(0, 3) g
        UNION SELECT date_trunc('month', at AT TIME ZONE 'UTC')::date FROM audit_entries_default ORDER BY 1
    LOOP strays := strays + hoatoc_make_month(month); END LOOP;
    RETURN strays;
END $$
"""
# The owner's alone: what goes must be in its archive, fact by fact, and nobody waits for it longer than this.
_DROP_MONTH = """
CREATE FUNCTION hoatoc_drop_month(month date, archived bigint) RETURNS void LANGUAGE plpgsql
SET search_path = "{schema}", pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    part text := 'audit_entries_' || to_char(month, 'YYYY_MM');
    found bigint;
BEGIN
    -- Nobody writes while it is counted; who reads all months holds the parent first, and so does DETACH.
    EXECUTE format('LOCK TABLE %I IN SHARE MODE', part);
    EXECUTE format('SELECT count(*) FROM %I', part) INTO found;
    IF found <> archived THEN RAISE EXCEPTION 'month_not_archived' USING ERRCODE = 'check_violation'; END IF;
    EXECUTE format('ALTER TABLE audit_entries DETACH PARTITION %I', part);
    EXECUTE format('DROP TABLE %I', part);
END $$
"""
_MONTHS = (
    "REVOKE ALL ON FUNCTION hoatoc_make_month(date), hoatoc_make_months(), hoatoc_drop_month(date, bigint) FROM PUBLIC",
    f"GRANT EXECUTE ON FUNCTION hoatoc_make_months() TO {ROLE}",
    "SELECT hoatoc_make_month(found.month) FROM (SELECT DISTINCT date_trunc('month', at AT TIME ZONE 'UTC')::date"
    " AS month FROM audit_entries_before) AS found",
    "SELECT hoatoc_make_months()",
    _COPY,
    *_AFTER,
    "ALTER TABLE audit_entries ADD CONSTRAINT pk_audit_entries PRIMARY KEY (id, at)",
)
# A divided table is unique only together with the instant that divides it. What must hold over all months has a place
# of its own: that a deadline fires once stands in this table, that a chain has each number once in the chain's head.
_FIRED = (
    "CREATE TABLE fired_deadlines (deadline_id bigint CONSTRAINT pk_fired_deadlines PRIMARY KEY)",
    f"ALTER TABLE fired_deadlines {_GUARD}",
    "CREATE POLICY hoatoc_rows ON fired_deadlines USING (true) WITH CHECK (true)",
    "INSERT INTO fired_deadlines SELECT deadline_id FROM audit_entries WHERE deadline_id IS NOT NULL",
)
# As the owner: the hub's own login has no other way to that table. A row at a time, so that most facts cost nothing.
_ONCE = """
CREATE FUNCTION deadline_fires_once() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = "{schema}", pg_temp AS $$ BEGIN
    INSERT INTO fired_deadlines VALUES (NEW.deadline_id);
    RETURN NULL;
END $$
"""
_MOVE_ON = """
CREATE FUNCTION audit_heads_move_on() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'audit_heads_move_on' USING ERRCODE = 'unique_violation';
END $$
"""
_TRIGGERS = (
    "CREATE TRIGGER deadline_fires_once AFTER INSERT ON audit_entries FOR EACH ROW"
    " WHEN (NEW.deadline_id IS NOT NULL) EXECUTE FUNCTION deadline_fires_once()",
    "CREATE TRIGGER audit_heads_move_on BEFORE UPDATE OF sequence, hash ON audit_heads FOR EACH ROW"
    " WHEN (NEW.sequence <= OLD.sequence) EXECUTE FUNCTION audit_heads_move_on()",
)
_WHOLE = (
    "DROP TRIGGER audit_heads_move_on ON audit_heads",
    "CREATE TABLE audit_entries (LIKE audit_entries_before INCLUDING DEFAULTS)",
    _COPY,
    *_AFTER,
    "DROP TABLE fired_deadlines",
    "DROP FUNCTION hoatoc_make_months(), hoatoc_make_month(date), hoatoc_drop_month(date, bigint)",
    "DROP FUNCTION deadline_fires_once(), audit_heads_move_on()",
    "ALTER TABLE audit_entries ADD CONSTRAINT pk_audit_entries PRIMARY KEY (id),"
    " ADD CONSTRAINT uq_audit_entries_chain_sequence UNIQUE (chain, sequence),"
    " ADD CONSTRAINT uq_audit_entries_deadline_id UNIQUE (deadline_id)",
)


def upgrade() -> None:
    """Divide the facts that are there by their months, make the coming months, and keep what archives say."""
    connection = op.get_bind()
    op.create_table(
        "fact_archives",
        sa.Column("month", _TEXT(length=7), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("archived_by", _TEXT(length=80), nullable=False),
        sa.Column("archived_at", _INSTANT(), nullable=False),
        sa.Column("dropped_at", _INSTANT(), nullable=True),
        sa.PrimaryKeyConstraint("month", name=op.f("pk_fact_archives")),
    )
    op.create_table(
        "fact_runs",
        sa.Column("chain", _TEXT(length=80), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("tenant", _TEXT(length=64), nullable=False),
        sa.Column("month", _TEXT(length=7), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["month"], ["fact_archives.month"], name=op.f("fk_fact_runs_month")),
        sa.PrimaryKeyConstraint("chain", "first", name=op.f("pk_fact_runs")),
    )
    op.create_index(op.f("ix_fact_runs_month"), "fact_runs", ["month"])
    protect(connection, "fact_archives", Rule.SHARED)
    protect(connection, "fact_runs", Rule.TENANT)
    _kinds((*_KINDS, "fact"))
    if connection.dialect.name != "postgresql":
        return
    schema = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
    makers = tuple(text.format(schema=schema) for text in (_MAKE_MONTH, _MAKE_MONTHS, _DROP_MONTH))
    guards = (_ONCE.format(schema=schema), _MOVE_ON)
    for statement in (*_BEFORE, *_DIVIDED, *makers, *_MONTHS, *_FIRED, *guards, *_TRIGGERS):
        connection.exec_driver_sql(statement)
    protect(connection, "audit_entries", Rule.TENANT)


def downgrade() -> None:
    """Bring the months together again. Raises where one of them lies in its archive alone."""
    connection = op.get_bind()
    gone = connection.exec_driver_sql("SELECT count(*) FROM fact_archives WHERE dropped_at IS NOT NULL").scalar_one()
    if gone:
        raise RuntimeError(
            f"{gone} months of facts are in their archives alone: the former build cannot verify without"
        )
    op.execute("DELETE FROM retention_rules WHERE kind = 'fact'")
    _kinds(_KINDS)
    op.drop_table("fact_runs")
    op.drop_table("fact_archives")
    if connection.dialect.name == "postgresql":
        for statement in (*_BEFORE, *_WHOLE):
            connection.exec_driver_sql(statement)
        protect(connection, "audit_entries", Rule.TENANT)


def _kinds(kinds: tuple[str, ...]) -> None:
    with op.batch_alter_table("retention_rules", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_retention_rules_record_kind"), type_="check")
        batch_op.create_check_constraint(batch_op.f("ck_retention_rules_record_kind"), sa.column("kind").in_(kinds))
