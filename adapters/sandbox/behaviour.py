"""How a sandbox participant treats the orders that it gets."""

from dataclasses import dataclass

from workflows.terms import RefusalCode


@dataclass(frozen=True, slots=True)
class Prompt:
    """Executes at once and in full, as far as the balance goes."""


@dataclass(frozen=True, slots=True)
class Slow:
    """Says "received" at once and executes ``seconds`` later; a lift is never kept waiting."""

    seconds: float


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


Behaviour = Prompt | Slow | Partial | Refusing | Ported | Silent
