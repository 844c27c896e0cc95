"""Reads the data files that are shipped beside this module; a line that starts with ``#`` is a comment."""

import csv
from datetime import date
from importlib import resources

_DATA = resources.files("service.directory") / "data"


def lines(name: str) -> list[str]:
    """The lines of one data file, without comments and empty lines; FileNotFoundError for an unknown name."""
    text = (_DATA / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def table(name: str) -> list[dict[str, str]]:
    """The rows of one CSV file by column name; ValueError when a row is longer or shorter than its header."""
    header, *rows = csv.reader(lines(name), strict=True)
    return [dict(zip(header, row, strict=True)) for row in rows]


def day(text: str) -> date | None:
    """An ISO date; None for an empty field; ValueError for anything else."""
    return date.fromisoformat(text) if text else None
