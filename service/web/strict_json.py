"""One reading of a JSON text, or a refusal that says where: nothing that two parsers could read in two ways passes."""

import codecs
import json
import math
import re
from typing import Any, NoReturn

from service.errors import FieldError, MalformedInput
from service.web import pointer

DEEPEST = 32  # PROMISES P22
MOST_KEYS = 2_000  # members of all objects together
LONGEST_NUMBER = 32  # digits, signs and exponent of a number that is no integer
LARGEST_INTEGER = 2**53 - 1  # beyond it a reader that uses doubles sees another number (RFC 8259, section 6)

# Possessive, and the closing quote optional: one pass, however the text was made to be slow.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_BLANK = re.compile(r"[ \t\n\r]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NONZERO = re.compile(r"-?[0.]*[1-9]")
# C0 without tab, line feed and carriage return (a PEM certificate has lines), DEL and C1, and the characters that
# turn the reading direction (all of Unicode's Bidi_Control): what a person sees must be what the hub stores (UTS 55,
# "Trojan Source"). U+2028 and U+2029 break a line for some readers only, U+FEFF is seen by nobody.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


class _Members(list[tuple[str, Any]]):
    """An object as it was written, with members that it may name twice."""


class _Refused:
    """A number that has no exact value here, found by the parser, which does not know where it stands."""

    def __init__(self, code: str) -> None:
        self.code = code


def parse(raw: bytes) -> Any:
    """Return the value of a JSON text.

    Raises MalformedInput with a ``json.…`` code; its one field error has the JSON pointer of the wrong value, or, for
    text that is not JSON at all, ``position``: the number of characters (bytes for ``json.invalid_utf8``) before it.
    """
    if raw.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        _refuse("json.bom", position=0)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        _refuse("json.invalid_utf8", position=error.start)
    start = _end_of_blank(text, 0)
    if start == len(text):
        _refuse("json.empty", position=start)
    _check_depth(text)  # before the parser, which recurses
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        if error.msg.startswith("Invalid control character"):
            _refuse("json.control_character", position=error.pos)
        _refuse("json.syntax", position=error.pos)
    end = _end_of_blank(text, end)
    if end != len(text):
        _refuse("json.trailing_data", position=end)
    return _Walk().value(value, ())


def has_control(text: str) -> bool:
    """Tell whether a text holds a control character or one that turns the reading direction."""
    return _CONTROL.search(text) is not None


def without_controls(text: str) -> str:
    """Return a text without the characters that ``has_control`` finds."""
    return _CONTROL.sub("", text)


class _Walk:
    """Checks every value of a parsed text, knowing its place, and turns members into dictionaries."""

    def __init__(self) -> None:
        self.keys = 0

    def value(self, node: Any, path: tuple[str | int, ...]) -> Any:
        match node:
            case _Members():
                return self._object(node, path)
            case list():
                return [self.value(item, (*path, position)) for position, item in enumerate(node)]
            case str():
                _check_text(node, path)
            case _Refused():
                _refuse(node.code, path)
        return node

    def _object(self, members: _Members, path: tuple[str | int, ...]) -> dict[str, Any]:
        self.keys += len(members)
        if self.keys > MOST_KEYS:
            _refuse("json.too_many_keys", max=MOST_KEYS)
        result: dict[str, Any] = {}
        for key, node in members:
            _check_text(key, (*path, key))
            if key in result:
                _refuse("json.duplicate_key", (*path, key))
            result[key] = self.value(node, (*path, key))
        return result


def _check_text(text: str, path: tuple[str | int, ...]) -> None:
    if _SURROGATE.search(text):
        _refuse("json.lone_surrogate", path)
    if _CONTROL.search(text):
        _refuse("json.control_character", path)


def _check_depth(text: str) -> None:
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        bracket = text[token.start()]
        if bracket in "[{":
            depth += 1
            if depth > DEEPEST:
                _refuse("json.depth", position=token.start(), max=DEEPEST)
        elif bracket in "]}":
            depth -= 1


def _end_of_blank(text: str, start: int) -> int:
    blank = _BLANK.match(text, start)
    assert blank is not None, "the pattern matches the empty text"
    return blank.end()


def _integer(digits: str) -> int | _Refused:
    # Converting thousands of digits costs their square, and Python refuses more than 4,300 of them.
    if len(digits) > len(str(LARGEST_INTEGER)) + 1 or abs(int(digits)) > LARGEST_INTEGER:
        return _Refused("json.number_range")
    return int(digits)


def _float(digits: str) -> float | _Refused:
    # Nobody needs more; and what becomes zero or infinite is not the number that was written.
    if len(digits) > LONGEST_NUMBER:
        return _Refused("json.number_range")
    value = float(digits)
    lost = not math.isfinite(value) or (value == 0 and _NONZERO.match(digits) is not None)
    return _Refused("json.number_range") if lost else value


def _constant(_name: str) -> _Refused:
    return _Refused("json.not_a_number")


def _refuse(code: str, path: tuple[str | int, ...] = (), **params: int) -> NoReturn:
    raise MalformedInput(code, fields=(FieldError(pointer.build(path), code, dict(params)),), **params)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_Members, parse_constant=_constant, parse_int=_integer, parse_float=_float
)
