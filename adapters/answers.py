"""What a participant answers in any wire format, as a plain value."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moved:
    """One movement: minor units with their currency, ``at`` an RFC 3339 text, codes as an acknowledgement has them.

    ``counterparty`` has ``kind``, ``value`` and ``institution``; None where it is not known.
    """

    direction: str
    amount: tuple[int, str]
    at: str
    kind: str
    counterparty: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Traced:
    """What a trace was answered with, in the order in which it was said."""

    movements: tuple[Moved, ...]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to one order.

    ``outcome`` is an acknowledgement's (``received``, ``executed``, ``refused``, ``not_mine``, ``lifted``), or
    ``error`` where the participant's system could not say. ``amount`` is minor units with their currency,
    ``disclosed`` what a disclosure was answered with, by its codes, ``traced`` what a trace was answered with.
    """

    order_id: str
    outcome: str
    amount: tuple[int, str] | None = None
    refusal_code: str | None = None
    ported_to: str | None = None
    disclosed: Mapping[str, str] | None = None
    traced: Traced | None = None
