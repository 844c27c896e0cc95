"""What people write about requests, sealed, for the colleagues of their house."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

from service.row_security import Rule, protect

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of notes; index the tasks that are done, for the list of the latest, and what was given up."""
    op.create_table(
        "notes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", AutoString(length=64), nullable=False),
        sa.Column("agency", AutoString(length=64), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("author", AutoString(length=80), nullable=False),
        sa.Column("body_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("written_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_notes_tenant_participants")),
        sa.ForeignKeyConstraint(["agency"], ["participants.id"], name=op.f("fk_notes_agency_participants")),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name=op.f("fk_notes_request_id_requests")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notes")),
    )
    op.create_index(op.f("ix_notes_request_id"), "notes", ["request_id"])
    op.create_index(op.f("ix_notes_written_at"), "notes", ["written_at"])
    resolved = sa.text("resolved_at IS NOT NULL")
    op.create_index(
        "ix_tasks_resolved", "tasks", ["resolved_at", "id"], sqlite_where=resolved, postgresql_where=resolved
    )
    dead = sa.text("state = 'dead'")
    op.create_index("ix_dispatches_dead", "dispatches", ["created_at", "id"], sqlite_where=dead, postgresql_where=dead)
    protect(op.get_bind(), "notes", Rule.TENANT)


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_dispatches_dead", "dispatches")
    op.drop_index("ix_tasks_resolved", "tasks")
    op.drop_table("notes")
