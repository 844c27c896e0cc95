"""Commands for the database: bring it to this build's schema, and lay the shipped directory into it."""

import dataclasses

import typer

from service import migrations
from service.actions import load_directory
from service.cli import context, output
from service.cli.output import AsJson
from service.db import Database
from service.settings import Settings

app = typer.Typer(help="The database: schema and shipped directory.", no_args_is_help=True)


@app.command()
def upgrade(as_json: AsJson = False) -> None:
    """Bring the database to this build's schema, in one transaction."""
    chosen = context.settings()
    with output.progress("migrating …"):
        context.run(_upgrade(chosen))
    output.answer(as_json, {"schema": migrations.head()})


@app.command()
def load(as_json: AsJson = False) -> None:
    """Load the shipped directory: participants, aliases, units and holidays; a second time changes nothing."""
    with output.progress("loading the directory …"):
        loaded = context.act(lambda hub: load_directory.load(hub, context.person()), writes=True)
    output.answer(as_json, dataclasses.asdict(loaded))


async def _upgrade(chosen: Settings) -> None:
    with context.locked(chosen):
        database = Database(chosen.owner_url)
        try:
            await migrations.upgrade(database, drill=chosen.drill)
        finally:
            await database.close()
