"""How commands speak: answers to the standard output, as JSON, as a table, or plain; everything else to the error."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="answer with one JSON value")]

_out = Console(highlight=False, markup=False, emoji=False)
_err = Console(stderr=True, highlight=False, markup=False, emoji=False)


def say(text: str) -> None:
    """Print one line of the answer."""
    # As it is, neither wrapped nor with its tabs widened: a program may read it.
    _out.file.write(f"{text}\n")


def happened(text: str, style: str = "") -> None:
    """Print one line the moment something happens; ``style`` is for a terminal, and the line is never broken."""
    _out.print(text, style=style, soft_wrap=True)
    _out.file.flush()


def remark(text: str) -> None:
    """Tell a person something besides the answer."""
    _err.out(text, highlight=False)


def fail(text: str) -> typer.Exit:
    """Print an error and return what ends the command with code 1."""
    remark(f"error: {text}")
    return typer.Exit(1)


def progress(text: str) -> AbstractContextManager[Any]:
    """Show on a terminal's standard error that something long is under way; elsewhere nothing."""
    return _err.status(text) if _err.is_terminal else nullcontext()


def answer(as_json: bool, data: BaseModel | Mapping[str, Any]) -> None:
    """Print one thing: as JSON, or one ``name: value`` a line without what is empty."""
    values = _plain(data)
    if as_json:
        _json(values)
        return
    for name, value in values.items():
        if value not in (None, "", [], {}):
            say(f"{name}: {_cell(value)}")


def table(as_json: bool, columns: Sequence[str], rows: Sequence[BaseModel | Mapping[str, Any]]) -> None:
    """Print many things: as a JSON array, as a table on a terminal, else the heads and one tab-separated line each."""
    values = [_plain(row) for row in rows]
    if as_json:
        _json(values)
        return
    cells = [[_cell(row[column]) for column in columns] for row in values]
    if not _out.is_terminal:
        for line in [columns, *cells]:
            say("\t".join(line))
        return
    drawn = Table(*columns)
    for line in cells:
        drawn.add_row(*line)
    _out.print(drawn)


def _json(values: Any) -> None:
    say(json.dumps(values, ensure_ascii=False, indent=2))


def _plain(data: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    return data.model_dump(mode="json") if isinstance(data, BaseModel) else dict(data)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
