"""How values look on a page: instants to the second, time left, gaps between steps, and identifiers half hidden."""

import ipaddress
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from service import i18n
from service.queries import board
from workflows.terms import TargetKind
from workflows.working_hours import VIETNAM

_DOTS = "••••"
_SHOWN_DIGITS = 4
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


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


def left(due_at: datetime, now: datetime, lang: str) -> str:
    """Return how long is left until ``due_at``, or for how long it is overdue; ``countdown.js`` writes the same."""
    seconds = int((due_at - now).total_seconds())
    key = "console.time.left" if due_at > now else "console.time.over"
    return i18n.text(key, lang, time=_digits(abs(seconds), lang))


def gap(between: timedelta, lang: str) -> str | None:
    """Return the wait between two steps in its two largest units, or None below a second."""
    seconds = int(between.total_seconds())
    if seconds < 1:
        return None
    units = (("days", _DAY), ("hours", _HOUR), ("minutes", _MINUTE), ("seconds", 1))
    first = next(position for position, (_, size) in enumerate(units) if seconds >= size)
    parts = []
    for name, size in units[first : first + 2]:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(i18n.text(f"console.time.{name}", lang, count=count))
    return " ".join(parts)


def target(kind: TargetKind, value: str, *, whole: bool) -> str:
    """Return a target's value: as it is for its own agency, the last four characters of a personal one for others."""
    if whole or kind in board.PUBLIC_TARGETS:
        return value
    return f"{_DOTS} {value[-_SHOWN_DIGITS:]}" if len(value) > 2 * _SHOWN_DIGITS else _DOTS


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


def _digits(seconds: int, lang: str) -> str:
    days, rest = divmod(seconds, _DAY)
    hours, rest = divmod(rest, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    text = f"{hours:02}:{minutes:02}:{rest:02}" if days or hours else f"{minutes:02}:{rest:02}"
    return f"{i18n.text('console.time.days', lang, count=days)} {text}" if days else text
