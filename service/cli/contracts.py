"""The command for the contract: write the OpenAPI documents, or tell whether the written ones are still true."""

import json
from pathlib import Path
from typing import Annotated

import typer

from service import contract
from service.cli import context, output
from service.cli.output import AsJson


def openapi(
    folder: Annotated[Path, typer.Argument(help="where the documents are")] = Path("openapi"),
    check: Annotated[bool, typer.Option("--check", help="write nothing; exit 1 where a file differs")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the OpenAPI documents of this build."""
    differing = []
    for name, document in contract.documents().items():
        path = folder / (name if name.endswith(".json") else f"{name}.json")
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        with context.told():
            if path.exists() and path.read_text(encoding="utf-8") == text:
                continue
            differing.append(str(path))
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if as_json:
        output.answer(True, {"differing" if check else "written": differing})
    else:
        for each in differing:
            output.say(each)
    if check and differing:
        raise output.fail("these documents are not what this build does: hoatoc openapi")
