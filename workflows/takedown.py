"""A takedown: what may be taken down and how, for how long by default, and the time limits per target and sector."""

from collections.abc import Mapping
from datetime import timedelta

from workflows.terms import MONEY_TARGETS, Measure, Sector, Stage, TargetKind, Urgency

TARGETS = frozenset(TargetKind) - MONEY_TARGETS

# What can be done to a target at all: nobody can remove a phone number or suspend a single page.
MEASURES: Mapping[TargetKind, frozenset[Measure]] = {
    TargetKind.PHONE: frozenset({Measure.BLOCK, Measure.SUSPEND}),
    TargetKind.SMS_SENDER: frozenset({Measure.BLOCK, Measure.SUSPEND}),
    TargetKind.SOCIAL_ACCOUNT: frozenset(Measure),
    TargetKind.EMAIL: frozenset({Measure.BLOCK, Measure.SUSPEND}),
    TargetKind.DOMAIN: frozenset({Measure.BLOCK, Measure.SUSPEND}),
    TargetKind.URL: frozenset({Measure.BLOCK, Measure.REMOVE}),
    TargetKind.CONTENT: frozenset({Measure.BLOCK, Measure.REMOVE}),
}

# Provisional measures end by themselves: a phone block after 7 days (Korea, 2025), an account lock after 7 to 30 days
# (Decree 147/2024/NĐ-CP), of which the shorter is taken.
DEFAULT_LENGTHS: Mapping[tuple[TargetKind, Measure], timedelta] = {
    (TargetKind.PHONE, Measure.BLOCK): timedelta(days=7),
    (TargetKind.SOCIAL_ACCOUNT, Measure.SUSPEND): timedelta(days=7),
}


def _limits(acknowledge: timedelta, execute: timedelta) -> Mapping[Stage, timedelta]:
    return {Stage.RECEIPT: timedelta(seconds=60), Stage.ACKNOWLEDGE: acknowledge, Stage.EXECUTE: execute}


# All limits to acknowledge are assumed. Three hours for content are a service target; Vietnam's legal clock for
# ordinary fraud is 24 h (Decree 147/2024/NĐ-CP, Law 116/2025).
_CONTENT = _limits(timedelta(hours=1), timedelta(hours=3))  # India 3 h
_CONTENT_INTIMATE = _limits(timedelta(minutes=30), timedelta(hours=2))  # India 2 h
_CONTENT_DANGER = _limits(timedelta(minutes=15), timedelta(hours=1))  # European Union 1 h (terrorist content)
_ACCOUNT_LOCK = _limits(timedelta(hours=4), timedelta(hours=24))  # Decree 147/2024/NĐ-CP
_AT_REGISTRAR = _limits(timedelta(hours=2), timedelta(hours=6))  # assumed; Decree 147 asks in writing, without an hour

TIME_LIMITS: Mapping[TargetKind, Mapping[Stage, timedelta]] = {
    TargetKind.PHONE: _limits(timedelta(minutes=5), timedelta(minutes=10)),  # Korea 10 min
    TargetKind.SMS_SENDER: _limits(timedelta(minutes=15), timedelta(minutes=30)),  # assumed
    TargetKind.SOCIAL_ACCOUNT: _CONTENT,  # an impersonation is content; a mere lock has the legal 24 h
    TargetKind.EMAIL: _ACCOUNT_LOCK,  # assumed to be like an account lock
    TargetKind.DOMAIN: _limits(timedelta(minutes=30), timedelta(hours=1)),  # assumed; Vietnam's legal maximum is 24 h
    TargetKind.URL: _limits(timedelta(minutes=30), timedelta(hours=1)),  # assumed, as above
    TargetKind.CONTENT: _CONTENT,
}


def time_limits(
    target_kind: TargetKind, sector: Sector, measure: Measure | None, urgency: Urgency, intimate: bool
) -> Mapping[Stage, timedelta]:
    """Return the time of each stage for one target at a participant of ``sector``.

    Intimate imagery has its own clock. Content that a request marks as hỏa tốc is taken for a danger to life or to
    national security: the one hour of the default profile (assumed: no other field says so).
    Raise ``KeyError`` for a target that cannot be taken down.
    """
    if sector is Sector.REGISTRAR:
        return _AT_REGISTRAR
    if sector is Sector.PLATFORM and target_kind is not TargetKind.EMAIL:
        # The platform removes what is on its pages, whatever names it; only an ISP blocks a domain or URL as such.
        if target_kind is TargetKind.CONTENT and urgency is Urgency.HOA_TOC:
            return _CONTENT_DANGER
        if intimate:
            return _CONTENT_INTIMATE
        locks = target_kind is TargetKind.SOCIAL_ACCOUNT and measure is Measure.SUSPEND
        return _ACCOUNT_LOCK if locks else _CONTENT
    return TIME_LIMITS[target_kind]


def default_length(target_kinds: frozenset[TargetKind], measure: Measure | None) -> timedelta | None:
    """Return how long the measure lasts when the request names no end, or None if it does not end by itself.

    Only a request whose targets are all of one provisional kind gets an end: an end holds for the whole request.
    """
    if len(target_kinds) != 1 or measure is None:
        return None
    return DEFAULT_LENGTHS.get((next(iter(target_kinds)), measure))
