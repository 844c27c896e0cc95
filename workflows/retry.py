"""How long a dispatch waits before its next attempt, and when it is given up."""

from datetime import datetime, timedelta

from workflows.terms import Action, Urgency

# Seconds before attempt 1, 2, 3 …; the last one repeats.
_URGENT = (0, 2, 5, 10, 20, 40, 60)
_NORMAL = (0, 5, 10, 20, 40, 80, 160, 300)
_URGENT_AFTER_DEADLINE = 600

JITTER = 0.2
GIVE_UP_AFTER = timedelta(hours=72)


def is_urgent(action: Action | None, urgency: Urgency | None) -> bool:
    """Tell whether a dispatch takes the fast schedule: a freeze, a lift or a recall always, anything marked hỏa tốc."""
    return action in (Action.FREEZE, Action.LIFT, Action.RECALL) or urgency is Urgency.HOA_TOC


def wait_before(
    attempt: int,
    *,
    urgent: bool,
    placed_at: datetime,
    now: datetime,
    deadline_at: datetime | None,
    jitter: float,
) -> timedelta | None:
    """Return the wait from ``now`` to attempt number ``attempt`` (the first is 1), or None when it is given up.

    A dispatch is given up 72 hours after ``placed_at``. An urgent one slows down to every ten minutes once its
    deadline has passed: by then people are on the telephone. ``jitter`` in [-1, 1] spreads the wait by up to 20 %.
    Raise ``ValueError`` for an attempt below 1 or a jitter outside its range.
    """
    if attempt < 1 or not -1 <= jitter <= 1:
        raise ValueError("attempts count from 1 and jitter lies in [-1, 1]")
    if now - placed_at >= GIVE_UP_AFTER:
        return None
    steps = _URGENT if urgent else _NORMAL
    seconds = steps[min(attempt, len(steps)) - 1]
    if urgent and attempt > 1 and deadline_at is not None and now >= deadline_at:
        seconds = _URGENT_AFTER_DEADLINE
    return timedelta(seconds=seconds * (1 + JITTER * jitter))
