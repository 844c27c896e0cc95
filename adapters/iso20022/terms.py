"""What ISO 20022 calls things here: references of messages, institutions, accounts, and the ISO codes of outcomes."""

import json
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from uuid import UUID

from adapters.iso20022 import xml
from adapters.iso20022.xml import Element, MessageRefused

DATA = Path(__file__).parent / "data"
SERVICE = "hoatoc.order.1"
# Of an exercise: a bank that has not agreed to this service has no way to take it for an order.
DRILL_SERVICE = "hoatoc.drill.1"
# The scheme of names that only mean something at this hub: its members' ids, and addresses of hubs.
SCHEME = "HOATOC"
# What the State Bank's clearing calls a BIN; ISO's own list of clearing systems has no code for it.
CLEARING = "NAPAS"
# Of a reservation (ExternalReservationType1Code) and of a recall (ExternalCancellationReason1Code).
BLOCKED, FRAUD = "BLKD", "FRAD"
_BIN = re.compile(r"[0-9]{6}", re.ASCII)
_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?", re.ASCII)
_LONGEST_MEMBER = 35
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_REFERENCE = re.compile(r"([0-9a-f]{32})(?:[0-9a-z]{3})?", re.ASCII)


def reference(order_id: str, sequence: int) -> str:
    """Return the reference of one message about an order, 35 characters: the order's id, then the sequence in base 36.

    Each message about an order has another one, the hub's own lift at the end of a hold too: a bank may tell
    repetitions by it. Raises ValueError.
    """
    if not 0 <= sequence < len(_DIGITS) ** 3:
        raise ValueError("a sequence of three digits to the base 36")
    high, low = divmod(sequence, len(_DIGITS))
    return f"{plain(order_id)}{_DIGITS[high // len(_DIGITS)]}{_DIGITS[high % len(_DIGITS)]}{_DIGITS[low]}"


def order_of(text: str, place: str) -> str:
    """Return the id of the order that a reference, or its plain id, is about. Raises MessageRefused ``xml.value``."""
    found = _REFERENCE.fullmatch(text)
    if not found:
        raise MessageRefused("xml.value", place)
    return str(UUID(found[1]))


def plain(identifier: str) -> str:
    """Return a UUID as 32 digits: with its hyphens it would not fit. Raises ValueError."""
    return UUID(identifier).hex


def institution(
    make: xml.Maker,
    *,
    bin_: str | None = None,
    bic: str | None = None,
    name: str | None = None,
    member: str | None = None,
) -> Element:
    """Return ``FinInstnId`` of an institution; ``member`` is its id at this hub, left out where it is too long."""
    clearing = None
    if bin_:
        clearing = make("ClrSysMmbId", make("ClrSysId", make("Prtry", CLEARING)), make("MmbId", bin_))
    other = None
    if member and len(member) <= _LONGEST_MEMBER:
        other = make("Othr", make("Id", member), make("SchmeNm", make("Prtry", SCHEME)))
    return make("FinInstnId", make("BICFI", bic) if bic else None, clearing, make("Nm", name) if name else None, other)


def named(make: xml.Maker, name: str) -> Element:
    """Return ``FinInstnId`` of an institution as somebody named it: by a BIN, a SWIFT code or its short name."""
    if _BIN.fullmatch(name):
        return institution(make, bin_=name)
    return institution(make, bic=name.upper()) if _BIC.fullmatch(name.upper()) else institution(make, name=name)


def account(make: xml.Maker, target: Mapping[str, str]) -> Element:
    """Return the choice of an account by its number; the scheme says whether it is an account, a wallet or a card."""
    return make("Othr", make("Id", target["value"]), make("SchmeNm", make("Prtry", target["kind"])))


@cache
def code_set(name: str) -> Mapping[str, str]:
    """Return an external code set: codes with their definitions. ``name`` is ISO's: ``ExternalStatusReason1Code``."""
    for path in (DATA / "codes").glob("*.json"):
        found = json.loads(path.read_text("utf-8"))
        if found["name"] == name:
            codes: Mapping[str, str] = found["codes"]
            return codes
    raise KeyError(name)


@cache
def table() -> Mapping[str, Mapping[str, str]]:
    """Return the table of codes: for each external code set, the hub's word for each code that is understood."""
    found: Mapping[str, Mapping[str, str]] = tomllib.loads((DATA / "codes.toml").read_text("utf-8"))
    return found


def word(name: str, code: str, place: str) -> str:
    """Return the hub's word for a code of an external code set.

    Raises MessageRefused ``xml.code``: a code that is in the set and has no meaning here is not guessed at.
    """
    try:
        return table()[name][code]
    except KeyError:
        raise MessageRefused("xml.code", place) from None
