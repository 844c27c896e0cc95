"""The schema's version and the database's kind: bring it to this build's, and refuse to work on any other."""

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
# The model stands a floor above.
_INSTALLATIONS = sa.table("installations", sa.column("drill", sa.Boolean))


class SchemaMismatch(Exception):
    """The database's schema is not the one this build was made for; ``hoatoc db upgrade`` brings it there."""

    def __init__(self, found: str | None, expected: str | None) -> None:
        super().__init__(f"the database is at {found or 'no version'}, this build needs {expected}: hoatoc db upgrade")
        self.found = found
        self.expected = expected


class WrongKind(Exception):
    """The database is a drill's and the settings are the real hub's, or the other way round (ADR 0064)."""

    def __init__(self, *, is_drill: bool) -> None:
        super().__init__(
            "this database is a drill's, and HOATOC_DRILL is not set: the real hub never works on it"
            if is_drill
            else "this database is the real hub's, and HOATOC_DRILL is set: a drill has a database of its own;"
            " a drill of an earlier build is laid out anew"
        )
        self.is_drill = is_drill


def config(connection: sa.Connection | None = None) -> Config:
    """Return alembic's configuration, on an open connection when one is given."""
    made = Config(toml_file=str(_ROOT / "pyproject.toml"))
    made.attributes["connection"] = connection
    return made


def head() -> str | None:
    """Return the revision that this build was made for."""
    return ScriptDirectory.from_config(config()).get_current_head()


async def upgrade(database: Database, *, drill: bool = False) -> None:
    """Bring the database to this build's schema, in one transaction; a new one becomes the real hub's, or a drill's.

    What it is is said with its first table and never again. Raises ``WrongKind``, and nothing has changed.
    """

    async def unit(conn: AsyncConnection) -> None:
        is_drill = await _is_drill(conn, await conn.run_sync(_revision))
        if is_drill not in (None, drill):
            raise WrongKind(is_drill=not drill)
        await conn.run_sync(lambda connection: command.upgrade(config(connection), "head"))
        if is_drill is None and drill:
            await conn.execute(sa.update(_INSTALLATIONS).values(drill=True))

    await database.alter(unit)


async def check(database: Database, *, drill: bool = False) -> None:
    """Raise ``SchemaMismatch`` unless the database's schema is exactly this build's.

    Raises ``WrongKind`` unless the database is a drill's where ``drill`` is asked for, and the real hub's otherwise.
    """
    async with database.read(db.NOBODY) as conn:
        found = await conn.run_sync(_revision)
        is_drill = await _is_drill(conn, found)
    # First of all: whoever is on the wrong database must not be told to upgrade it.
    if is_drill is not None and is_drill != drill:
        raise WrongKind(is_drill=is_drill)
    if found != head():
        raise SchemaMismatch(found, head())


async def _is_drill(conn: AsyncConnection, revision: str | None) -> bool | None:
    """Tell what a database at this revision is; None where there is none yet. One of before drills is real."""
    if revision is None:
        return None
    # This build's schema has the table, an older one may lack it.
    if revision != head() and not await conn.run_sync(lambda found: sa.inspect(found).has_table(_INSTALLATIONS.name)):
        return False
    found = (await conn.execute(sa.select(_INSTALLATIONS.c.drill))).scalars().all()
    # Without its row nobody knows, and what nobody knows is real.
    return any(found)


def _revision(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
