"""One thing that was looked at, as a code with parameters; its sentence is in ``service/i18n``, in both languages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from service import i18n

State = Literal["ok", "warning", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at (``name``), how it is, and which sentence of ``doctor.<name>`` says so.

    ``unknown`` is what could not be looked at. ``grave``: in production the hub does not start with it (ADR 0032).
    No parameter ever holds a secret or anything personal.
    """

    name: str
    state: State
    says: str
    params: Mapping[str, object] = field(default_factory=dict)
    grave: bool = False

    def sentence(self, lang: str) -> str:
        """Return what it says, in ``vi`` or ``en``."""
        return i18n.text(f"doctor.{self.name}.{self.says}", lang, **self.params)


def ok(name: str, says: str = "ok", /, **params: object) -> Check:
    """All is well."""
    return Check(name, "ok", says, params)


def warning(name: str, says: str, /, **params: object) -> Check:
    """Somebody should know."""
    return Check(name, "warning", says, params)


def failed(name: str, says: str, /, **params: object) -> Check:
    """Must be put right."""
    return Check(name, "failed", says, params)


def grave(name: str, says: str, /, **params: object) -> Check:
    """Must be put right before the hub starts in production."""
    return Check(name, "failed", says, params, grave=True)


def unknown(name: str, says: str, /, **params: object) -> Check:
    """Could not be looked at."""
    return Check(name, "unknown", says, params)
