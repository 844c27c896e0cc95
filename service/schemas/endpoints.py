"""The shapes of endpoints and of the duty rosters behind them: where and whom the hub reaches."""

import re
from datetime import time
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from service.schemas.common import Answer, Instant, Name, Sha256, Shape
from workflows.terms import Channel, ProposalState, Purpose

Url = Annotated[str, StringConstraints(strict=True, max_length=500, pattern=r"^https://[!-~]+$")]
# Without a question mark, which RFC 5321 allows and nobody has: an encoded word (RFC 2047) cannot hide in one then.
Mailbox = Annotated[
    str, StringConstraints(strict=True, max_length=254, pattern=r"^[A-Za-z0-9.!#$%&'*+/=^_`{|}~-]+@[A-Za-z0-9.-]+$")
]
Pem = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=16_384)]
_TIME = re.compile(r"\d{2}:\d{2}(:00)?", re.ASCII)
Position = Annotated[int, Field(strict=True, ge=1, le=100)]


class _Called(Shape):
    url: Url
    network: Annotated[str, StringConstraints(strict=True, max_length=64)] = Field(
        description="the CIDR in which the address must lie, whatever the name resolves to"
    )
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] | None = Field(
        default=None, description="must be the port of the url; default: that"
    )
    ca_pem: Pem = Field(description="the only authorities to trust for it; those of the system are never asked")
    client_certificate: Pem | None = Field(
        default=None, description="the hub's own certificate for it (mutual TLS), by whose key the hub has a file"
    )
    max_in_flight: Annotated[int, Field(strict=True, ge=1, le=8)] = 8
    max_per_second: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = Field(
        default=None, description="how many calls begin in a second at most; default: as many as are answered"
    )
    timeout_seconds: Annotated[int, Field(strict=True, ge=1, le=30)] = 10
    position: Position = 1
    batch: StrictBool = Field(
        default=False, description="it takes up to 100 messages, below 20 kB, in one call (CloudEvents' batch format)"
    )


class NewWebhook(_Called):
    """An https address that takes signed messages."""

    channel: Literal[Channel.WEBHOOK]
    purpose: Purpose


class NewStandardDoor(_Called):
    """An https address that takes orders in the form of a standard: ISO 20022 or ETSI TS 103 120."""

    channel: Literal[Channel.ISO20022, Channel.ETSI]
    purpose: Literal[Purpose.ORDERS] = Purpose.ORDERS


class NewDefinition(_Called):
    """What an endpoint shall be from now on; in force once a different administrator approved it."""

    channel: Literal[Channel.WEBHOOK, Channel.ISO20022, Channel.ETSI] = Field(
        description="the endpoint's own: it cannot be changed"
    )


class NewDecision(Shape):
    """Which definition is decided on: the digest of the proposal that was read."""

    sha256: Sha256


class NewPullInbox(Shape):
    """An inbox that the participant itself comes to read."""

    channel: Literal[Channel.PULL]
    purpose: Literal[Purpose.ORDERS] = Purpose.ORDERS
    position: Position = 1


class NewMailbox(Shape):
    """A person's e-mail address for notices; it is sealed."""

    channel: Literal[Channel.EMAIL]
    purpose: Literal[Purpose.NOTICES] = Purpose.NOTICES
    address: Mailbox
    position: Position = 1


NewEndpoint = Annotated[NewWebhook | NewStandardDoor | NewPullInbox | NewMailbox, Field(discriminator="channel")]


class EndpointAnswer(Answer):
    """Where a participant receives; an e-mail address is not shown."""

    id: UUID
    channel: Channel
    purpose: Purpose
    url: str
    network: str | None
    port: int | None
    max_in_flight: int
    max_per_second: int | None
    timeout_seconds: int
    position: int
    batch: bool
    active: bool
    approved_sha256: str | None = Field(description="of what two administrators let pass; of a webhook, none: not used")
    approved_at: Instant | None
    previous_secret_until: Instant | None
    created_at: Instant


class ProposalAnswer(Answer):
    """What an administrator wants an endpoint to be, whole, and what became of that."""

    id: UUID
    participant_id: str
    endpoint_id: UUID
    purpose: Purpose
    url: str
    network: str
    port: int
    ca_pem: str
    client_certificate: str | None
    max_in_flight: int
    max_per_second: int | None
    timeout_seconds: int
    position: int
    batch: bool
    sha256: str = Field(description="of the whole definition: what an approval names")
    state: ProposalState
    proposed_by: str
    proposed_at: Instant
    decided_by: str | None
    decided_at: Instant | None


class ProposalList(Answer):
    """The proposals that wait for a second administrator, oldest first."""

    items: list[ProposalAnswer]


class NewSecret(Shape):
    """An empty object: the hub itself draws the secret."""


class EndpointSecret(Answer):
    """A webhook's signing secret, shown this once; the one before stays valid until ``previous_until``."""

    endpoint_id: UUID
    secret: str | None = Field(description="whsec_…; none for an endpoint that signs nothing")
    previous_until: Instant | None = None


class EndpointRegistered(Answer):
    """A new endpoint and its secret, shown this once."""

    endpoint: EndpointAnswer
    secret: str | None = Field(description="whsec_…, shown this once; none for an endpoint that signs nothing")
    proposal: ProposalAnswer | None = Field(description="of a webhook: what a different administrator must approve")


def _written(value: Any) -> Any:
    # Pydantic would read a bare number as seconds since midnight.
    if not isinstance(value, time) and not (isinstance(value, str) and _TIME.fullmatch(value)):
        raise PydanticCustomError("contact.hours", "a time of the Vietnamese day in whole minutes, HH:MM")
    return value


def _whole_minutes(value: time) -> time:
    if value.tzinfo is not None or value.second or value.microsecond:
        raise PydanticCustomError("contact.hours", "a time of the Vietnamese day in whole minutes, HH:MM")
    return value


MinuteOfDay = Annotated[
    time,
    BeforeValidator(_written),
    AfterValidator(_whole_minutes),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9](:00)?$"}),
]


class DutyHours(Shape):
    """The daily hours of a contact, in Vietnam time; a start after the end passes midnight."""

    starts: MinuteOfDay
    ends: MinuteOfDay


class ContactMailbox(Shape):
    """A contact that is reached by e-mail."""

    channel: Literal[Channel.EMAIL]
    address: Mailbox


class ContactWebhook(_Called):
    """A contact that is reached through a signed webhook (a pager, a duty system)."""

    channel: Literal[Channel.WEBHOOK]


class NewContact(Shape):
    """One line of a duty roster: who, how, and at which hours (none: round the clock)."""

    name: Name
    reached_by: Annotated[ContactMailbox | ContactWebhook, Field(discriminator="channel")]
    hours: DutyHours | None = None
    position: Position = 1


class ContactAnswer(Answer):
    """One line of a duty roster; the name is for administrators."""

    id: UUID
    endpoint_id: UUID
    name: str | None
    channel: Channel
    hours: DutyHours | None
    position: int
    active: bool


class ContactAdded(Answer):
    """A new contact and, for a webhook, its signing secret, shown this once."""

    id: UUID
    endpoint_id: UUID
    secret: str | None
    proposal: ProposalAnswer | None = Field(description="of a webhook: what a different administrator must approve")
