"""What a participant's system must be seen to do before real orders reach it: the cases and their rules, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from workflows.terms import Channel, Sector


class Profile(StrEnum):
    """What is certified: who answers, and in which form the orders come."""

    BANK_WEBHOOK = "bank-webhook"
    BANK_ISO20022 = "bank-iso20022"
    TELECOM_WEBHOOK = "telecom-webhook"
    TELECOM_ETSI = "telecom-etsi"
    PULL = "pull"


class Case(StrEnum):
    """One thing that is tried with a participant's system."""

    DELIVERY_TAKEN = "delivery.taken"
    ANSWER_IN_TIME = "answer.in_time"
    ORDER_EXECUTED = "order.executed"
    DUPLICATE_ONCE = "duplicate.once"
    REPLAY_ONCE = "replay.once"
    CALLER_FORGED = "caller.forged"
    TIMESTAMP_OLD = "timestamp.old"
    ORDER_FORGED = "order.forged"
    ORDER_ALTERED = "order.altered"
    NAMESPACE_WRONG = "namespace.wrong"
    FIELD_UNKNOWN = "field.unknown"
    SECRET_ROTATED = "secret.rotated"  # noqa: S105 - a case's name
    KEY_ROTATED = "key.rotated"
    MEMBER_UNKNOWN = "member.unknown"
    TYPE_UNKNOWN = "type.unknown"
    LIFT_EXECUTED = "lift.executed"
    LIFT_FIRST = "lift.first"
    AMOUNT_PARTIAL = "amount.partial"
    DEADLINE_LATE = "deadline.late"
    TARGET_MISSING = "target.missing"
    TRACE_ANSWERED = "trace.answered"
    ANSWERS_ACCEPTED = "answers.accepted"


class Verdict(StrEnum):
    """What became of a case; one whose precondition failed was not reached, and proves nothing."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REACHED = "not_reached"


@dataclass(frozen=True, slots=True)
class Rule:
    """Which profiles need a case, and which cases must have passed before it can say anything.

    ``money`` is for those that hold money: whoever blocks numbers or names has no amounts.
    """

    profiles: frozenset[Profile]
    needs: tuple[Case, ...] = (Case.ORDER_EXECUTED,)
    money: bool = False


MONEY = frozenset({Sector.BANK, Sector.WALLET})
_ALL = frozenset(Profile)
# Where the hub's call itself is signed with the secret that both sides hold.
_SECRET = frozenset({Profile.BANK_WEBHOOK, Profile.TELECOM_WEBHOOK, Profile.TELECOM_ETSI})
_CALLED = _ALL - {Profile.PULL}
# Whose order is read as JSON, which may grow members; a document of a standard has a schema, and is closed.
_JSON = _ALL - {Profile.BANK_ISO20022}
_EVENTS = frozenset({Profile.BANK_WEBHOOK, Profile.TELECOM_WEBHOOK, Profile.PULL})

# In the order in which they are tried and told.
RULES: Mapping[Case, Rule] = MappingProxyType(
    {
        Case.DELIVERY_TAKEN: Rule(_ALL, needs=()),
        Case.ANSWER_IN_TIME: Rule(_ALL, needs=(Case.DELIVERY_TAKEN,)),
        Case.ORDER_EXECUTED: Rule(_ALL, needs=(Case.ANSWER_IN_TIME,)),
        Case.DUPLICATE_ONCE: Rule(_ALL),
        Case.REPLAY_ONCE: Rule(_CALLED),
        Case.CALLER_FORGED: Rule(_SECRET),
        Case.TIMESTAMP_OLD: Rule(_SECRET),
        Case.ORDER_FORGED: Rule(_ALL),
        Case.ORDER_ALTERED: Rule(_ALL),
        Case.NAMESPACE_WRONG: Rule(frozenset({Profile.BANK_ISO20022})),
        Case.FIELD_UNKNOWN: Rule(frozenset({Profile.TELECOM_ETSI})),
        Case.SECRET_ROTATED: Rule(_SECRET),
        Case.KEY_ROTATED: Rule(_ALL),
        Case.MEMBER_UNKNOWN: Rule(_JSON),
        Case.TYPE_UNKNOWN: Rule(_EVENTS),
        Case.LIFT_EXECUTED: Rule(_ALL),
        Case.LIFT_FIRST: Rule(_ALL, needs=(Case.LIFT_EXECUTED,)),
        Case.DEADLINE_LATE: Rule(_ALL),
        Case.TARGET_MISSING: Rule(_ALL),
        Case.TRACE_ANSWERED: Rule(_ALL, money=True),
        # Last of all: whatever is on the account is held then.
        Case.AMOUNT_PARTIAL: Rule(_ALL, money=True),
        Case.ANSWERS_ACCEPTED: Rule(_ALL, needs=(Case.DELIVERY_TAKEN,)),
    }
)

# What is frozen and blocked: made up, and nobody's. The second of each is found nowhere.
TARGETS: Mapping[Sector, tuple[str, str]] = MappingProxyType(
    {
        Sector.BANK: ("9990000000001", "9990000000404"),
        Sector.WALLET: ("9990000000001", "9990000000404"),
        Sector.TELECOM: ("+84990000001", "+84990000404"),
        Sector.ISP: ("kiem-thu.example.com", "khong-co.example.com"),
        Sector.PLATFORM: ("kiem-thu", "khong-co"),
        Sector.REGISTRAR: ("kiem-thu.example.com", "khong-co.example.com"),
    }
)

_CHANNELS: Mapping[Profile, Channel] = MappingProxyType(
    {
        Profile.BANK_WEBHOOK: Channel.WEBHOOK,
        Profile.BANK_ISO20022: Channel.ISO20022,
        Profile.TELECOM_WEBHOOK: Channel.WEBHOOK,
        Profile.TELECOM_ETSI: Channel.ETSI,
        Profile.PULL: Channel.PULL,
    }
)
_BANKS = frozenset({Profile.BANK_WEBHOOK, Profile.BANK_ISO20022})


def channel_of(profile: Profile) -> Channel:
    """Return how the orders of a profile come."""
    return _CHANNELS[profile]


def fits(profile: Profile, channel: Channel, sector: Sector) -> bool:
    """Tell whether a profile says something of an endpoint of this channel, of a member of this sector."""
    of_sector = profile is Profile.PULL or (profile in _BANKS) == (sector in MONEY)
    return _CHANNELS[profile] is channel and of_sector


def cases(profile: Profile, sector: Sector) -> tuple[Case, ...]:
    """Return the cases that a member of a sector needs for a profile, in their order."""
    return tuple(
        case for case, rule in RULES.items() if profile in rule.profiles and (sector in MONEY or not rule.money)
    )


def is_reached(case: Case, verdicts: Mapping[Case, Verdict]) -> bool:
    """Tell whether what a case rests on has passed."""
    return all(verdicts.get(need) is Verdict.PASSED for need in RULES[case].needs)


def is_passed(profile: Profile, sector: Sector, verdicts: Mapping[Case, Verdict]) -> bool:
    """Tell whether every case that is needed was reached and passed; one that is missing was not."""
    return all(verdicts.get(case) is Verdict.PASSED for case in cases(profile, sector))


def is_recent(ended_at: datetime, now: datetime, lasts: timedelta) -> bool:
    """Tell whether a certification still counts: one of the future never does."""
    return ended_at <= now < ended_at + lasts
