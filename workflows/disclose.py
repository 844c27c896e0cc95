"""A disclosure of holder or subscriber data: its targets, what may be asked about each, and its time limits."""

from collections.abc import Mapping
from datetime import timedelta

from workflows.terms import Datum, Stage, TargetKind, Urgency

_PERSON = frozenset({Datum.HOLDER_NAME, Datum.HOLDER_DOCUMENT, Datum.HOLDER_BIRTH_DATE})
_OF_ANYTHING = frozenset({Datum.OPENED_ON, Datum.STATE})
_MONEY = _PERSON | _OF_ANYTHING | {Datum.CONTACT_PHONE}
# A platform knows a user by what he typed in: a name and ways to reach him, no paper and no birthday to rely on.
_USER = _OF_ANYTHING | {Datum.HOLDER_NAME, Datum.CONTACT_PHONE, Datum.CONTACT_EMAIL}

# The minimum that tells who stands behind a target (Law 91/2025/QH15: no more than the purpose needs). Movements,
# messages, locations and whom somebody called are not here: they take another instrument.
MAY_BE_ASKED: Mapping[TargetKind, frozenset[Datum]] = {
    TargetKind.ACCOUNT: _MONEY,
    TargetKind.WALLET: _MONEY,
    TargetKind.CARD: _MONEY,
    # The number is the contact: asking a telecom for another one would be a search.
    TargetKind.PHONE: _PERSON | _OF_ANYTHING,
    TargetKind.SOCIAL_ACCOUNT: _USER,
    TargetKind.EMAIL: _USER,
    TargetKind.DOMAIN: _USER | {Datum.HOLDER_DOCUMENT},
}
TARGETS = frozenset(MAY_BE_ASKED)

# Assumed: the slowest published term (European Union, 10 days; Philippines, 10) and as long again for a reminder, a
# call and a supervisor. Data that come later than that answer a question that nobody asks any more.
OPEN_FOR = timedelta(days=20)

_RECEIPT = timedelta(seconds=60)  # no published number
_ORDINARY: Mapping[Stage, timedelta] = {
    Stage.RECEIPT: _RECEIPT,
    Stage.ACKNOWLEDGE: timedelta(hours=4),  # assumed
    # Law for users of services on the net (Decree 147/2024/NĐ-CP: 24 h); for banks and telecoms a service target.
    Stage.EXECUTE: timedelta(hours=24),
}
# Law only where national security is threatened (3 h); else a service target. European Union: 8 h.
_AT_ONCE: Mapping[Stage, timedelta] = {
    Stage.RECEIPT: _RECEIPT,
    Stage.ACKNOWLEDGE: timedelta(minutes=30),  # assumed
    Stage.EXECUTE: timedelta(hours=3),
}


def time_limits(urgency: Urgency) -> Mapping[Stage, timedelta]:
    """Return the time of each stage: hỏa tốc has its own."""
    return _AT_ONCE if urgency is Urgency.HOA_TOC else _ORDINARY


def may_be_asked(datum: Datum, kind: TargetKind) -> bool:
    """Tell whether a datum may be asked about this kind of target."""
    return datum in MAY_BE_ASKED.get(kind, frozenset())
