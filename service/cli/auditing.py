"""Commands for the audit: recompute every chain and name what was tampered with."""

import dataclasses

import typer

from service import audit, db
from service.audit import Verdict
from service.cli import context, output
from service.cli.output import AsJson
from service.engine.hub import Hub

app = typer.Typer(help="The audit.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keep ``verify`` a command of its own although it is the only one."""


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Recompute all chains; exit 1 and name each fact that was edited, deleted, inserted or swapped."""
    with output.progress("recomputing the chains …"):
        verdict = context.act(_verify)
    if as_json:
        output.answer(True, dataclasses.asdict(verdict))
    else:
        for finding in verdict.findings:
            output.say(f"{finding.kind}\t{finding.chain}\t{finding.sequence}")
        output.say(f"{verdict.entries} facts in {verdict.chains} chains, {len(verdict.findings)} findings")
    if verdict.findings:
        raise typer.Exit(1)


async def _verify(hub: Hub) -> Verdict:
    async with hub.database.read(db.HUB) as conn:
        return await audit.verify(conn)
