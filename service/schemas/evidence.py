"""The shape of an evidence bundle: what was signed, by whose key, and the chain of facts around it, in one file."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from service.schemas.common import Instant, Shape

FORMAT = "hoatoc-evidence/1"

_Text = Annotated[str, StringConstraints(strict=True, max_length=65_536)]
_Jws = Annotated[str, StringConstraints(strict=True, max_length=4_096)]


class _Part(Shape):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EvidenceKey(_Part):
    """A public key that verifies something in the bundle, whose it is, and when it was good."""

    kid: _Text
    jwk: dict[str, str]
    owner_kind: Literal["officer", "participant", "hub"]
    owner_id: _Text
    tenant: _Text
    purpose: _Text
    not_before: Instant
    not_after: Instant
    revoked_at: Instant | None


class EvidenceOfficer(_Part):
    """Who signed, by name: a bundle is the one place where an officer's name leaves the hub."""

    id: _Text
    name: _Text
    rank: _Text
    number: _Text


class EvidenceApproval(_Part):
    """The second officer's yes (``approval``), or his confirmation of an emergency hold (``review``)."""

    kind: Literal["approval", "review"]
    officer_id: _Text
    signature: _Jws | None


class EvidenceMessage(_Part):
    """What a participant was sent about an order: the body that the hub signed, under the message's id."""

    id: _Text
    type: _Text
    body: dict[str, Any]
    signature: _Jws | None


class EvidenceAnswer(_Part):
    """What a participant answered, as it was received; ``received`` alone need not be signed."""

    received_at: Instant
    body: _Text
    signature: _Jws | None


class EvidenceOrder(_Part):
    """One order with everything said about it, oldest first."""

    id: _Text
    participant_id: _Text
    action: _Text
    messages: list[EvidenceMessage]
    answers: list[EvidenceAnswer]


class _OfAppeal(_Part):
    appeal_id: _Text
    officer_id: _Text
    body: _Text
    signature: _Jws | None


class EvidenceDecision(_OfAppeal):
    """What an officer decided of an appeal: the content that he signed."""


class EvidenceReply(_OfAppeal):
    """What an officer answered an appellant first: the content that he signed."""


class EvidenceWithdrawal(_Part):
    """What the officer signed who took the request back before it was approved."""

    officer_id: _Text
    body: _Text
    signature: _Jws | None


class EvidenceSilenceEnd(_Part):
    """What one of the two officers signed who ended the silence of a disclosure: both signed the same."""

    officer_id: _Text
    body: _Text
    signature: _Jws | None


class EvidenceActor(_Part):
    """Who caused a fact."""

    kind: _Text
    id: _Text
    tenant: _Text


class EvidenceFact(_Part):
    """One fact of the request's chain, with the texts that its hash covers."""

    sequence: Annotated[int, Field(strict=True, ge=1)]
    tenant: _Text
    request_id: _Text | None
    code: _Text
    actor: EvidenceActor
    at: _Text
    data: _Text
    hash: _Text


class EvidenceRequest(_Part):
    """One request: the body as it was received, who signed it, what it led to, and its chain of facts."""

    id: _Text
    agency: _Text
    body: _Text
    # What the facts commit to texts with (HMAC-SHA256 over a text's SHA-256); none of what was filed before facts did.
    salt: _Text | None = None
    signature: _Jws | None
    approvals: list[EvidenceApproval]
    withdrawal: EvidenceWithdrawal | None
    # An earlier build's bundles do not have the member.
    silence_ends: list[EvidenceSilenceEnd] = Field(default_factory=list)
    orders: list[EvidenceOrder]
    replies: list[EvidenceReply]
    decisions: list[EvidenceDecision]
    facts: list[EvidenceFact]


class Bundle(_Part):
    """The evidence about one request; the request that it lifts or extends, if there is one, comes second.

    ``seal`` is the hub's signature over all the other members.
    """

    format: Literal["hoatoc-evidence/1"]
    hub: _Text
    exported_at: Instant
    requests: Annotated[list[EvidenceRequest], Field(min_length=1, max_length=2)]
    officers: list[EvidenceOfficer]
    keys: list[EvidenceKey]
    seal: _Jws | None
    # Of a drill's hub alone: nothing in it was really ordered.
    drill: Literal[True] | None = None
