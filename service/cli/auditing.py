"""Commands for the audit: recompute every chain and name what was tampered with; read who searched for whom."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from service import clock, db
from service.cli import context, output, proving
from service.cli.output import AsJson
from service.engine import archiving
from service.engine.hub import Hub
from service.queries import reads
from service.security import archived
from service.security.archived import ArchiveUnfit

app = typer.Typer(help="The audit.", no_args_is_help=True)


@app.command()
def verify(
    archives: Annotated[Path | None, typer.Option(help="the folder of archives, to recompute their facts too")] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute all chains; exit 1 and name each fact that was edited, deleted, inserted or swapped.

    Months that are in archives alone are named. Without --archives, or where a file is missing, their ends are compared
    and they themselves are not recomputed; that alone is no finding.
    """
    with output.progress("recomputing the chains …"):
        verdict, files = context.act(lambda hub: archiving.verify(hub, archives))
    wrong = {month: why for month, why in files.items() if why not in (None, "missing")}
    if as_json:
        output.answer(True, {**dataclasses.asdict(verdict), "archives": files})
    else:
        for finding in verdict.findings:
            output.say(f"{finding.kind}\t{finding.chain}\t{finding.sequence}")
        for away in verdict.away:
            output.say(f"{_of_file(files[away.month])}\t{away.month}\t{away.entries} facts in their archive alone")
        output.say(f"{verdict.entries} facts in {verdict.chains} chains, {len(verdict.findings) + len(wrong)} findings")
    if verdict.findings or wrong:
        raise typer.Exit(1)


@app.command()
def verify_archive(
    manifest: Annotated[Path, typer.Argument(help="a month's manifest, facts-2026-11.json, its file beside it")],
    keys: Annotated[
        Path | None,
        typer.Option(help="the hub's public keys from elsewhere: a JSON list, or a key set with `keys`"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check an archive's seal and digests and recompute each fact in it, on any machine; exit 1 when it does not hold.

    Without --keys the key is the manifest's own: the archive is shown to be whole, and not whose it is.
    """
    try:
        said = archived.read(context.read(manifest))
        archived.verify_seal(said, archived.keys_of(proving.listed(keys)) if keys else archived.own_key(said))
        with output.progress("recomputing the facts …"):
            archived.verify_file(manifest.parent, said)
    except ArchiveUnfit as unfit:
        raise output.fail(str(unfit)) from None
    told = {name: said[name] for name in ("month", "hub", "archived_at", "entries", "runs", "file_sha256")}
    output.answer(as_json, {**told, "keys_from": "elsewhere" if keys else "the file itself"})


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


def _of_file(why: str | None) -> str:
    if why == "missing":
        return "not at hand, not recomputed"
    return "recomputed" if why is None else f"WRONG: {why}"


async def _searches(
    hub: Hub, participant: str | None, about: str | None, value: str, limit: int
) -> list[tuple[reads.Search, dict[str, Any]]]:
    async with hub.database.read(db.HUB) as conn:
        found = await reads.searches(conn, participant, limit)
    if about:
        found = [
            each
            for each in found
            if each.by == about and each.index in hub.vault.blind_indexes(each.tenant, about, value)
        ]
    return [
        (
            each,
            {"at": clock.written(each.at), "participant": each.tenant, "actor": each.actor}
            | {"by": each.by, "found": each.found},
        )
        for each in found
    ]
