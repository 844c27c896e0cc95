"""The quick way to the RFC 8785 form writes what the library writes, and refuses what it refuses."""

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from service import canonical_json

# What encoders write in different ways: escapes, what breaks lines, the ends of the planes, halves of a pair.
_ODD = st.text('\x00\x07\b\x1f\x7f\x80\u2028"\\/é\ud7ff\ud800\ue000\uffff\U0001f600', max_size=4)
_TEXTS = st.text() | _ODD | st.sampled_from(["2026-11-30T00:00:00.5", ",1.5,", "[1e5]", "1" * 20])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | _TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_TEXTS, inner, max_size=5),
    max_leaves=20,
)


def _said(by: Any, value: Any) -> bytes | None:
    try:
        written: bytes = by.dumps(value)
    except ValueError:
        return None
    return written


@given(_VALUES)
def test_both_write_the_same_or_refuse(value: Any) -> None:
    """Whatever the value: a hash of one is a hash of the other."""
    assert _said(canonical_json, value) == _said(rfc8785, value)


@pytest.mark.parametrize(
    "value",
    [1.0, -0.0, [1e22], {"a": 1e-7}, 2**53, -(2**53), [2**53 - 1], {"\ue000": 1, "\U0001f600": 2}, float("nan"), ...],
)
def test_what_is_written_in_two_ways_is_left_to_the_library(value: Any) -> None:
    """Each of these Python's own encoder writes otherwise, or not at all."""
    assert _said(canonical_json, value) == _said(rfc8785, value)
