"""What a participant answers in any wire format, as a plain value."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to one order.

    ``outcome`` is an acknowledgement's (``received``, ``executed``, ``refused``, ``not_mine``, ``lifted``), or
    ``error`` where the participant's system could not say. ``amount`` is minor units with their currency,
    ``disclosed`` what a disclosure was answered with, by its codes.
    """

    order_id: str
    outcome: str
    amount: tuple[int, str] | None = None
    refusal_code: str | None = None
    ported_to: str | None = None
    disclosed: Mapping[str, str] | None = None
