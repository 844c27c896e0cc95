"""The shapes of the end of a silence: what two officers sign, and who was told by a message and who was not."""

from uuid import UUID

from pydantic import Field

from service.schemas.common import Answer, Instant, Shape, Slug
from service.schemas.requests import DetachedJws
from workflows.silence import LeftOut, SilenceReason


class NewSilenceEnd(Shape):
    """Two officers of the agency end the silence; each signs the other members (`typ` hoatoc-silence+jws)."""

    officer_id: Slug
    second_officer_id: Slug
    reason: SilenceReason
    second_signature: DetachedJws | None = Field(
        default=None,
        description="the second officer's detached ES256 JWS over the RFC 8785 form of the body without this member;"
        " the first one's, over the same, stands in the header; `sub` the request's id, `aud` the hub's issuer",
    )


class SilenceTold(Answer):
    """An order whose participant is told."""

    order_id: UUID
    participant_id: str


class SilenceNotTold(SilenceTold):
    """An order whose participant is not told by any message."""

    why: LeftOut = Field(
        description="`not_reached`: nothing shows that it has the disclosure; `unreachable`: no endpoint in force;"
        " `no_message`: its standard (ETSI TS 103 120) has none. Where it has to know, tell it on paper"
    )


class SilenceEnded(Answer):
    """The silence is over from here on; the messages are on their way."""

    request_id: UUID
    ended_at: Instant
    officer_id: str
    second_officer_id: str
    reason: SilenceReason
    told: list[SilenceTold]
    left_out: list[SilenceNotTold]
    repeated: bool = Field(description="it was over before: nothing was sent this time, and the first end is shown")
