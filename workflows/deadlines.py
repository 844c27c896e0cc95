"""The clocks of an order: which limits it has, which override wins and at which instant each one is due."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from workflows import disclose, extend, freeze, lift, preserve, recall, takedown, trace
from workflows.terms import Action, LegalBasis, Measure, Sector, Stage, TargetKind, Urgency


@dataclass(frozen=True, slots=True)
class Limit:
    """The time that a participant has for one stage, counted from the instant at which the order was placed."""

    stage: Stage
    within: timedelta


@dataclass(frozen=True, slots=True)
class LimitOverride:
    """Another time for a stage; None in a field means "any"."""

    stage: Stage
    within: timedelta
    action: Action | None = None
    target_kind: TargetKind | None = None
    participant_id: str | None = None
    legal_basis: LegalBasis | None = None


# "Received" keeps the acknowledge clock quiet this long, then it re-opens. The execute clock is never paused. Assumed.
ACKNOWLEDGEMENT_VALID_FOR: Mapping[Action, timedelta] = {
    Action.FREEZE: timedelta(minutes=10),
    Action.LIFT: timedelta(minutes=5),
    Action.EXTEND: timedelta(hours=1),
    Action.TAKEDOWN: timedelta(hours=1),
    Action.PRESERVE: timedelta(hours=4),
    Action.RECALL: timedelta(minutes=10),
    Action.DISCLOSE: timedelta(hours=1),
    Action.TRACE: timedelta(minutes=5),
}

# A clock is tight once less than this part of its time is left: the fourth. Assumed.
TIGHT = 4

END_WARNING_BEFORE = timedelta(hours=12)  # "warn at T-12 h" of the default profile
APPROVAL_WITHIN = timedelta(minutes=30)  # assumed; a request that nobody approves lapses only when its end comes
TASK_WITHIN = timedelta(minutes=30)  # assumed
DELIVERY_TASK_WITHIN = timedelta(minutes=15)  # assumed; of the tasks about an endpoint, or what it did not take
CALLBACK_WITHIN = timedelta(minutes=15)  # assumed; of the task to call an agency back about a request that is held


def within(
    stage: Stage,
    default: timedelta,
    *,
    action: Action | None = None,
    target_kind: TargetKind | None = None,
    participant_id: str | None = None,
    legal_basis: LegalBasis | None = None,
    overrides: Iterable[LimitOverride] = (),
) -> timedelta:
    """Return the time for a stage: that of the most specific override that fits, else ``default``.

    Participant and basis together win over the participant alone, that over the basis alone, that over a general one;
    then the target kind counts, then the action; of two equal ones the later in ``overrides`` wins. This is also how
    the hub's own clocks (acknowledgement end, end warning, review, approval, task) are read.
    """
    best, won = default, (-1, False, False)
    for override in overrides:
        fits = (
            override.stage is stage
            and override.action in (None, action)
            and override.target_kind in (None, target_kind)
            and override.participant_id in (None, participant_id)
            and override.legal_basis in (None, legal_basis)
        )
        named = 2 * (override.participant_id is not None) + (override.legal_basis is not None)
        weight = (named, override.target_kind is not None, override.action is not None)
        if fits and weight >= won:
            best, won = override.within, weight
    return best


def _defaults(
    action: Action,
    target_kind: TargetKind,
    sector: Sector,
    measure: Measure | None,
    urgency: Urgency,
    intimate: bool,
) -> Mapping[Stage, timedelta]:
    match action:
        case Action.FREEZE:
            return freeze.TIME_LIMITS
        case Action.LIFT:
            return lift.TIME_LIMITS
        case Action.EXTEND:
            return extend.TIME_LIMITS
        case Action.PRESERVE:
            return preserve.TIME_LIMITS
        case Action.RECALL:
            return recall.TIME_LIMITS
        case Action.DISCLOSE:
            return disclose.time_limits(urgency)
        case Action.TRACE:
            return trace.TIME_LIMITS
        case Action.TAKEDOWN:
            return takedown.time_limits(target_kind, sector, measure, urgency, intimate)


def limits_for(
    action: Action,
    target_kind: TargetKind,
    sector: Sector,
    *,
    measure: Measure | None = None,
    urgency: Urgency = Urgency.KHAN,
    intimate: bool = False,
    participant_id: str | None = None,
    legal_basis: LegalBasis | None = None,
    overrides: Iterable[LimitOverride] = (),
) -> tuple[Limit, ...]:
    """Return the limits of receipt, acknowledge and execute, in this order, for one order at one participant.

    The times of the default profile stand in the modules of the actions; ``overrides`` are those of the policy
    followed by those of the participants, see ``within``.
    """
    rows = tuple(overrides)
    return tuple(
        Limit(
            stage,
            within(
                stage,
                default,
                action=action,
                target_kind=target_kind,
                participant_id=participant_id,
                legal_basis=legal_basis,
                overrides=rows,
            ),
        )
        for stage, default in _defaults(action, target_kind, sector, measure, urgency, intimate).items()
    )


def due(limit: Limit, start: datetime) -> datetime:
    """Return the instant (UTC) at which the limit is over; raise ``ValueError`` if ``start`` has no time zone."""
    if start.tzinfo is None:
        raise ValueError("an instant without a time zone starts no clock")
    return start.astimezone(UTC) + limit.within


def tight(started_at: datetime, due_at: datetime) -> datetime:
    """Return the instant from which less than a quarter of a clock's time is left: about to be missed."""
    return due_at - (due_at - started_at) / TIGHT


def end_warning(starts_at: datetime, ends_at: datetime, before: timedelta = END_WARNING_BEFORE) -> datetime | None:
    """Return the instant (UTC) of the warning before a hold's end, or None for a hold too short to be warned of."""
    warning = ends_at - before
    return warning.astimezone(UTC) if warning > starts_at else None
