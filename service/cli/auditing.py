"""Commands for the audit: recompute every chain and name what was tampered with; read who searched for whom."""

import dataclasses
from typing import Annotated, Any, Literal

import typer

from service import audit, clock, db
from service.audit import Verdict
from service.cli import context, output
from service.cli.output import AsJson
from service.engine.hub import Hub
from service.queries import reads

app = typer.Typer(help="The audit.", no_args_is_help=True)


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


@app.command()
def searches(
    participant: Annotated[str | None, typer.Argument(help="whose systems and people; none: everybody's")] = None,
    about: Annotated[str | None, typer.Option(help="only for one value, asked for: case_number, account, …")] = None,
    limit: Annotated[int, typer.Option(help="how many at most, the latest first", min=1, max=10_000)] = 100,
    lang: Annotated[Literal["vi", "en"], typer.Option(help="the language of the sentences")] = "en",
    as_json: AsJson = False,
) -> None:
    """List who searched for a person or a case, when, where and with how many hits; never for what.

    Whether one value was looked for is answered to who knows it: its blind index is compared.
    """
    value = context.ask("the value, in the form in which it was searched: ").strip() if about else ""
    found = context.act(lambda hub: _searches(hub, participant, about, value, limit))
    told = [{**each, "text": search.sentence(lang)} for search, each in found]
    output.table(as_json, ("at", "participant", "actor", "by", "found", "text"), told)


async def _verify(hub: Hub) -> Verdict:
    async with hub.database.read(db.HUB) as conn:
        return await audit.verify(conn)


async def _searches(
    hub: Hub, participant: str | None, about: str | None, value: str, limit: int
) -> list[tuple[reads.Search, dict[str, Any]]]:
    async with hub.database.read(db.HUB) as conn:
        found = await reads.searches(conn, participant, limit)
    if about:
        found = [
            each
            for each in found
            if each.by == about and each.index == hub.vault.blind_index(each.tenant, about, value)
        ]
    return [
        (
            each,
            {"at": clock.written(each.at), "participant": each.tenant, "actor": each.actor}
            | {"by": each.by, "found": each.found},
        )
        for each in found
    ]
