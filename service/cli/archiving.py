"""The command that moves old months of facts to archives."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli import context, output
from service.cli.output import AsJson
from service.engine import archiving
from service.engine.archiving import Archived, Month
from service.engine.hub import Hub
from service.security.archived import ArchiveUnfit


def archive(
    folder: Annotated[Path, typer.Argument(help="the folder of the archives, on another disk than the database's")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what is old enough, and write nothing")] = False,
    as_json: AsJson = False,
) -> None:
    """Move months of facts that are older than the retention table says to signed, compressed files.

    Each is read back before PostgreSQL drops it; an embedded database keeps its rows. A month stays as long as one
    request that it tells of was not erased.
    """
    if dry_run:
        found = [_shown(each) for each in context.act(archiving.months)]
        output.table(as_json, ("month", "facts", "bytes", "not_erased", "state"), found)
        return
    with output.progress("recomputing and archiving …"):
        made = context.act(lambda hub: _archive(hub, folder), writes=True)
    rows = [
        {
            "month": each.month,
            "facts": each.entries,
            "file": each.file_sha256,
            "manifest": each.manifest_sha256,
            "state": "archived and dropped" if each.dropped else "archived; its rows stay in the embedded database",
        }
        for each in made
    ]
    output.table(as_json, ("month", "facts", "state", "file", "manifest"), rows)


async def _archive(hub: Hub, folder: Path) -> list[Archived]:
    try:
        return await archiving.archive(hub, folder, context.person())
    except ArchiveUnfit as unfit:
        raise output.fail(str(unfit)) from None


def _shown(month: Month) -> dict[str, object]:
    state = "goes" if month.may_go else "stays: requests that it tells of were not erased"
    return {
        "month": month.month,
        "facts": month.entries,
        "bytes": month.size,
        "not_erased": month.waits_for,
        "state": state,
    }
