"""Which rung of a ladder is next, and at which instant it is due."""

from collections.abc import Sequence
from datetime import UTC, datetime

from workflows.policy import Rung


def next_rung(rungs: Sequence[Rung], last: int) -> Rung | None:
    """Return the rung after number ``last`` (0 = the deadline itself), or None at the top of the ladder."""
    return next((rung for rung in rungs if rung.number > last), None)


def due(rung: Rung, placed_at: datetime) -> datetime:
    """Return the instant (UTC) at which ``rung`` fires.

    ``placed_at`` is the instant at which the clock began: that of the order's placing, or of the re-opening of an
    acknowledge clock. It is never "now": a late firing must not delay the rungs after it.
    Raise ``ValueError`` if it has no time zone.
    """
    if placed_at.tzinfo is None:
        raise ValueError("an instant without a time zone starts no ladder")
    return placed_at.astimezone(UTC) + rung.after
