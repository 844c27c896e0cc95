"""An appeal against a hold: what it may be about, its life, its two clocks, and who may decide it."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

from workflows import working_hours
from workflows.authority import AuthorityRefused
from workflows.authority_rules import Power
from workflows.states import IllegalMove
from workflows.terms import Action, AppealReason, AppealState, OrderState, Stage

# The first answer counts around the clock (PROMISES R12; Thailand: 4 h to a working day), the decision in office days.
ANSWER_WITHIN = timedelta(hours=4)
DECISION_WORKING_DAYS = 1

# What leaves something in force at somebody's account, number or page. Kept evidence takes nothing from its holder.
CONTESTABLE = frozenset({Action.FREEZE, Action.TAKEDOWN})

OPEN = frozenset({AppealState.FILED, AppealState.ANSWERED})
DECIDED = frozenset({AppealState.UPHELD, AppealState.REJECTED})

# A decision may come without an answer before it: then it is the first answer too.
MOVES: frozenset[tuple[AppealState, AppealState]] = frozenset(
    {
        (AppealState.FILED, AppealState.ANSWERED),
        *((state, outcome) for state in OPEN for outcome in DECIDED),
    }
)

# The states in which the agency still owes what a stage is for.
OWED: Mapping[Stage, frozenset[AppealState]] = {
    Stage.APPEAL_ANSWER: frozenset({AppealState.FILED}),
    Stage.APPEAL_DECISION: OPEN,
}

REASONS: Mapping[AppealState, frozenset[AppealReason]] = {
    AppealState.UPHELD: frozenset(
        {
            AppealReason.PERSON_MISTAKEN,
            AppealReason.AMOUNT_MISTAKEN,
            AppealReason.PERSON_NOT_INVOLVED,
            AppealReason.HARDSHIP,
            AppealReason.MONEY_RETURNED,
            AppealReason.NO_LONGER_NEEDED,
            AppealReason.BASIS_MISSING,
        }
    ),
    AppealState.REJECTED: frozenset(
        {AppealReason.HOLD_JUSTIFIED, AppealReason.GROUND_NOT_SHOWN, AppealReason.ALREADY_ENDED}
    ),
}


def is_contestable(action: Action, state: OrderState, lift_ordered: bool) -> bool:
    """Tell whether an order holds something that an appeal can be about; what is being lifted already is not."""
    return action in CONTESTABLE and state is OrderState.EXECUTED and not lift_ordered


def advance(state: AppealState, to: AppealState) -> AppealState:
    """Return ``to`` if an appeal may go there from ``state``; raise ``IllegalMove`` for each pair not in ``MOVES``."""
    if (state, to) not in MOVES:
        raise IllegalMove(state, to)
    return to


def decision_due(filed_at: datetime, calendar: working_hours.Calendar) -> datetime:
    """Return the instant (UTC) by which an appeal filed at ``filed_at`` is to be decided.

    The term is counted as in ``working_hours.working_days_end``, but a day whose holidays nobody has announced yet
    counts as a working day: an appellant does not wait for a calendar. Raise ``ValueError`` for a start without a time
    zone.
    """
    if filed_at.tzinfo is None:
        raise ValueError("a term has an aware start")
    day = filed_at.astimezone(working_hours.VIETNAM).date()
    left = DECISION_WORKING_DAYS
    while left:
        day += timedelta(days=1)
        left -= _is_worked(day, calendar)
    return datetime.combine(day + timedelta(days=1), time(), working_hours.VIETNAM).astimezone(UTC)


def check_decider(officer_id: str, *, filed_by: str, powers: frozenset[Power], officer_active: bool) -> None:
    """Raise ``AuthorityRefused`` unless this officer may decide an appeal against what ``filed_by`` asked for.

    Nobody judges his own request. The rank and the legal basis are not asked: letting go must never need more than
    holding did, and a basis that is no longer in force holds nobody.
    """
    if not officer_active:
        raise AuthorityRefused("officer_inactive", {})
    if officer_id == filed_by:
        raise AuthorityRefused("same_officer", {})
    if Power.APPROVE not in powers:
        raise AuthorityRefused("power_missing", {"power": str(Power.APPROVE)})


def _is_worked(day: date, calendar: working_hours.Calendar) -> bool:
    try:
        return working_hours.is_working_day(day, calendar)
    except working_hours.BeyondCalendar:
        return True
