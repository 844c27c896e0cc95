"""The shapes of certifications: the signed report of an examination, and what the registry keeps of one."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from service.schemas.common import Answer, Instant, Sha256, Shape, Slug
from service.schemas.registry import PublicJwk
from workflows.conformance import Case, Profile, Verdict
from workflows.terms import Sector

FORMAT = "hoatoc-certification/1"

_Code = Annotated[str, StringConstraints(strict=True, max_length=64, pattern=r"^[a-z0-9_.]+$")]
_Jws = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=2_048)]
_Address = Annotated[str, StringConstraints(strict=True, max_length=255, pattern=r"^[!-~]*$")]


class ReportSeen(Shape):
    """One thing that was seen; ``sha256`` is of what was sent or answered, which the report does not hold."""

    at: Instant
    what: _Code
    status: Annotated[int, Field(strict=True, ge=100, le=599)] | None
    code: _Code | None
    sha256: Sha256 | None


class ReportCase(Shape):
    """What became of one case, and ``why`` where it failed."""

    case: Case
    verdict: Verdict
    why: _Code | None
    seen: Annotated[list[ReportSeen], Field(max_length=200)]


class Report(Shape):
    """An examination. ``host`` and ``port`` are where the participant was called: none where it reads an inbox.

    ``hub`` is the issuer of the hub whose key signed it; a self-test has none.
    """

    format: Literal["hoatoc-certification/1"]
    hub: _Address | None
    participant_id: Slug
    sector: Sector
    profile: Profile
    host: _Address | None
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] | None
    definition_sha256: Sha256 | None = Field(description="of the proposal that was examined, where it was named")
    version: Annotated[str, StringConstraints(strict=True, max_length=64)]
    began_at: Instant
    ended_at: Instant
    passed: Annotated[bool, Field(strict=True)]
    cases: Annotated[list[ReportCase], Field(max_length=100)]


class SignedReport(Shape):
    """A report with its detached JWS (ES256, RFC 8785 form of ``report``) and the public key that made it."""

    report: Report
    signature: _Jws
    key: PublicJwk


class CertificationAnswer(Answer):
    """A certification that the registry keeps."""

    id: UUID
    participant_id: str
    profile: Profile
    host: str | None
    port: int | None
    definition_sha256: str | None
    report_sha256: str
    ended_at: Instant
    recorded_at: Instant
    recorded_by: str
