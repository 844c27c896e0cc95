"""Decides whether an officer may order what a request demands, by how many officers and until when at the latest."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

from workflows import authority_ends, disclose, extend, freeze, lift, preserve, recall, takedown, trace, working_hours
from workflows.authority_ends import EndBeyondMaximum as EndBeyondMaximum
from workflows.authority_ends import EndInPast as EndInPast
from workflows.authority_rules import MOST_UNREVIEWED, RANK_ORDER, Tier
from workflows.authority_rules import RULES as RULES
from workflows.authority_rules import AgencyLevel as AgencyLevel
from workflows.authority_rules import AuthorityRule as AuthorityRule
from workflows.authority_rules import Power as Power
from workflows.authority_rules import Rank as Rank
from workflows.terms import ONCE, Action, LegalBasis, Measure, TargetKind, Urgency
from workflows.working_hours import Calendar

# In the order in which they are checked; the code of a refusal is ``authority.<rule>``.
RULE_NAMES = (
    "basis_unknown",
    "basis_not_in_force",
    "action_not_covered",
    "target_not_covered",
    "officer_inactive",
    "power_missing",
    "rank_too_low",
    "agency_level_not_covered",
    "urgency_too_low",
    "outside_territory",
    "whole_account_not_covered",
    "whole_account_needs_senior",
    "amount_missing",
    "amount_over_cap",
    "end_missing",
    "emergency_in_a_row",
)

_TARGETS = {
    Action.FREEZE: freeze.TARGETS,
    Action.LIFT: lift.TARGETS,
    Action.EXTEND: extend.TARGETS,
    Action.TAKEDOWN: takedown.TARGETS,
    Action.PRESERVE: preserve.TARGETS,
    Action.RECALL: recall.TARGETS,
    Action.DISCLOSE: disclose.TARGETS,
    Action.TRACE: trace.TARGETS,
}
_TWO_OFFICERS = frozenset({Action.FREEZE, Action.EXTEND, Action.PRESERVE, *ONCE})
_MONEY = frozenset({Action.FREEZE, Action.EXTEND, Action.RECALL})


class AuthorityRefused(Exception):
    """The demand breaks ``rule`` (one of ``RULE_NAMES``); ``params`` say what would have been allowed, as texts."""

    def __init__(self, rule: str, params: dict[str, str]) -> None:
        super().__init__(rule)
        self.rule = rule
        self.params = params


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What one officer demands; money in whole ₫, instants aware.

    ``target_provinces`` are the codes of the provinces that the targets are known to be in; empty means unknown and
    passes. ``starts_at`` of an extension is the start of the hold that it extends: the maximum bounds the whole.
    """

    action: Action
    basis: LegalBasis
    target_kinds: frozenset[TargetKind]
    amount: int | None
    whole_account: bool
    rank: Rank
    powers: frozenset[Power]
    agency_level: AgencyLevel
    agency_province: str | None
    target_provinces: frozenset[str]
    officer_active: bool
    starts_at: datetime
    ends_at: datetime | None
    now: datetime
    urgency: Urgency


@dataclass(frozen=True, slots=True)
class Granted:
    """The demand is covered by ``rule_name`` ("decree_52_11:2024-07-01", the basis and the rule's first day).

    ``approvals_needed`` officers, the filing one among them, make the request active.
    ``review_within`` is set when it becomes active at once and a second officer must review it in that time.
    ``latest_end`` is None for what has no maximum (lift, takedown) and for what lapses by itself (``ONCE``).
    """

    rule_name: str
    approvals_needed: int
    review_within: timedelta | None
    latest_end: datetime | None


def check(demand: Demand, calendar: Calendar, rules: Iterable[AuthorityRule] = RULES) -> Granted:
    """Return what the rules grant; raise ``AuthorityRefused`` with the first rule that the demand breaks.

    Raise ``EndInPast`` or ``EndBeyondMaximum`` for a wrong end, ``working_hours.BeyondCalendar`` when the maximum
    counts working days that the calendar does not know yet. A lift is held to less: it only gives money back, so it
    outlives its basis and knows no cap, territory or urgency.
    """
    rule = check_again(demand, rules)
    latest = _check_end(rule, demand, calendar)
    review = rule.review_within if demand.action is Action.FREEZE else None
    two = demand.action in _TWO_OFFICERS and review is None
    return Granted(f"{rule.basis}:{rule.valid_from}", 2 if two else 1, review, latest)


def check_again(demand: Demand, rules: Iterable[AuthorityRule] = RULES) -> AuthorityRule:
    """Return the rule by which this demand may be ordered today; raise ``AuthorityRefused`` as ``check`` does.

    This is what is asked about the first officer once more when the second one signs: he, his rank and the rule may
    have changed since. The end was bounded when it was filed, and nobody can move it.
    """
    rule = _rule(demand.basis, demand.now, rules, outdated_too=demand.action is Action.LIFT)
    if demand.action not in rule.actions:
        _refuse("action_not_covered", basis=rule.basis, action=demand.action)
    if not demand.target_kinds <= (rule.target_kinds & _TARGETS[demand.action]):
        _refuse("target_not_covered", basis=rule.basis, action=demand.action)
    power = Power.ORDER if demand.action is Action.LIFT else rule.power
    _check_officer(rule, demand.rank, demand.powers, demand.officer_active, power, rule.tiers[0].rank)
    if demand.action is not Action.LIFT:
        _check_agency(rule, demand)
    if demand.action in _MONEY:
        _check_money(rule, demand)
    return rule


def check_approver(
    basis: LegalBasis,
    *,
    rank: Rank,
    powers: frozenset[Power],
    officer_active: bool,
    whole_account: bool,
    now: datetime,
    rules: Iterable[AuthorityRule] = RULES,
) -> None:
    """Raise ``AuthorityRefused`` unless this second officer may approve, or review, a request on this basis.

    A whole account takes two seniors: the second one too. That the two are different persons of one agency, with
    different keys, is not decided here.
    """
    rule = _rule(basis, now, rules)
    _check_officer(rule, rank, powers, officer_active, Power.APPROVE, rule.approver_rank)
    if whole_account:
        _check_whole_account(rule, rank)


def check_row(granted: Granted, basis: LegalBasis, unreviewed: int) -> None:
    """Raise ``AuthorityRefused`` for one emergency hold too many in a row that nobody but its officer looked at.

    ``unreviewed`` is how many holds of this officer were ordered alone, and are not reviewed, since a second officer
    last signed for him. It bars nobody for good: the next review or approval of his work ends the row.
    """
    if granted.review_within is not None and unreviewed >= MOST_UNREVIEWED:
        _refuse("emergency_in_a_row", basis=basis, most=str(MOST_UNREVIEWED))


def is_serving(active: bool, appointed_until: datetime | None, now: datetime) -> bool:
    """Tell whether an officer is in office: not suspended, and the appointment has not ended by itself."""
    return active and (appointed_until is None or now < appointed_until)


def default_end(
    action: Action,
    basis: LegalBasis,
    start: datetime,
    calendar: Calendar,
    *,
    target_kinds: frozenset[TargetKind] = frozenset(),
    measure: Measure | None = None,
    first_start: datetime | None = None,
    rules: Iterable[AuthorityRule] = RULES,
) -> datetime | None:
    """Return the end (UTC) of a request that names none, or None for what has no end (lift, most takedowns).

    ``start`` of an extension is the end that it extends. The maximum of the basis, which the default never passes, is
    counted from ``first_start``: the start of the hold, and no later than now. Raise ``EndBeyondMaximum`` if that
    leaves no time at all, and as ``check`` does for an unknown basis or calendar.
    """
    rule = _rule(basis, start, rules, outdated_too=True)
    latest = authority_ends.latest(rule, action, first_start or start, calendar)
    return authority_ends.default(action, start, latest, takedown.default_length(target_kinds, measure))


def _rule(
    basis: LegalBasis, now: datetime, rules: Iterable[AuthorityRule], *, outdated_too: bool = False
) -> AuthorityRule:
    dated = sorted((rule for rule in rules if rule.basis == basis), key=lambda rule: rule.valid_from)
    if not dated:
        _refuse("basis_unknown", basis=basis)
    today = now.astimezone(working_hours.VIETNAM).date()
    for rule in dated:
        if rule.valid_from <= today and (rule.valid_to is None or today <= rule.valid_to):
            return rule
    if not outdated_too:
        _refuse("basis_not_in_force", basis=basis, day=today.isoformat())
    return dated[-1]


def _check_officer(
    rule: AuthorityRule, rank: Rank, powers: frozenset[Power], active: bool, power: Power, lowest: Rank
) -> None:
    if not active:
        _refuse("officer_inactive")
    if power not in powers:
        _refuse("power_missing", basis=rule.basis, power=power)
    if RANK_ORDER[rank] < RANK_ORDER[lowest]:
        _refuse("rank_too_low", basis=rule.basis, rank=lowest)


def _check_agency(rule: AuthorityRule, demand: Demand) -> None:
    if demand.agency_level not in rule.agency_levels:
        _refuse("agency_level_not_covered", basis=rule.basis, level=demand.agency_level)
    if rule.urgency is not None and demand.urgency is not rule.urgency:
        _refuse("urgency_too_low", basis=rule.basis, urgency=rule.urgency)
    bound = rule.own_province_only and demand.agency_level is not AgencyLevel.CENTRAL
    if bound and not demand.target_provinces <= {demand.agency_province}:
        _refuse("outside_territory", basis=rule.basis, province=demand.agency_province or "")


def _check_money(rule: AuthorityRule, demand: Demand) -> None:
    reached = _reached(rule, demand.rank)
    if demand.whole_account:
        _check_whole_account(rule, demand.rank)
    elif demand.amount is None:
        if demand.action is not Action.EXTEND:
            _refuse("amount_missing", basis=rule.basis)
    elif reached is not None and reached.amount_cap is not None and demand.amount > reached.amount_cap:
        _refuse("amount_over_cap", basis=rule.basis, cap=str(reached.amount_cap), rank=demand.rank)


def _check_whole_account(rule: AuthorityRule, rank: Rank) -> None:
    seniors = [tier.rank for tier in rule.tiers if tier.whole_account]
    if not seniors:
        _refuse("whole_account_not_covered", basis=rule.basis)
    reached = _reached(rule, rank)
    if reached is None or not reached.whole_account:
        _refuse("whole_account_needs_senior", basis=rule.basis, rank=seniors[0])


def _reached(rule: AuthorityRule, rank: Rank) -> Tier | None:
    reached = [tier for tier in rule.tiers if RANK_ORDER[tier.rank] <= RANK_ORDER[rank]]
    return reached[-1] if reached else None


def _check_end(rule: AuthorityRule, demand: Demand, calendar: Calendar) -> datetime | None:
    # A start that lies ahead prolongs nothing: the order is placed now.
    latest = authority_ends.latest(rule, demand.action, min(demand.starts_at, demand.now), calendar)
    if demand.ends_at is not None:
        authority_ends.check(demand.ends_at, after=max(demand.now, demand.starts_at), bound=latest)
    elif latest is not None:
        _refuse("end_missing", basis=rule.basis, action=demand.action)
    return latest


def _refuse(rule: str, **params: str) -> NoReturn:
    raise AuthorityRefused(rule, {name: str(value) for name, value in params.items()})
