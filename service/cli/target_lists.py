"""Reads lists of targets (CSV, JSON lines, one a line): canonical, duplicates merged, what is wrong by its line."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter, ValidationError

from service.errors import FieldError, HubError, InvalidInput
from service.schemas.targets import TakedownTarget
from service.web import problems, strict_json, validation
from workflows import takedown
from workflows.terms import Measure, TargetKind

# A list of a hundred thousand is a thousand requests, one after the other; whoever has more divides it.
LARGEST = 8 * 1024 * 1024  # bytes
MOST_LINES = 100_000


class Form(StrEnum):
    """How a list is written."""

    CSV = "csv"
    JSON_LINES = "jsonl"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that is no target: its number, what stands there, and why, as a code and in words."""

    line: int
    text: str
    code: str
    reason: str


@dataclass(slots=True)
class TargetList:
    """What a list holds: how many lines say something, the targets in order, what was merged and what is wrong."""

    lines: int = 0
    targets: list[dict[str, Any]] = field(default_factory=list)
    duplicates: int = 0
    rejects: list[Reject] = field(default_factory=list)


_TARGET: TypeAdapter[Any] = TypeAdapter(TakedownTarget)
_SUFFIXES = {".csv": Form.CSV, ".jsonl": Form.JSON_LINES, ".ndjson": Form.JSON_LINES}
_COLUMNS = frozenset({"kind", "value", "platform", "sha256", "perceptual_hash", "intimate"})
_TRUTHS = {"true": True, "false": False}
_NUMBER = re.compile(r"\+[0-9 ().-]*|[0-9]{6,}", re.ASCII)


def form_of(name: str) -> Form:
    """Return the form that a file's name stands for; one target a line where it says nothing."""
    return next((form for suffix, form in _SUFFIXES.items() if name.lower().endswith(suffix)), Form.PLAIN)


def read(text: str, form: Form, kind: TargetKind | None = None, measure: Measure | None = None) -> TargetList:
    """Return what the list holds; ``kind`` is that of lines that name none, or else it is recognised.

    With a ``measure``, a target that it is not for is rejected. Raises ``ValueError`` where the list as a whole cannot
    be read: a CSV without a known head, or with a quote that is never closed, or more lines than ``MOST_LINES``.
    """
    found, seen = TargetList(), set()
    for line, written, given in _RECORDS[form](text):
        found.lines += 1
        if found.lines > MOST_LINES:
            raise ValueError(f"line {line}: a list has at most {MOST_LINES:,} lines; divide it")
        try:
            target = _checked(given if isinstance(given, Mapping) else strict_json.parse(given), kind, measure)
        except HubError as error:
            found.rejects.append(_rejected(line, written, error))
            continue
        identity = json.dumps(target, sort_keys=True)
        if identity in seen:
            found.duplicates += 1
            continue
        seen.add(identity)
        found.targets.append(target)
    return found


def recognised(value: str) -> TargetKind:
    """Return what a value looks like: an address, a mailbox, a telephone number, or else a host name."""
    if "://" in value:
        return TargetKind.URL
    if "@" in value:
        return TargetKind.EMAIL
    return TargetKind.PHONE if _NUMBER.fullmatch(value) else TargetKind.DOMAIN


def _checked(given: Any, kind: TargetKind | None, measure: Measure | None) -> dict[str, Any]:
    if isinstance(given, dict) and "kind" not in given and isinstance(given.get("value"), str):
        given = {"kind": kind or recognised(given["value"]), **given}
    try:
        target = _TARGET.validate_python(given)
    except ValidationError as error:
        wrong = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise validation.translate(wrong, given) from None
    if measure is not None and measure not in takedown.MEASURES[target.kind]:
        raise InvalidInput.of("/kind", "measure.not_for_target")
    canonical: dict[str, Any] = target.model_dump(mode="json", exclude_defaults=True)
    return canonical


def _rejected(line: int, text: str, error: HubError) -> Reject:
    if not error.fields:
        return Reject(line, text, error.code, problems.document(error.status, error.code, (), error.params)["detail"])
    first: FieldError = error.fields[0]
    place = first.field.lstrip("/")
    said = problems.field_message(first, "en")
    return Reject(line, text, first.code, said if place in ("", "value") else f"{place}: {said}")


# A line's number, the line, and what it says: the members of a target, or a JSON text.
_Record = tuple[int, str, Mapping[str, Any] | bytes]


def _plain(text: str) -> Iterator[_Record]:
    for number, line in enumerate(io.StringIO(text, newline="\n"), 1):
        value = line.strip()
        if value and not value.startswith("#"):
            yield number, value, {"value": value}


def _json_lines(text: str) -> Iterator[_Record]:
    for number, line in enumerate(io.StringIO(text, newline="\n"), 1):
        if line.strip():
            yield number, line.strip(), line.removesuffix("\n").encode()


def _csv(text: str) -> Iterator[_Record]:
    head = text.partition("\n")[0]
    # What a spreadsheet writes where a comma stands in numbers.
    delimiter = ";" if ";" in head and "," not in head else ","
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in next(rows, [])]
        if "value" not in names or not _COLUMNS.issuperset(names) or len(set(names)) < len(names):
            raise ValueError(
                f"the first line of a CSV names its columns: value, and any of {', '.join(sorted(_COLUMNS))}"
            )
        for row in rows:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield rows.line_num, delimiter.join(row), _members(names, cells)
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num}: {error}") from None


def _members(names: list[str], cells: list[str]) -> dict[str, Any]:
    # A cell without a column has a name that no target has.
    names = [*names, *(f"column_{number}" for number in range(len(names) + 1, len(cells) + 1))]
    filled = {name: cell for name, cell in zip(names, cells, strict=False) if cell}
    if "intimate" in filled:
        filled["intimate"] = _TRUTHS.get(filled["intimate"].lower(), filled["intimate"])  # type: ignore[assignment]
    return filled


_RECORDS = {Form.PLAIN: _plain, Form.JSON_LINES: _json_lines, Form.CSV: _csv}
