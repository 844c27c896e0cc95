"""The command line of the hub: ``hoatoc``; local administration acts as the system's user, on the hub's own machine."""

import typer

from service import __version__
from service.cli import (
    archiving,
    auditing,
    backing,
    certifying,
    context,
    contracts,
    database,
    diagnosis,
    drilling,
    endpoints,
    enrolling,
    erasing,
    filing,
    importing,
    keys,
    participants,
    people,
    playing,
    policies,
    proving,
    retention,
    running,
    supplying,
    tokens,
)
from service.cli.output import say

app = typer.Typer(
    name="hoatoc",
    help="Hỏa Tốc: carries police orders to banks, telecoms and platforms, and watches their clocks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(database.app, name="db")
app.add_typer(enrolling.app, name="enroll")
app.add_typer(participants.app, name="participant")
app.add_typer(people.app, name="person")
app.add_typer(endpoints.app, name="endpoint")
app.add_typer(policies.app, name="policy")
app.add_typer(auditing.app, name="audit")
app.add_typer(retention.app, name="retention")
app.add_typer(proving.app, name="evidence")
app.add_typer(importing.app, name="import")
app.add_typer(supplying.app, name="advisories")
app.add_typer(keys.app, name="keys")
app.add_typer(erasing.app, name="erase")
app.add_typer(drilling.app, name="drill")
for command in (
    running.serve,
    running.worker,
    running.demo,
    playing.sandbox,
    certifying.certify,
    tokens.keygen,
    tokens.token,
    tokens.proof,
    tokens.sign_in_link,
    filing.submit,
    proving.sign,
    contracts.openapi,
    diagnosis.doctor,
    supplying.sbom,
    backing.backup,
    backing.restore,
    archiving.archive,
):
    app.command()(command)


@app.callback()
def prepare() -> None:
    """Send logs to the standard error, so that the standard output is the answer and nothing else."""
    context.quiet()


@app.command()
def version() -> None:
    """Print the version of this build."""
    say(__version__)


def main() -> None:
    """Run the command line; the console script's entry."""
    app()
