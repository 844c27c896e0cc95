"""Finds the participants that must get an order about a target, from a directory of dated aliases."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit

from workflows.terms import Action, Measure, Sector, TargetKind

# A member with one of these statuses gets no orders; any other is routed to, even if it cannot be reached today.
CLOSED_STATUSES = frozenset({"closed", "merged"})

_BIN = re.compile(r"[0-9]{6}")
_SWIFT = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?")
_MCC_MNC = re.compile(r"(452)-?([0-9]{2})")

# Who can hold a kind of target; a name that several members share means the one of the right sector.
SECTORS: Mapping[TargetKind, frozenset[Sector]] = {
    TargetKind.ACCOUNT: frozenset({Sector.BANK, Sector.WALLET}),
    TargetKind.WALLET: frozenset({Sector.WALLET, Sector.BANK}),
    TargetKind.CARD: frozenset({Sector.BANK, Sector.WALLET}),
    TargetKind.PHONE: frozenset({Sector.TELECOM}),
    TargetKind.SMS_SENDER: frozenset({Sector.TELECOM}),
    TargetKind.SOCIAL_ACCOUNT: frozenset({Sector.PLATFORM}),
    TargetKind.EMAIL: frozenset({Sector.PLATFORM}),
    TargetKind.DOMAIN: frozenset({Sector.ISP, Sector.PLATFORM, Sector.REGISTRAR}),
    TargetKind.URL: frozenset({Sector.ISP, Sector.PLATFORM}),
    TargetKind.CONTENT: frozenset({Sector.PLATFORM}),
}


class UnknownInstitution(Exception):
    """Nobody in the directory can be meant; ``field`` of the target is at fault.

    ``value`` is what may be shown in an answer: never a whole phone, card or account number.
    """

    def __init__(self, field: str, value: str) -> None:
        super().__init__(f"{field}: nobody is known as {value!r}")
        self.field = field
        self.value = value


@dataclass(frozen=True, slots=True)
class AliasEntry:
    """The participant that an alias means from ``valid_from`` to ``valid_to``, both inclusive; None = open."""

    participant_id: str
    valid_from: date | None = None
    valid_to: date | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A participant as routing sees it."""

    id: str
    sector: Sector
    status: str = "active"


@dataclass(frozen=True, slots=True)
class Directory:
    """Dated aliases by (scheme, value), and the members by id.

    Schemes: ``bin`` (six digits), ``swift`` (eight capitals), ``name`` (see ``fold``), ``e164_prefix`` ("+8498"),
    ``mcc_mnc`` ("45204"), ``host`` ("facebook.com") and ``tld`` ("vn"), the last three in small letters.
    """

    by_alias: Mapping[tuple[str, str], tuple[AliasEntry, ...]]
    participants: Mapping[str, Member]


@dataclass(frozen=True, slots=True)
class RoutingTarget:
    """A target; ``institution`` is a BIN, a SWIFT code or a short name, ``host`` the ASCII host of a URL or domain."""

    kind: TargetKind
    value: str
    institution: str | None = None
    platform: str | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Recipient:
    """A participant that must get the order, and ``why``: the scheme of the alias, ``id`` or ``sector``."""

    participant_id: str
    why: str


@dataclass(frozen=True, slots=True)
class Route:
    """The recipients, each participant once; never empty."""

    participants: tuple[Recipient, ...]


def fold(name: str) -> str:
    """Return a name as the ``name`` scheme keeps it: small letters and digits, no accents, spaces or punctuation."""
    # Decomposed first: a capital may hide behind a compatibility form ("𝑨"), which case folding alone leaves as it is.
    small = unicodedata.normalize("NFKD", name).casefold().replace("đ", "d")
    plain = unicodedata.normalize("NFKD", small)
    return "".join(letter for letter in plain if letter.isalnum() and not unicodedata.combining(letter))


def route(
    target: RoutingTarget,
    directory: Directory,
    today: date,
    measure: Measure | None = None,
    action: Action | None = None,
) -> Route:
    """Return who must get an order about ``target`` on ``today`` (a date in Vietnam).

    Money goes to the institution; a card without one by its first six digits; a phone number to the holder of the
    longest known prefix, a first guess because numbers are portable; a sender name to every telecom; a domain or URL
    to every ISP and to the platform of a known host, a domain to be suspended also to the registrar of its ending.
    Who holds a domain is asked of that registrar alone: an ISP does not know, and need not hear of it.
    Raise ``UnknownInstitution`` when that is nobody.
    """
    finder = _Finder(directory, today, SECTORS[target.kind])
    match target.kind:
        case TargetKind.ACCOUNT | TargetKind.WALLET | TargetKind.CARD:
            named = target.institution or (target.value[:6] if target.kind is TargetKind.CARD else "")
            found = finder.institution(named)
            missing = ("institution" if target.institution or target.kind is not TargetKind.CARD else "value", named)
        case TargetKind.PHONE:
            found = finder.prefix(target.value)
            missing = ("value", target.value[:5])
        case TargetKind.SMS_SENDER:
            found = finder.everybody(Sector.TELECOM)
            missing = ("value", target.value)
        case TargetKind.DOMAIN if action is Action.DISCLOSE:
            found = finder.ending(_host(target))
            missing = ("value", _host(target))
        case TargetKind.DOMAIN | TargetKind.URL:
            host = _host(target)
            found = (*finder.everybody(Sector.ISP), *finder.host(host))
            if target.kind is TargetKind.DOMAIN and measure is Measure.SUSPEND:
                found = (*found, *finder.ending(host))
            missing = ("value", host)
        case TargetKind.EMAIL:
            found = finder.host(_host(target))
            missing = ("value", _host(target))
        case TargetKind.SOCIAL_ACCOUNT | TargetKind.CONTENT:
            found = finder.institution(target.platform or "") or finder.host(_host(target))
            missing = ("platform", target.platform or _host(target))
    if not found:
        raise UnknownInstitution(*missing)
    once: dict[str, Recipient] = {}
    for recipient in found:
        once.setdefault(recipient.participant_id, recipient)
    return Route(tuple(once.values()))


def ported_to(named: str, kind: TargetKind, directory: Directory, today: date) -> Recipient:
    """Return the participant that a "not mine, ported to X" names: an id, an institution's name or code, an MCC-MNC.

    Raise ``UnknownInstitution`` with field ``ported_to`` if X is nobody who can hold a target of this kind.
    """
    finder = _Finder(directory, today, SECTORS[kind])
    found = finder.id(named) or finder.network(named) or finder.institution(named)
    if not found:
        raise UnknownInstitution("ported_to", named)
    return found[0]


def _host(target: RoutingTarget) -> str:
    if target.host:
        host = target.host
    elif target.kind is TargetKind.EMAIL:
        host = target.value.rpartition("@")[2]
    elif target.kind is TargetKind.DOMAIN:
        host = target.value
    else:
        try:
            host = urlsplit(target.value).hostname or ""
        except ValueError:  # brackets that are no IPv6 address
            host = ""
    return host.lower().rstrip(".")


class _Finder:
    """Looks aliases up as they stand on one day, among members of the right sectors."""

    def __init__(self, directory: Directory, today: date, sectors: frozenset[Sector]) -> None:
        self._directory = directory
        self._today = today
        self._sectors = sectors

    def _open(self, participant_id: str, sector: Sector | None = None) -> bool:
        member = self._directory.participants.get(participant_id)
        return (
            member is not None
            and member.status not in CLOSED_STATUSES
            and (member.sector is sector if sector else member.sector in self._sectors)
        )

    def _all(self, scheme: str, value: str, sector: Sector | None = None) -> tuple[Recipient, ...]:
        """Return the members that the alias means today, the youngest entry first."""
        entries = [
            entry
            for entry in self._directory.by_alias.get((scheme, value), ())
            if (entry.valid_from or date.min) <= self._today <= (entry.valid_to or date.max)
            and self._open(entry.participant_id, sector)
        ]
        entries.sort(key=lambda entry: entry.valid_from or date.min, reverse=True)
        return tuple(Recipient(entry.participant_id, scheme) for entry in entries)

    def id(self, named: str) -> tuple[Recipient, ...]:
        return (Recipient(named, "id"),) if self._open(named) else ()

    def institution(self, named: str) -> tuple[Recipient, ...]:
        """Look a BIN, a SWIFT code or a name up, the first that is known: eleven letters may also be a name."""
        text = named.strip()
        found: tuple[Recipient, ...] = ()
        if _BIN.fullmatch(text):
            found = self._all("bin", text)
        elif _SWIFT.fullmatch(text.upper()):
            found = self._all("swift", text.upper()[:8])
        return (found or self._all("name", fold(text)))[:1]

    def network(self, named: str) -> tuple[Recipient, ...]:
        match = _MCC_MNC.fullmatch(named.strip())
        return self._all("mcc_mnc", match[1] + match[2])[:1] if match else ()

    def prefix(self, number: str) -> tuple[Recipient, ...]:
        for length in range(len(number), 1, -1):
            if found := self._all("e164_prefix", number[:length]):
                return found[:1]
        return ()

    def everybody(self, sector: Sector) -> tuple[Recipient, ...]:
        return tuple(
            Recipient(name, "sector") for name in sorted(self._directory.participants) if self._open(name, sector)
        )

    def host(self, host: str) -> tuple[Recipient, ...]:
        for name in _parents(host):
            if found := self._all("host", name, Sector.PLATFORM):
                return found[:1]
        return ()

    def ending(self, host: str) -> tuple[Recipient, ...]:
        for name in _parents(host):
            if found := self._all("tld", name, Sector.REGISTRAR):
                return found
        return ()


def _parents(host: str) -> Iterator[str]:
    """Yield the host and each domain above it: a.b.vn, b.vn, vn."""
    labels = host.split(".")
    return (".".join(labels[at:]) for at in range(len(labels)))
