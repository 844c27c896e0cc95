"""How values look on a page: instants to the second, time left, gaps between steps, and identifiers half hidden."""

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from service import i18n
from service.queries import board
from workflows.terms import Stage, TargetKind
from workflows.working_hours import VIETNAM

_DOTS = "••••"
_SHOWN_DIGITS = 4
_UNITS = (("days", 86_400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
_SHOWN_UNITS = 3


def moment(value: datetime) -> str:
    """Return "HH:mm:ss dd/MM/yyyy" in Vietnam time."""
    return value.astimezone(VIETNAM).strftime("%H:%M:%S %d/%m/%Y")


def clock_time(value: datetime) -> str:
    """Return "HH:mm:ss" in Vietnam time."""
    return value.astimezone(VIETNAM).strftime("%H:%M:%S")


def day(value: datetime) -> str:
    """Return "dd/MM/yyyy" in Vietnam time."""
    return value.astimezone(VIETNAM).strftime("%d/%m/%Y")


def utc(value: datetime) -> str:
    """Return "yyyy-MM-dd HH:mm:ss UTC"."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def written(text: str) -> datetime:
    """Return the instant (UTC) that a field of a day and a time was filled in with.

    Raises ``ValueError`` or ``OverflowError`` for what is none.
    """
    # Such a field says no zone (HTML, 2.3.5.7): on these pages it is Vietnam's.
    local = datetime.fromisoformat(text)
    return local.replace(tzinfo=local.tzinfo or VIETNAM).astimezone(UTC)


def left(due_at: datetime, now: datetime, lang: str, stage: Stage | None = None) -> str:
    """Return how long is left until ``due_at``, or for how long it is overdue; ``countdown.js`` writes the same.

    What ends at that instant by itself (``Stage.END``) is nobody's to do: "sau 2 ngày …" in place of "còn 2 ngày …".
    """
    seconds = int((due_at - now).total_seconds())
    ahead = "ends" if stage is Stage.END else "left"
    return i18n.text(f"console.time.{ahead if due_at > now else 'over'}", lang, time=_spelled(abs(seconds), lang))


def gap(between: timedelta, lang: str) -> str | None:
    """Return the wait between two steps in its two largest units, or None below a second."""
    seconds = int(between.total_seconds())
    if seconds < 1:
        return None
    first = next(position for position, (_, size) in enumerate(_UNITS) if seconds >= size)
    parts = []
    for name, size in _UNITS[first : first + 2]:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(i18n.text(f"console.time.{name}", lang, count=count))
    return " ".join(parts)


def target(kind: TargetKind, value: str, *, whole: bool) -> str:
    """Return a target's value: as it is for its own agency, the last four characters of a personal one for others."""
    if whole or kind in board.PUBLIC_TARGETS:
        return value
    return f"{_DOTS} {value[-_SHOWN_DIGITS:]}" if len(value) > 2 * _SHOWN_DIGITS else _DOTS


def cell(value: Any) -> Any:
    """Return a value as a cell of a table to take along.

    A spreadsheet would compute what begins like a formula (OWASP, CSV injection).
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def joined(sentence: str) -> str:
    """Keep each amount and its ₫ on one line."""
    return sentence.replace(" ₫", "\N{NO-BREAK SPACE}₫")


def needs_secure_cookie(address: str) -> bool:
    """Tell whether cookies of the hub at ``address`` travel over TLS alone: always, but for http on loopback."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    return not (parts.scheme == "http" and loopback)


def _spelled(seconds: int, lang: str) -> str:
    """Return "11 phút 05 giây": three units from the largest on, so that nobody takes it for a time of the day."""
    first = next((position for position, (_, size) in enumerate(_UNITS) if seconds >= size), len(_UNITS) - 1)
    parts: list[str] = []
    for name, size in _UNITS[first : first + _SHOWN_UNITS]:
        count, seconds = divmod(seconds, size)
        parts.append(i18n.text(f"console.time.{name}", lang, count=f"{count:02}" if parts else count))
    return " ".join(parts)
