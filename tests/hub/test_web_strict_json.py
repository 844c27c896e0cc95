"""One reading of a JSON text or a refusal that says where, for every text that somebody may send."""

import json
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.errors import MalformedInput
from service.web import pointer, strict_json

TEXTS = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: not strict_json.has_control(text))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-strict_json.LARGEST_INTEGER, strict_json.LARGEST_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=25,
)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


HOSTILE = [
    (b"", "json.empty", ""),
    (b" \n\t", "json.empty", ""),
    (b"\xef\xbb\xbf{}", "json.bom", ""),
    ('{"a":1}'.encode("utf-16"), "json.bom", ""),
    (b'{"a":"\xff"}', "json.invalid_utf8", ""),
    (b'{"a":"\xed\xa0\x80"}', "json.invalid_utf8", ""),
    (b'{"a":"\xc0\x80"}', "json.invalid_utf8", ""),
    (b"{", "json.syntax", ""),
    (b"{'a':1}", "json.syntax", ""),
    (b'{"a":1,}', "json.syntax", ""),
    (b'{"a":01}', "json.syntax", ""),
    (b'{"a":+1}', "json.syntax", ""),
    (b'{"a":"\\x"}', "json.syntax", ""),
    (b'"open', "json.syntax", ""),
    (b"\x00", "json.syntax", ""),
    (b"]" * 40 + b"[" * 40, "json.syntax", ""),
    (b"{}{}", "json.trailing_data", ""),
    (b"{} x", "json.trailing_data", ""),
    (b'{"a":1,"a":2}', "json.duplicate_key", "/a"),
    (b'{"a":1,"\\u0061":2}', "json.duplicate_key", "/a"),
    (b'{"a":[{"b":{"c":1,"c":1}}]}', "json.duplicate_key", "/a/0/b/c"),
    (b'{"amount":NaN}', "json.not_a_number", "/amount"),
    (b'{"amount":[Infinity]}', "json.not_a_number", "/amount/0"),
    (b"-Infinity", "json.not_a_number", ""),
    (b'{"amount":1e999}', "json.number_range", "/amount"),
    (b'{"amount":-1e999}', "json.number_range", "/amount"),
    (b'{"amount":9007199254740992}', "json.number_range", "/amount"),
    (b'{"amount":-9007199254740992}', "json.number_range", "/amount"),
    (b'{"amount":' + b"9" * 60_000 + b"}", "json.number_range", "/amount"),
    (b'{"a":"\\ud800"}', "json.lone_surrogate", "/a"),
    (b'{"a":"\\udc00\\ud800"}', "json.lone_surrogate", "/a"),
    (b'{"\\ud800":1}', "json.lone_surrogate", "/*"),
    (b'{"a":"\\u0000"}', "json.control_character", "/a"),
    (b'{"a":"\x00"}', "json.control_character", ""),
    (b'{"a":"\\u001b[2J"}', "json.control_character", "/a"),
    (b'{"a":"\\u0085"}', "json.control_character", "/a"),
    (b'{"a":"\\u202e"}', "json.control_character", "/a"),
    ('{"a":"\u2066"}'.encode(), "json.control_character", "/a"),
    ('{"\u202e":1}'.encode(), "json.control_character", "/*"),
    (nested(33), "json.depth", ""),
    (b'{"a":' * 33 + b"1" + b"}" * 33, "json.depth", ""),
    (b"[" * 65_536, "json.depth", ""),
    (b'[{"":' * 13_000, "json.depth", ""),
    (b"{" + b",".join(b'"k%d":0' % number for number in range(2_001)) + b"}", "json.too_many_keys", ""),
    (b"[" + b",".join([b'{"k":0}'] * 2_001) + b"]", "json.too_many_keys", ""),
]


@pytest.mark.parametrize(("raw", "code", "field"), HOSTILE, ids=lambda value: str(value)[:40])
def test_hostile_text_is_refused_with_its_code_and_its_place(raw: bytes, code: str, field: str) -> None:
    with pytest.raises(MalformedInput) as caught:
        strict_json.parse(raw)
    assert caught.value.code == code
    assert [(each.field, each.code) for each in caught.value.fields] == [(field, code)]


@given(VALUES, st.booleans())
def test_what_json_writes_is_read_back_unchanged(value: object, ascii_only: bool) -> None:
    assert strict_json.parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200))
@example(b'"\\')
@example(b"\xff\xfe")
def test_no_bytes_make_it_fail_in_another_way(raw: bytes) -> None:
    try:
        strict_json.parse(raw)
    except MalformedInput as refused:
        assert refused.fields


@settings(max_examples=300)
@given(st.lists(st.sampled_from('{}[]",:\\ u0019eE+-.aNItrfnul\n\0'), max_size=80).map("".join))
def test_it_accepts_nothing_that_the_standard_parser_refuses(text: str) -> None:
    try:
        value = strict_json.parse(text.encode())
    except MalformedInput:
        return
    assert value == json.loads(text)


@given(VALUES)
def test_no_number_that_passes_is_infinite_or_beyond_exactness(value: object) -> None:
    def numbers(node: object) -> list[float]:
        if isinstance(node, dict):
            return [number for each in node.values() for number in numbers(each)]
        if isinstance(node, list):
            return [number for each in node for number in numbers(each)]
        return [node] if isinstance(node, int | float) else []

    found = numbers(strict_json.parse(json.dumps(value).encode()))
    assert all(math.isfinite(number) for number in found)


def test_the_limits_themselves_are_allowed() -> None:
    assert strict_json.parse(nested(32)) is not None
    assert strict_json.parse(b"9007199254740991") == strict_json.LARGEST_INTEGER
    members = {f"k{number}": 0 for number in range(2_000)}
    assert strict_json.parse(json.dumps(members).encode()) == members


def test_brackets_and_quotes_inside_strings_are_no_depth() -> None:
    text = '["' + "[{" * 1_000 + '\\"[[[' + '"]'
    assert strict_json.parse(text.encode()) == json.loads(text)


def test_lines_of_a_certificate_pass() -> None:
    assert strict_json.parse(b'"-----BEGIN-----\\r\\n\\tabc\\n"') == "-----BEGIN-----\r\n\tabc\n"


@pytest.mark.parametrize(
    "name", ["0912345678", "FT26327000041", "stk9990001112223", "Nguyễn Văn A", "a/b", "a~b", "x" * 65, "", "‮a"]
)
def test_a_name_that_a_caller_made_up_is_not_sent_back(name: str) -> None:
    assert pointer.build(["target", name, 3]) == "/target/*/3"


@pytest.mark.parametrize(
    "letter",
    ["\u061c", "\u200e", "\u200f", "\u202a", "\u202e", "\u2066", "\u2069", "\u2028", "\u2029", "\ufeff", "\x85"],
)
def test_no_character_that_turns_or_hides_text_is_taken(letter: str) -> None:
    for raw in (f'{{"a": "x{letter}y"}}', f'{{"x{letter}": 1}}', json.dumps({"a": f"x{letter}"})):
        with pytest.raises(MalformedInput, match=r"json\.control_character"):
            strict_json.parse(raw.encode())


@pytest.mark.parametrize("number", ["1e-999", "-1e-400", "0.0001e-400", "1." + "0" * 40, "1e" + "0" * 40, "1e999"])
def test_a_number_that_would_become_another_one_is_refused(number: str) -> None:
    with pytest.raises(MalformedInput, match=r"json\.number_range"):
        strict_json.parse(number.encode())
    assert strict_json.parse(b"[0.0, -0.0, 0e5, 1.5e3]") == [0.0, 0.0, 0.0, 1500.0]
