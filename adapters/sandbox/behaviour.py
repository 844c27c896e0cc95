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
    """Does half of a freeze, recall, disclosure or trace, the rest ``after`` seconds; all else it executes at once."""

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


class Mistake(StrEnum):
    """What a developer gets wrong: one check that is not made, or one thing that is not remembered."""

    TRUSTS_CALLERS = "trusts_callers"
    TRUSTS_OLD_CALLS = "trusts_old_calls"
    TRUSTS_ORDERS = "trusts_orders"
    READS_FIRST_SIGNATURE = "reads_first_signature"
    KEEPS_KEYS = "keeps_keys"
    FORGETS_IDS = "forgets_ids"
    FORGETS_CURSOR = "forgets_cursor"
    REFUSES_REPEATED = "refuses_repeated"
    REFUSES_MEMBERS = "refuses_members"
    REFUSES_TYPES = "refuses_types"
    READS_ANY_FORM = "reads_any_form"
    FORGETS_LIFTS = "forgets_lifts"
    IGNORES_LIFTS = "ignores_lifts"
    IGNORES_LATE = "ignores_late"
    CLAIMS_ALL = "claims_all"
    FINDS_ANYTHING = "finds_anything"
    REFUSES_TRACES = "refuses_traces"


# Whose inbox is never confirmed has taken nothing: what else he gets wrong would not be seen.
ALONE = Mistake.FORGETS_CURSOR


@dataclass(frozen=True, slots=True)
class Careless:
    """Executes promptly, with these mistakes."""

    mistakes: frozenset[Mistake] = frozenset(Mistake) - {ALONE}


def mistakes_of(behaviour: "Behaviour") -> frozenset[Mistake]:
    """Return the mistakes that a behaviour makes; only the careless makes any."""
    return behaviour.mistakes if isinstance(behaviour, Careless) else frozenset()


Behaviour = Prompt | Slow | Late | Half | Partial | Refusing | Ported | Silent | Flapping | Hostile | Careless
