"""A form with a file (RFC 7578), read strictly: each part once, its name quoted, nothing before, between or behind."""

import re
from dataclasses import dataclass, field

from service.errors import MalformedInput
from service.web import strict_json

MOST_PARTS = 8
_TYPE = re.compile(rb'multipart/form-data\s*;\s*boundary="?([0-9A-Za-z\'()+_,./:=?-]{1,70})"?', re.I)
_DISPOSITION = re.compile(r'content-disposition:\s*form-data;\s*name="([^"]*)"(?:;\s*filename="([^"]*)")?\s*', re.I)


@dataclass(frozen=True, slots=True)
class File:
    """A file as it came; its name is what the sender calls it, and proves nothing."""

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Form:
    """The fields and files of a form, by their names."""

    fields: dict[str, str] = field(repr=False)
    files: dict[str, File] = field(repr=False)


def read(raw: bytes, content_type: bytes) -> Form:
    """Return what a form holds. Raises MalformedInput."""
    match = _TYPE.fullmatch(content_type.strip())
    if match is None:
        raise MalformedInput("form.malformed")
    opening, *parts = (b"\r\n" + raw).split(b"\r\n--" + match[1])
    # Behind the last boundary stand two dashes and nothing else.
    if opening or len(parts) not in range(2, MOST_PARTS + 2) or parts.pop().rstrip(b"\r\n") != b"--":
        raise MalformedInput("form.malformed")
    made = Form({}, {})
    for part in parts:
        _add(made, part)
    return made


def _add(made: Form, part: bytes) -> None:
    head, gap, body = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    try:
        lines = head.decode("utf-8").split("\r\n")
        named = next(found for line in lines if (found := _DISPOSITION.fullmatch(line)))
        name, file = named[1], named[2]
        if not gap or name in made.fields or name in made.files:
            raise ValueError(name)
        if file is not None:
            made.files[name] = File(file, body)
            return
        text = body.decode("utf-8")
    except (ValueError, StopIteration):
        raise MalformedInput("form.malformed") from None
    if strict_json.has_control(text):
        raise MalformedInput("form.malformed")
    made.fields[name] = text
