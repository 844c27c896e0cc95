"""What a review found: orders are placed only for active requests, and persons alone release what is held."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ORDERS_GUARD = "orders_signed_by_two"
_HOLDS = "NEW.action IN ('freeze', 'extend', 'preserve')"
# An emergency hold is the exception that the rules know: one officer, reviewed in time or lifted.
_BY_TWO = """
(r.legal_basis = 'emergency' AND r.review_by IS NOT NULL)
OR EXISTS (
    SELECT 1 FROM approvals a WHERE a.request_id = r.id AND a.kind = 'approval' AND a.officer_id <> r.officer_id
)
"""
# Nothing is sent of what waits for its second officer or for a call-back, be it a hold, a takedown or a lift.
_ACTIVE = f"""
EXISTS (
    SELECT 1 FROM requests r
    WHERE r.id = NEW.request_id AND r.state = 'active' AND (NOT ({_HOLDS}) OR {_BY_TWO})
)
"""
_BEFORE = f"EXISTS (SELECT 1 FROM requests r WHERE r.id = NEW.request_id AND ({_BY_TWO}))"

_TASKS = (
    "unreachable_participant",
    "not_mine",
    "contradicting_answer",
    "dead_dispatch",
    "endpoint_down",
    "callback",
    "appeal",
)

# What the officer signed who withdraws a request, or gives the first answer to an appeal.
_SIGNED = (
    ("requests", "withdrawn_by", sqlmodel.sql.sqltypes.AutoString(length=64)),
    ("requests", "withdrawal_sealed", sa.LargeBinary()),
    ("requests", "withdrawal_signature", sa.Text()),
    ("appeals", "answer_signature", sa.Text()),
)


def upgrade() -> None:
    """Tighten the guard, and let a task tell that an agency lifts more than it usually does."""
    _drop_guard()
    _task_kinds((*_TASKS, "unusual_lifts"))
    # What a system confirmed while it could does not release anything any more; the facts keep that it did.
    op.execute("DELETE FROM callbacks WHERE outcome = 'confirmed' AND person IN (SELECT id FROM clients)")
    _guard("1 = 1", _ACTIVE)
    for table, name, kind in _SIGNED:
        op.add_column(table, sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    """Restore the guard as 0003 made it."""
    for table, name, _ in _SIGNED:
        op.drop_column(table, name)
    _drop_guard()
    op.execute("DELETE FROM tasks WHERE kind = 'unusual_lifts'")
    _task_kinds(_TASKS)
    _guard(_HOLDS, _BEFORE)


def _task_kinds(kinds: tuple[str, ...]) -> None:
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_tasks_task_kind"), type_="check")
        batch_op.create_check_constraint(batch_op.f("ck_tasks_task_kind"), sa.column("kind").in_(kinds))


def _drop_guard() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"DROP TRIGGER {_ORDERS_GUARD}")
        return
    op.execute(f"DROP TRIGGER {_ORDERS_GUARD} ON orders")
    op.execute(f"DROP FUNCTION {_ORDERS_GUARD}()")


def _guard(concerned: str, allowed: str) -> None:
    name = _ORDERS_GUARD
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {name} BEFORE INSERT ON orders WHEN {concerned}"
            f" BEGIN SELECT RAISE(ABORT, '{name}') WHERE NOT {allowed}; END"
        )
        return
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NOT {allowed} THEN RAISE EXCEPTION '{name}' USING ERRCODE = 'check_violation'; END IF;"
        " RETURN NEW; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {name} BEFORE INSERT ON orders FOR EACH ROW WHEN ({concerned}) EXECUTE FUNCTION {name}()"
    )
