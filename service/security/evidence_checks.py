"""What every check of an evidence bundle stands on: findings by name, the keys, and signatures at their instant."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import TypeAdapter, ValidationError

from adapters.iso20022.parse import Received
from adapters.iso20022.sign import SignatureInvalid
from service.schemas.common import Instant
from service.schemas.evidence import Bundle, EvidenceFact, EvidenceKey, EvidenceRequest
from service.security import keyring, passkeys, signatures
from service.security.keyring import KeyUnfit
from service.security.signatures import Kind, SignatureRefused, Unverified

_PUBLIC = ("kty", "crv", "x", "y")
_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)
_INSTANTS = frozenset({"not_before", "not_after", "revoked_at"})


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: its ``name``, what it was ``about``, and what is wrong (``""``: nothing)."""

    name: str
    about: str
    wrong: str = ""


@dataclass(slots=True)
class Findings:
    """The checks so far, and which keys of the bundle signed something."""

    bundle: Bundle
    checks: list[Check] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def note(self, name: str, about: str, wrong: str = "") -> None:
        """Keep the outcome of one check."""
        self.checks.append(Check(name, about, wrong))

    def expect(self, name: str, about: str, **pairs: tuple[Any, Any]) -> None:
        """Note one check of members that must be equal: ``member=(is, must be)``; the first that differs is named."""
        self.note(
            name, about, ", ".join(sorted(member for member, (given, wanted) in pairs.items() if given != wanted))
        )

    def signature(
        self,
        name: str,
        text: str | None,
        *,
        kind: Kind,
        payload: bytes,
        owner: tuple[str, str, str],
        about: str | None,
        taken_at: datetime | None,
    ) -> Unverified | None:
        """Check a signature: whose, over what, about what, and that its key was good at the instant it was taken.

        ``owner`` is (owner kind, owner id, tenant); ``taken_at`` the recorded instant (None: the signature's own).
        """
        said = f"{owner[1]} {about or ''}".rstrip()
        try:
            found = self._signature(text, kind, payload, owner, about, taken_at)
        except SignatureRefused as refused:
            self.note(name, said, refused.reason)
            return None
        self.note(name, said)
        return found

    def _signature(
        self,
        text: str | None,
        kind: Kind,
        payload: bytes,
        owner: tuple[str, str, str],
        about: str | None,
        taken_at: datetime | None,
    ) -> Unverified:
        if not text:
            raise SignatureRefused("missing")
        unverified = signatures.read(text, kind)
        if unverified.about != about:
            raise SignatureRefused("about")
        # Whoever signed for another hub, a drill's perhaps, said nothing to this one.
        if unverified.audience != (None if kind in signatures.OWN else self.bundle.hub):
            raise SignatureRefused("audience")
        assertion = unverified.assertion
        # A person may sign with a passkey, at the hub's own pages; a system and the hub sign with a key alone.
        if assertion and (owner[0] != "officer" or assertion.origin != passkeys.origin_of(self.bundle.hub)):
            raise SignatureRefused("origin")
        public = self._key(unverified.kid, unverified.purpose, owner, unverified.signed_at, taken_at)
        signatures.verify(unverified, payload, public)
        self.used.add(unverified.kid)
        return unverified

    def message(
        self, name: str, received: Received, owner: tuple[str, str, str], about: str, taken_at: datetime
    ) -> None:
        """Check the signature inside an ISO 20022 message, as ``signature`` checks a detached one."""
        said = f"{owner[1]} {about}"
        try:
            if received.answer is None or received.answer.order_id != about:
                raise SignatureRefused("about")
            if received.audience != self.bundle.hub:
                raise SignatureRefused("audience")
            received.verify(self._key(received.kid, "signature", owner, received.signed_at, taken_at))
        except (SignatureRefused, SignatureInvalid) as refused:
            self.note(name, said, refused.reason)
            return
        self.note(name, said)
        self.used.add(received.kid)

    def _key(
        self, kid: str, purpose: str, owner: tuple[str, str, str], signed_at: datetime, taken_at: datetime | None
    ) -> ec.EllipticCurvePublicKey:
        """Return the key that a signature names, if it is its owner's and was good when the signature was taken."""
        key = next((key for key in self.bundle.keys if key.kid == kid), None)
        if key is None or (key.owner_kind, key.owner_id, key.tenant, key.purpose) != (*owner, purpose):
            raise SignatureRefused("key_unknown")
        at = taken_at or signed_at
        if not at - signatures.OLDEST <= signed_at <= at + signatures.AHEAD:
            raise SignatureRefused("instant")
        if not key.not_before <= at < key.not_after:
            raise SignatureRefused("key_expired")
        if key.revoked_at is not None and at >= key.revoked_at:
            raise SignatureRefused("key_revoked")
        try:
            public, thumbprint = keyring.public_key(key.jwk)
        except KeyUnfit as unfit:
            raise SignatureRefused(unfit.code) from None
        if thumbprint != key.kid:
            raise SignatureRefused("key_unknown")
        return public


def canonical(text: str) -> bytes:
    """Return the RFC 8785 form of a text that was received as JSON; of what is none, bytes that nobody signed."""
    try:
        return signatures.canonical(text.encode())
    except (ValueError, RecursionError):
        return b""


def encoded(value: Any) -> bytes:
    """Return the RFC 8785 form of plain data; of what has none (an amount beyond 2^53), bytes that nobody signed."""
    try:
        return rfc8785.dumps(value)
    except (ValueError, RecursionError):
        return b""


def member(value: object, name: str) -> Any:
    """Return a member of what may be an object, or None."""
    return value.get(name) if isinstance(value, dict) else None


def digest(text: str) -> str:
    """Return the SHA-256 of a text's bytes in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def names(request: EvidenceRequest, said: Mapping[str, Any], what: str, text: str) -> tuple[Any, str]:
    """Return what a fact names a text by, and what it must be: a commitment, or of an earlier build the bare digest."""
    if f"{what}_commitment" in said or request.salt is None:
        return said.get(f"{what}_commitment", said.get(f"{what}_sha256")), commitment(request, text)
    return said.get(f"{what}_sha256"), digest(text)


def commitment(request: EvidenceRequest, text: str) -> str:
    """Return the commitment to a text under the request's salt; the bare digest where there is none."""
    if request.salt is None:
        return digest(text)
    try:
        salt = bytes.fromhex(request.salt)
    except ValueError:
        return ""
    return hmac.new(salt, digest(text).encode(), hashlib.sha256).hexdigest()


def members(text: str) -> Mapping[str, Any]:
    """Return the members of a text that is one JSON object. Raises ValueError or RecursionError."""
    read = json.loads(text)
    if not isinstance(read, dict):
        raise ValueError("not an object")
    return read


def object_of(text: str) -> Mapping[str, Any]:
    """Return the members of a text, none where it is no JSON object."""
    try:
        return members(text)
    except (ValueError, RecursionError):
        return {}


def data(fact: EvidenceFact) -> Mapping[str, Any]:
    """Return what a fact says."""
    return object_of(fact.data)


def window(said: Mapping[str, Any]) -> list[datetime | None] | None:
    """Return both ends of the window of a trace, as an order or a filed request has them; None where there is none."""
    found = said.get("window")
    return [instant(member(found, name)) for name in ("since", "until")] if found else None


def instant(text: object) -> datetime | None:
    """Return an instant, spelled as every body of the hub spells it, or None for a text that is none."""
    try:
        return _INSTANT.validate_python(str(text))
    except ValidationError:
        return None


def chain(request: EvidenceRequest) -> str:
    """Recompute a request's chain from its first fact; return what is wrong with it, or ``""``."""
    previous = bytes(32)
    for number, fact in enumerate(request.facts, 1):
        record: dict[str, Any] = {
            "chain": f"request:{request.id}",
            "sequence": fact.sequence,
            "tenant": fact.tenant,
            "request_id": fact.request_id,
            "code": fact.code,
            "actor": fact.actor.model_dump(),
            "at": fact.at,
            "data": fact.data,
        }
        # RFC 9162: 0x00 marks a leaf. Written out here once more, so that the verifier leans on none of the hub's code.
        written = encoded({**record, "previous": previous.hex()})
        leaf = hashlib.sha256(b"\x00" + written).digest()
        if fact.sequence != number:
            return f"fact {number} is missing"
        if not written or fact.hash != leaf.hex():
            return f"fact {number} was changed"
        previous = leaf
    return "" if request.facts else "there are no facts"


def key_list(text: str) -> Sequence[Mapping[str, Any]] | None:
    """Return public keys that were obtained elsewhere, as a JSON list or a key set; None for a text that is neither."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return None
    keys = read.get("keys") if isinstance(read, dict) else read
    return keys if isinstance(keys, list) and all(isinstance(each, dict) for each in keys) else None


def against(bundle_key: EvidenceKey, listed: Mapping[str, Any]) -> str:
    """Hold a key of the bundle against the same key from elsewhere; return what lacks or differs first, or ``""``."""
    # As a bundle writes its own keys, the members of the JWK may stand in a `jwk` of their own.
    inner = listed.get("jwk")
    listed = {**(inner if isinstance(inner, dict) else {}), **listed}
    for name in _PUBLIC:
        if name not in listed:
            return f"no {name}"
    ours = bundle_key.model_dump(mode="json")
    known = {**ours.pop("jwk"), **ours}
    for name in sorted(listed.keys() & known.keys()):
        given, wanted = listed[name], known[name]
        same_instant = name in _INSTANTS and given is not None and instant(given) == instant(wanted)
        if given != wanted and not same_instant:
            return name
    return ""


def drill(findings: Findings) -> None:
    """A drill's bundle says what it is, and so does each order in it; a real one holds none that says it."""
    bundle = findings.bundle
    orders = [message for request in bundle.requests for order in request.orders for message in order.messages]
    strange = sum((message.body.get("drill") is True) is not bool(bundle.drill) for message in orders)
    if bundle.drill or strange:
        findings.note("bundle.drill", "this is an EXERCISE", f"{strange} orders say otherwise" if strange else "")
