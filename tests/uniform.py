"""How every answer of the hub shows instants and amounts: in one form each, wherever they stand."""

import re
from collections.abc import Iterator
from typing import Any

_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}")
_ONE_FORM = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{6})?Z")
# The text of a request goes back to its agency byte for byte, in whatever form it came.
AS_RECEIVED = frozenset({"getRequestBody"})
_AMOUNT = re.compile(r"amount(_[a-z]+)?")


def otherwise(node: Any, path: str = "") -> Iterator[str]:
    """Yield the place of each instant and each amount that has another form."""
    if isinstance(node, dict):
        for name, value in node.items():
            here = f"{path}/{name}"
            is_money = isinstance(value, dict) and value.keys() == {"value", "currency"}
            if _AMOUNT.fullmatch(name) and value is not None and not is_money:
                yield here
            yield from otherwise(value, here)
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from otherwise(value, f"{path}/{number}")
    elif isinstance(node, str) and _INSTANT.match(node) and not _ONE_FORM.fullmatch(node):
        yield path
