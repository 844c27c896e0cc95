"""How alembic reaches the database: the hub's own settings, or the connection that ``service.migrate`` hands over."""

import asyncio
import re

import sqlalchemy as sa
from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine

from service import models
from service.settings import Settings

# So that a migration that waits for a lock gives up instead of queueing every request behind itself.
_LOCK_TIMEOUT = "SET lock_timeout = '5s'"
# Row-level security is forced on the owner too: a migration that changes rows would find none without this.
_REACH = "SELECT set_config('hoatoc.reach', 'hub', true)"

# What a model cannot say of the divided table of facts: its months, and what is unique over all of them (ADR 0053).
_OF_FACTS = re.compile(r"audit_entries_(default|\d{4}_\d{2})|fired_deadlines|uq_audit_entries_\w+")


def run(connection: sa.Connection) -> None:
    """Run the migrations on ``connection``, in one transaction."""
    context.configure(
        connection=connection,
        target_metadata=models.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        include_object=lambda _, name, *__: (
            connection.dialect.name != "postgresql" or not _OF_FACTS.fullmatch(name or "")
        ),
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text(_LOCK_TIMEOUT))
            connection.execute(sa.text(_REACH))
        context.run_migrations()


async def run_by_settings() -> None:
    """Open the database that the settings name and migrate it."""
    engine = create_async_engine(Settings().owner_url)
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is None:
    asyncio.run(run_by_settings())
else:
    run(given)
