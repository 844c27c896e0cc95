"""SQLite gives no number of the dispatch queue twice, as PostgreSQL never did."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let SQLite remember the highest number that the queue ever had."""
    _made_anew(counted=True)


def downgrade() -> None:
    """Let the next row have the number after the highest that is there."""
    _made_anew(counted=False)


def _made_anew(*, counted: bool) -> None:
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table(
            "dispatch_queue", recreate="always", table_kwargs={"sqlite_autoincrement": counted}
        ) as _:
            pass
