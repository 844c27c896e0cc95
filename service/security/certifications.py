"""Signs the report of an examination, and tells whether one holds: public keys and arithmetic, no database."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rfc8785
from pydantic import ValidationError

from service.schemas.certifications import Report, SignedReport
from service.security import keyring, signatures
from service.security.keyring import KeyUnfit, SigningKey
from service.security.signatures import Kind, SignatureRefused
from workflows import conformance

# A hundred cases with all that was seen of each are less; over the API a body is far smaller still.
LARGEST = 1024 * 1024  # bytes


class ReportRefused(ValueError):
    """A report does not hold; ``reason`` is ``form``, ``signature`` or ``verdict``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Read:
    """A report that is whole: what it says, the id of the key that signed it, and the digest of what was signed."""

    report: Report
    kid: str
    sha256: str


def sealed(report: Report, key: SigningKey) -> str:
    """Return the text of the signed report; the instant of the signature is the report's own end."""
    said = report.model_dump(mode="json")
    signature = signatures.sign(
        key.private,
        key.kid,
        Kind.CERTIFICATION,
        rfc8785.dumps(said),
        at=report.ended_at,
        about=report.participant_id,
    )
    whole: dict[str, Any] = {"report": said, "signature": signature, "key": key.public_jwk()}
    return rfc8785.dumps(whole).decode() + "\n"


def read(raw: bytes | str) -> Read:
    """Read a report and check its signature by its own key, and that its result follows from its cases.

    Whose key it is nobody has asked then. Raises ``ReportRefused``.
    """
    try:
        said: Mapping[str, Any] = json.loads(raw, object_pairs_hook=_members)
        signed = SignedReport.model_validate_json(raw)
    except (ValidationError, ValueError, RecursionError):
        raise ReportRefused("form") from None
    report, payload = signed.report, rfc8785.dumps(said["report"])
    try:
        public, kid = keyring.public_key(signed.key.model_dump(exclude_none=True))
        unverified = signatures.read(signed.signature, Kind.CERTIFICATION)
        signatures.verify(unverified, payload, public)
    except (KeyUnfit, SignatureRefused):
        raise ReportRefused("signature") from None
    is_about = unverified.about == report.participant_id and unverified.kid == kid
    if not is_about or int(report.ended_at.timestamp()) != int(unverified.signed_at.timestamp()):
        raise ReportRefused("signature")
    verdicts = {each.case: each.verdict for each in report.cases}
    if len(verdicts) != len(report.cases) or report.passed is not conformance.is_passed(
        report.profile, report.sector, verdicts
    ):
        raise ReportRefused("verdict")
    return Read(report, kid, hashlib.sha256(payload).hexdigest())


def _members(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object with a member twice: another reader takes the other one, and sees another report as signed."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found
