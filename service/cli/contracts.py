"""The command for the contract: write the OpenAPI documents, or tell whether the committed ones are still true."""

from pathlib import Path
from typing import Annotated

import typer

from service import contract
from service.cli import context, output
from service.cli.output import AsJson


def openapi(
    folder: Annotated[Path, typer.Argument(help="where the documents are")] = Path("openapi"),
    check: Annotated[bool, typer.Option("--check", help="write nothing; exit 1 and name each difference")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the OpenAPI documents of this build."""
    with context.told():
        if check:
            found = contract.drift(folder)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            found = [str(path) for path in contract.write(folder)]
    if as_json:
        output.answer(True, {"differing" if check else "written": found})
    else:
        for each in found:
            output.say(each)
    if check and found:
        raise output.fail("the documents are not what this build does: hoatoc openapi")
