"""Reads one table of a policy's data and names the key at fault."""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

E = TypeVar("E", bound=StrEnum)

_DURATION = re.compile(r"(0|[1-9][0-9]{0,8}) (s|min|h|d)")
_SECONDS = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}

LONGEST = timedelta(days=366)


class PolicyInvalid(ValueError):
    """The data is no policy; ``key`` is the path of the value at fault, as ``ladders[2].rungs[0].after``."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key
        self.message = message


def written(length: timedelta) -> str:
    """Return a length of whole seconds as ``Table.duration`` reads it, in the largest unit that fits: "90 s"."""
    seconds = int(length.total_seconds())
    unit = next(unit for unit, size in _SECONDS.items() if seconds % size == 0)
    return f"{seconds // _SECONDS[unit]} {unit}"


class Table:
    """One table at ``path``; each reader raises ``PolicyInvalid`` for a missing or wrong value."""

    def __init__(self, path: str, row: Any, known: frozenset[str]) -> None:
        if not isinstance(row, Mapping):
            raise PolicyInvalid(path, "a table")
        self._path = path
        self._row = row
        for key in row:
            if key not in known:
                raise PolicyInvalid(self.key(str(key)), f"unknown; known are {', '.join(sorted(known))}")

    def key(self, name: str) -> str:
        """Return the path of a value of this table."""
        return f"{self._path}.{name}" if self._path else name

    def names(self, name: str) -> bool:
        """Tell whether the table has the key at all."""
        return name in self._row

    def text(self, name: str) -> str:
        """Return a text that is not empty."""
        value = self._row.get(name)
        if not isinstance(value, str) or not value:
            raise PolicyInvalid(self.key(name), "a text")
        return value

    def whole(self, name: str, most: int = 1_000_000) -> int:
        """Return a whole number from 1 to ``most``."""
        value = self._row.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise PolicyInvalid(self.key(name), "a whole number from 1")
        return value

    def flag(self, name: str) -> bool | None:
        """Return true or false, or None if the table does not say."""
        value = self._row.get(name)
        if value is not None and not isinstance(value, bool):
            raise PolicyInvalid(self.key(name), "true or false")
        return value

    def duration(self, name: str) -> timedelta:
        """Return a length of time, written as "90 s", "10 min", "6 h" or "7 d", of a year at most."""
        value = self._row.get(name)
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None or (length := timedelta(seconds=int(match[1]) * _SECONDS[match[2]])) > LONGEST:
            raise PolicyInvalid(self.key(name), 'a time as "90 s", "10 min", "6 h" or "7 d", a year at most')
        return length

    def required(self, kind: type[E], name: str) -> E:
        """Return a member of ``kind``."""
        return member(kind, self.key(name), self._row.get(name))

    def choice(self, kind: type[E], name: str) -> E | None:
        """Return a member of ``kind``, or None if the table does not say."""
        return self.required(kind, name) if name in self._row else None

    def rows(self, name: str) -> list[Any]:
        """Return a list, empty if the table does not say."""
        value = self._row.get(name, [])
        if not isinstance(value, list):
            raise PolicyInvalid(self.key(name), "a list")
        return value


def member(kind: type[E], key: str, value: Any) -> E:
    """Return the member of ``kind`` with this value; raise ``PolicyInvalid`` at ``key`` if there is none."""
    if isinstance(value, str) and value in set(kind):
        return kind(value)
    raise PolicyInvalid(key, f"one of {', '.join(kind)}")
