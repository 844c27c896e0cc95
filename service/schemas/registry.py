"""The shapes of the registry: who takes part, with which systems, keys, officers, endpoints and duty contacts."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from service.schemas.common import Answer, Instant, Name, Shape, ShortText, Slug
from service.schemas.endpoints import ContactAnswer, EndpointAnswer
from workflows.authority import AgencyLevel, Power, Rank
from workflows.terms import Role, Sector

Text64 = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64, pattern=r"^\S(.*\S)?$")]
Thumbprint = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9_-]{43}$")]
Roles = Annotated[list[Role], Field(min_length=1, max_length=len(Role))]


class NewAlias(Shape):
    """An identifier by which routing finds a participant; names are folded by the hub."""

    scheme: Literal["bin", "swift", "name", "e164_prefix", "mcc_mnc", "host", "tld"]
    value: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255, pattern=r"^\S(.*\S)?$")]


class NewParticipant(Shape):
    """A member that joins: one of the directory by its id alone, another one with its sector and names."""

    id: Slug
    sector: Sector | None = None
    name_vi: ShortText | None = None
    name_en: ShortText | None = None
    short_name: Annotated[ShortText, StringConstraints(max_length=80)] | None = None
    level: AgencyLevel | None = None
    province_code: Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]{2}$")] | None = None
    supervisor_id: Slug | None = None
    parent_id: Slug | None = None
    aliases: Annotated[tuple[NewAlias, ...], Field(max_length=50)] = ()


class ParticipantEnrolled(Answer):
    """What became of an enrolment; ``created`` tells that the directory did not know the member before."""

    id: str
    sector: Sector
    status: str
    created: bool


class PublicJwk(Shape):
    """A public P-256 key as a JWK (RFC 7517); one with a private part is refused, and burnt."""

    kty: Text64
    crv: Text64
    x: Text64
    y: Text64
    kid: Text64 | None = None
    use: Text64 | None = None
    alg: Text64 | None = None
    d: Text64 | None = Field(default=None, description="never send it: a key that was sent here is burnt")


class NewKey(Shape):
    """A signature key: of an officer of this agency, or the one that this participant signs its answers with."""

    officer_id: Slug | None = Field(default=None, description="whose key it is; only an agency has officers")
    key: PublicJwk
    not_after: Instant | None = Field(default=None, description="the key's end, at most a year from now; default: that")
    credential_id: (
        Annotated[str, StringConstraints(strict=True, max_length=1400, pattern=r"^[A-Za-z0-9_-]+$")] | None
    ) = Field(default=None, description="how the browser names a passkey (WebAuthn), base64url; none for a key file")


class KeyEnrolled(Answer):
    """A registered signature key; ``kid`` is its RFC 7638 thumbprint."""

    kid: str
    participant_id: str
    officer_id: str | None
    not_after: Instant


class NewClient(Shape):
    """A client system and its key for assertions; a known one gets these roles and this key besides its others."""

    id: Slug
    roles: Roles
    key: PublicJwk
    not_after: Instant | None = Field(default=None, description="the key's end, at most a year from now; default: that")


class ClientEnrolled(Answer):
    """A client with the key that was registered; its ``kid`` is the RFC 7638 thumbprint."""

    id: str
    participant_id: str
    roles: list[Role]
    kid: str
    not_after: Instant


class NewOfficer(Shape):
    """An officer of an agency; the name is sealed at once and appears in evidence only."""

    id: Slug
    name: Name
    rank: Rank
    number: Annotated[Text64, StringConstraints(max_length=32)]
    powers: Annotated[list[Power], Field(min_length=1, max_length=len(Power))]
    appointed_until: Instant | None = Field(
        default=None, description="when the appointment ends by itself; none: until somebody suspends the officer"
    )


class OfficerAnswer(Answer):
    """An officer as the registry shows him: never by name."""

    id: str
    rank: Rank
    number: str
    powers: list[Power]
    active: bool
    appointed_until: Instant | None = Field(description="from then on the officer signs nothing")
    created_at: Instant


class SuspendedKind(StrEnum):
    """What can be suspended."""

    PARTICIPANT = "participant"
    CLIENT = "client"
    OFFICER = "officer"
    ENDPOINT = "endpoint"


class Suspension(Shape):
    """What to suspend, or to let work again; for the participant itself the id is its own."""

    kind: SuspendedKind
    id: Text64


class SuspensionAnswer(Answer):
    """How it stands now; ``changed`` is false when it stood so before."""

    kind: SuspendedKind
    id: str
    suspended: bool
    changed: bool


class Revocation(Shape):
    """The key that must not be accepted any more, by its thumbprint."""

    kid: Thumbprint


class ClientAnswer(Answer):
    """A client system."""

    id: str
    roles: list[Role]
    active: bool
    created_at: Instant


class KeyAnswer(Answer):
    """A registered public key."""

    kid: str
    owner_kind: str
    owner_id: str
    purpose: str
    not_before: Instant
    not_after: Instant
    revoked_at: Instant | None


class ParticipantSummary(Answer):
    """One line of the list of participants."""

    id: str
    sector: Sector
    name_vi: str
    name_en: str
    short_name: str
    status: str = Field(description="listed (known, has not joined), active or suspended")
    supervisor_id: str | None
    parent_id: str | None
    level: AgencyLevel | None
    province_code: str | None
    to_be_confirmed: bool


class ParticipantPage(Answer):
    """A page of participants by id; ``next`` goes into ``after``."""

    items: list[ParticipantSummary]
    next: str | None


class ParticipantDetail(ParticipantSummary):
    """A participant whole, as its own and the hub's administrators see it."""

    duty_phone: str | None = Field(description="the number of the duty desk, over which the hub calls back")
    clients: list[ClientAnswer]
    keys: list[KeyAnswer]
    officers: list[OfficerAnswer]
    endpoints: list[EndpointAnswer]
    contacts: list[ContactAnswer]
