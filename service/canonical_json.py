"""The RFC 8785 form of JSON: Python's own encoder where that writes the very same text, the library everywhere else."""

import json
from typing import Any

import rfc8785

_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, check_circular=False, separators=(",", ":"))
_LARGEST = 2**53 - 1


def dumps(value: Any) -> bytes:
    """Return the canonical form of a JSON value.

    Each fact and each order needs it, and the library, which writes it piece by piece in Python, several times as long.
    Raises ValueError (``rfc8785.CanonicalizationError``) for what has none.
    """
    if _is_plain(value):
        try:
            return _ENCODER.encode(value).encode()
        except UnicodeEncodeError:
            pass  # half a pair: the library says so in its own words
    return rfc8785.dumps(value)


def _is_plain(value: Any) -> bool:
    """Tell whether both write it alike: they do not agree on fractions, on large integers and on the order of keys.

    Keys in ASCII have the same order by characters and by the units of UTF-16.
    """
    left = [value]
    for each in left:  # what is found inside is looked at behind it
        kind = type(each)
        if kind is str or kind is bool or each is None or isinstance(each, str):
            continue
        if isinstance(each, int):
            if not -_LARGEST <= each <= _LARGEST:
                return False
        elif isinstance(each, dict):
            for key in each:
                if not isinstance(key, str) or not key.isascii():
                    return False
            left += each.values()
        elif isinstance(each, list | tuple):
            left += each
        else:
            return False
    return True
