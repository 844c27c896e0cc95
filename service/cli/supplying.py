"""Commands about what the hub is made of: its bill of materials, and the known advisories about its parts."""

from pathlib import Path
from typing import Annotated

import typer

from service import clock
from service.cli import context, output
from service.cli.output import AsJson
from service.supply import advisories, bom, parts, release
from service.supply.advisories import DatabaseUnfit
from service.supply.bom import NotAsLocked

app = typer.Typer(help="Known advisories about what the hub is made of.", no_args_is_help=True)

_OPEN, _NOTHING_COMPARED = 1, 2


def sbom() -> None:
    """Print the bill of materials of this build, CycloneDX 1.6 in JSON."""
    epoch, commit = release.moment()
    with context.told():
        try:
            output.say(bom.dumps(bom.document(epoch, commit)).decode().rstrip("\n"))
        except NotAsLocked as differs:
            raise output.fail(f"what is installed is not what is locked: {differs}") from None


@app.command()
def check(
    database: Annotated[Path, typer.Option(help="a folder or zip of OSV records, one JSON file each")] = (
        advisories.SHIPPED
    ),
    as_json: AsJson = False,
) -> None:
    """Compare this build's parts with a copy of an advisory database.

    Exit 1 when an advisory is open; exit 2 when the copy has nothing that could be compared.
    """
    today = clock.utc_now().date()
    with context.told():
        try:
            copy = advisories.load(database)
        except DatabaseUnfit as unfit:
            raise output.fail(str(unfit)) from None
        shipped = parts.shipped()
    found = advisories.findings(copy, shipped, advisories.exceptions(), today)
    rows = [
        {
            "state": "written off" if each.written_off else "open",
            "id": each.id,
            "aliases": list(each.aliases),
            "package": each.part.name,
            "version": each.part.version,
            "fixed_in": each.fixed_in,
            "summary": each.written_off or each.summary,
        }
        for each in found
    ]
    output.table(as_json, ("state", "id", "package", "version", "fixed_in", "summary"), rows)
    day = copy.day.isoformat() if copy.day else "of no known day"
    about = advisories.covered(copy, shipped)
    told = ", ".join(f"{count} about {ecosystem}" for ecosystem, count in about.items())
    output.remark(f"copy of {day}: {len(copy.records)} advisories ({told}), compared with {len(shipped)} parts")
    if not any(about.values()):
        said = "HAS NOTHING ABOUT OUR PARTS" if copy.records else "IS EMPTY"
        output.remark(f"THE COPY {said}: nothing was compared, and nothing follows from it")
        raise typer.Exit(_NOTHING_COMPARED)
    for ecosystem in (name for name, count in about.items() if not count):
        output.remark(f"warning: the copy has nothing about {ecosystem}: its parts were compared with nothing")
    if copy.is_old(today):
        output.remark(f"warning: the copy is older than {advisories.OLD_AFTER.days} days; bring a newer one")
    if any(row["state"] == "open" for row in rows):
        raise typer.Exit(_OPEN)
