"""How a sandbox participant treats the orders that it gets."""

from dataclasses import dataclass
from enum import StrEnum

from workflows.terms import RefusalCode


@dataclass(frozen=True, slots=True)
class Prompt:
    """Executes at once and in full, as far as the balance goes."""


@dataclass(frozen=True, slots=True)
class Slow:
    """Says "received" at once and executes ``seconds`` later; a lift is never kept waiting."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Late:
    """Says "received" at once and executes ``seconds`` after its execute deadline; before it, if they are negative."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Half:
    """Does half of a freeze, a recall or a disclosure, and the rest ``after`` seconds; all else it executes at once."""

    after: float


@dataclass(frozen=True, slots=True)
class Partial:
    """Has ``first`` ₫ on each account; ``more`` ₫ come ``after`` seconds (``None``: only when ``top_up`` is called)."""

    first: int
    more: int = 0
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Refusing:
    """Refuses with a code: every target, or ``only`` these; the others are executed promptly."""

    code: RefusalCode
    only: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Ported:
    """Says "not mine, ported to ``to``" (an id or short name): of every target, or ``only`` of these."""

    to: str
    only: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Silent:
    """Takes every order with a 2xx and never answers."""


@dataclass(frozen=True, slots=True)
class Flapping:
    """Does not take the first call and then every other one; what it takes it executes promptly."""


class Trick(StrEnum):
    """What a hostile participant does: with a call of the hub's, or (the last two) in its answer."""

    REDIRECT = "redirect"
    STATUS = "status"
    GARBAGE = "garbage"
    ENDLESS = "endless"
    FORGED = "forged"
    STRANGER = "stranger"


# What is played in an answer: all that somebody can do whom the hub never calls.
LIES = (Trick.FORGED, Trick.STRANGER)


@dataclass(frozen=True, slots=True)
class Hostile:
    """Plays its tricks in turn, one a call, and never answers honestly; whom nobody calls plays only its lies."""

    tricks: tuple[Trick, ...] = tuple(Trick)


Behaviour = Prompt | Slow | Late | Half | Partial | Refusing | Ported | Silent | Flapping | Hostile
