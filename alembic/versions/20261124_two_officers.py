"""The database's own guard: no hold is placed, and none is prolonged, that only one officer signed."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# An emergency hold is the exception that the rules know: one officer, reviewed in time or lifted.
_SIGNED_BY_TWO = """
EXISTS (
    SELECT 1 FROM requests r WHERE r.id = NEW.request_id AND (
        (r.legal_basis = 'emergency' AND r.review_by IS NOT NULL)
        OR EXISTS (
            SELECT 1 FROM approvals a
            WHERE a.request_id = r.id AND a.kind = 'approval' AND a.officer_id <> r.officer_id
        )
    )
)
"""
_PROLONGED_BY_TWO = """
EXISTS (
    SELECT 1 FROM requests e JOIN approvals a ON a.request_id = e.id
    WHERE e.original_id = NEW.request_id AND e.action = 'extend' AND e.ends_at >= NEW.ends_at
      AND a.kind = 'approval' AND a.officer_id <> e.officer_id
)
"""
_GUARDS = {
    "orders_signed_by_two": ("INSERT", "NEW.action IN ('freeze', 'extend', 'preserve')", _SIGNED_BY_TWO),
    "orders_prolonged_by_two": ("UPDATE OF ends_at", "NEW.ends_at > OLD.ends_at", _PROLONGED_BY_TWO),
    # An order that was let pass as one thing never becomes another.
    "orders_stay_what_was_signed": (
        "UPDATE OF action, request_id, participant_id, target_id, amount",
        "NEW.action <> OLD.action OR NEW.request_id <> OLD.request_id OR NEW.participant_id <> OLD.participant_id"
        " OR NEW.target_id <> OLD.target_id OR COALESCE(NEW.amount, 0) <> COALESCE(OLD.amount, 0)",
        "1 = 0",
    ),
}


def upgrade() -> None:
    """Create the triggers; each raises its own name."""
    for name, (event, concerned, allowed) in _GUARDS.items():
        if op.get_bind().dialect.name == "sqlite":
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {event} ON orders WHEN {concerned}"
                f" BEGIN SELECT RAISE(ABORT, '{name}') WHERE NOT {allowed}; END"
            )
            continue
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF NOT {allowed} THEN RAISE EXCEPTION '{name}' USING ERRCODE = 'check_violation'; END IF;"
            " RETURN NEW; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {event} ON orders FOR EACH ROW WHEN ({concerned}) EXECUTE FUNCTION {name}()"
        )


def downgrade() -> None:
    """Drop the triggers and their functions."""
    for name in _GUARDS:
        if op.get_bind().dialect.name == "sqlite":
            op.execute(f"DROP TRIGGER {name}")
            continue
        op.execute(f"DROP TRIGGER {name} ON orders")
        op.execute(f"DROP FUNCTION {name}()")
