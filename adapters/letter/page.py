"""Lays a letter out: what is said comes in as text, a PDF/A-3 comes out, with the order itself attached to it."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

import typst

from adapters.letter import barcode

_FOLDER = Path(__file__).parent
_TEMPLATE = _FOLDER / "letter.typ"
# Archives keep PDF/A (ISO 19005-3); level A holds the structure that a screen reader needs, and files may be attached.
_STANDARD: Literal["a-3a"] = "a-3a"


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table: ``strong`` for what must not be overlooked, ``is_code`` for what is compared by letters."""

    label: str
    text: str
    notes: tuple[str, ...] = ()
    strong: bool = False
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class Signer:
    """In which capacity somebody stands under the letter, and who: rank and number, never a name."""

    role: str
    name: str


@dataclass(frozen=True, slots=True)
class File:
    """What is attached for machines: ``relationship`` is ISO 19005-3's, the source of the letter or a supplement."""

    name: str
    content: str
    mime: str
    description: str
    relationship: Literal["source", "supplement"]


@dataclass(frozen=True, slots=True)
class Letter:
    """What a letter says, in one language, in the order in which the decree wants it.

    ``void`` is empty, or says that the order is not to be carried out any more, and since when. ``drill`` is empty, or
    the mark of an exercise, which then stands on every page, and ``drill_note`` what it means.
    ``code`` is the content of its QR code: plain text that a scanner hands to a program.
    """

    lang: str
    agency: str
    number: str
    number_line: str
    nation: str
    motto: str
    day: date
    dated: str
    urgency: str
    void: str
    title: str
    about: str
    addressed: str
    grounds: tuple[str, ...]
    demand: str
    lines: tuple[Line, ...]
    passages: tuple[str, ...]
    copies_to: str
    copies: tuple[str, ...]
    signers: tuple[Signer, ...]
    drill: str
    drill_note: str
    code: str = field(repr=False)
    code_alt: str
    machine: tuple[str, ...]
    files: tuple[File, ...] = field(repr=False)


def lay_out(letter: Letter) -> bytes:
    """Return the letter as a PDF/A-3a; blocks for some ten milliseconds, the first time for some hundred."""
    written: dict[str, Any] = dataclasses.asdict(letter)
    day = written.pop("day")
    # A file is carried as it is, and the code holds what the hub means; all else is for eyes.
    written = _printable({**written, "code": "", "files": []}) | {"files": written["files"]}
    code = barcode.draw(letter.code)
    written |= {"date": {"year": day.year, "month": day.month, "day": day.day}}
    written |= {"code": code.svg, "code_width": code.width}
    # Its stubs cannot tell one template from several.
    made: bytes = typst.compile(  # type: ignore[misc]
        _template(),
        font_paths=[str(_FOLDER / "fonts")],
        ignore_system_fonts=True,
        sys_inputs=_inputs(written),
        pdf_standards=[_STANDARD],
    )
    return made


def _inputs(written: Mapping[str, Any]) -> dict[str, str]:
    return {"letter": json.dumps(written, ensure_ascii=False)}


def _printable(said: Any) -> Any:
    """Write each sign that the typeface has no picture for as its code point: the paper shows that there was one.

    PDF/A forbids the empty box that a reader would see otherwise (ISO 19005-3, 6.2.11.8).
    """
    if isinstance(said, str):
        return "".join(each if ord(each) in _covered() else f"[U+{ord(each):04X}]" for each in said)
    if isinstance(said, Mapping):
        return {name: _printable(value) for name, value in said.items()}
    return [_printable(each) for each in said] if isinstance(said, list | tuple) else said


@functools.cache
def _covered() -> frozenset[int]:
    lines = (_FOLDER / "fonts" / "coverage.txt").read_text("utf-8").splitlines()[1:]
    ends = ([int(end, 16) for end in line.split("-")] for line in lines)
    return frozenset(code for first, last in ends for code in range(first, last + 1))


@functools.cache
def _template() -> bytes:
    return _TEMPLATE.read_bytes()
