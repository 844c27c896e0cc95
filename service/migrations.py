"""The schema's version: bring a database to the one this build knows, and refuse to work on any other."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection

from service import db
from service.db import Database

_ROOT = Path(__file__).resolve().parent.parent


class SchemaMismatch(Exception):
    """The database's schema is not the one this build was made for; ``hoatoc db upgrade`` brings it there."""

    def __init__(self, found: str | None, expected: str | None) -> None:
        super().__init__(f"the database is at {found or 'no version'}, this build needs {expected}: hoatoc db upgrade")
        self.found = found
        self.expected = expected


def config(connection: sa.Connection | None = None) -> Config:
    """Return alembic's configuration, on an open connection when one is given."""
    made = Config(toml_file=str(_ROOT / "pyproject.toml"))
    made.attributes["connection"] = connection
    return made


def head() -> str | None:
    """Return the revision that this build was made for."""
    return ScriptDirectory.from_config(config()).get_current_head()


async def upgrade(database: Database) -> None:
    """Bring the database to this build's schema, in one transaction."""

    async def unit(conn: AsyncConnection) -> None:
        await conn.run_sync(lambda connection: command.upgrade(config(connection), "head"))

    await database.alter(unit)


async def check(database: Database) -> None:
    """Raise ``SchemaMismatch`` unless the database's schema is exactly this build's."""
    async with database.read(db.NOBODY) as conn:
        found = await conn.run_sync(lambda connection: MigrationContext.configure(connection).get_current_revision())
    if found != head():
        raise SchemaMismatch(found, head())
