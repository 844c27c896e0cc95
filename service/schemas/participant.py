"""What the hub sends: the signed event and its bodies, as ``openapi/participant.v1.json`` promises them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from service.schemas.common import Answer, Day, HeldMoney, Instant, Money, Sha256
from workflows.terms import Action, Datum, LegalBasis, Measure, Reach, RefusalCode, Stage, TargetKind, Urgency

EventId = Annotated[str, StringConstraints(pattern=r"^msg_[0-9a-f]{32}$")]
Sequence = Annotated[str, StringConstraints(pattern=r"^[0-9]{10}$")]


class OrderAgency(Answer):
    """The agency that ordered."""

    id: str
    name: str = Field(description="in Vietnamese, as on the paper")


class OrderOfficer(Answer):
    """The signing officer by rank and service number; the name is on the paper and never in a message."""

    rank: str = Field(description="a code such as `dai_uy`")
    number: str


class OrderDocument(Answer):
    """The legal paper behind the order."""

    number: str
    date: Day
    sha256: Sha256 = Field(description="digest of the signed paper's file, in hexadecimal")


class OrderTarget(Answer):
    """What the order is about. A member that does not apply to the kind is left out."""

    kind: TargetKind
    value: str = Field(description="account, wallet or card number, E.164 number, sender name, host name, URL …")
    institution: str | None = Field(default=None, description="as the agency named it: BIN, SWIFT or short name")
    holder_name: str | None = Field(default=None, description="for matching only; refuse with `holder_mismatch`")
    platform: str | None = None
    sha256: Sha256 | None = None
    perceptual_hash: str | None = Field(default=None, description="PDQ, in hexadecimal")


class OrderContact(Answer):
    """Whom to call back at the agency about this order."""

    name: str
    phone: str
    email: str | None = None


class OrderPayment(Answer):
    """The payment whose money is recalled. A member that is not known is left out."""

    reference: str = Field(description="transaction id at the sending institution")
    sent_on: Day
    sender: str = Field(description="as the agency named it: BIN, SWIFT or short name")
    end_to_end_id: str | None = None


class OrderWindow(Answer):
    """The time that a trace looks back on, both ends included."""

    since: Instant
    until: Instant


class OrderDeadline(Answer):
    """By when a stage is due: `receipt` (your 2xx), `acknowledge` (any answer), `execute` (the final answer)."""

    stage: Stage
    due_at: Instant


Drill = Annotated[
    Literal[True] | None,
    Field(
        description="true: an EXERCISE, sent by a hub for drills; answer it and touch no real account, number, page or"
        " person. A real message has no such member"
    ),
]


class OrderSays(Answer):
    """What every message about an order says, whether it demands something or asks."""

    order_id: UUID = Field(description="answer to this order; a lift that ends a hold by itself keeps the hold's id")
    request_id: UUID
    reference: str = Field(description="for people, such as HT-261123-7K3MQ9; on every paper and in every call")
    case_number: str
    sequence: Annotated[int, Field(ge=1)] = Field(
        description="rises with each message about one hold: obey the highest, whatever the order of arrival"
    )
    participant_id: str = Field(description="you")
    urgency: Urgency
    legal_basis: LegalBasis
    agency: OrderAgency
    officer: OrderOfficer
    second_officer: OrderOfficer | None = Field(
        default=None, description="who approved it; null where one officer's word is enough"
    )
    document: OrderDocument
    target: OrderTarget
    amount: Money | None = Field(
        description="hold, or of a recall send back, this much and no more; null for a whole account or no money"
    )
    whole_account: bool
    measure: Measure | None = Field(description="of a takedown")
    payment: OrderPayment | None = Field(description="of a recall: the payment that brought the money")
    asked: list[Datum] | None = Field(description="of a disclosure: answer with these and no others")
    window: OrderWindow | None = Field(
        default=None, description="of a trace: answer with what moved in it and with no other movement"
    )
    confidential: bool = Field(description="do not let the holder learn of it; true of each disclosure and trace")
    starts_at: Instant
    ends_at: Instant | None = Field(
        description="a hold ends by itself here; the hub sends a lift then. A recall, a disclosure or a trace that was"
        " not executed lapses, without another message"
    )
    contact: OrderContact
    lifts_order_id: UUID | None = Field(description="of a lift: the order that it undoes")
    lifts_action: Action | None = Field(default=None, description="of a lift: what the order that it undoes demanded")
    extends_order_id: UUID | None = Field(description="of an extension: the order whose end moves to `ends_at`")
    reason: str | None = Field(
        description="of a lift that no officer signed: `end_reached`, `unreviewed`, `withdrawn`, `late_answer` or"
        " `appeal_upheld`; of the end of a silence: `proceedings_ended`, `secrecy_not_needed` or `ordered`"
    )
    deadlines: list[OrderDeadline]
    answer_url: str = Field(description="POST your acknowledgement here, relative to the hub's address")
    drill: Drill = None


class OrderBody(OrderSays):
    """An order to one participant about one target. Its life is told by your acknowledgements."""

    action: Action


class ReadBackBody(OrderSays):
    """A question about a hold that you executed: what do you hold now? It has no deadlines and changes nothing."""

    action: Literal["read_back"]


class SilenceEndedBody(OrderSays):
    """The end of a silence: `confidential` is false from here on. It asks for no answer."""

    action: Literal["silence_ended"]


class StatusBody(Answer):
    """What became of a request. Members that do not apply are left out."""

    request_id: UUID
    reference: str
    case_number: str
    fact: str = Field(description="the code of the timeline's fact, such as `order.executed`; new ones may come")
    state: str = Field(description="of the order where there is one, else of the request, after this fact")
    occurred_at: Instant
    appeal_id: UUID | None = Field(default=None, description="of the facts `appeal.…`: what `getAppeal` tells of")
    drill: Drill = None


class OrderStatusBody(StatusBody):
    """What became of one order of a request."""

    order_id: UUID
    participant_id: str
    amount_held: HeldMoney | None = None
    amount_returned: HeldMoney | None = None
    refusal_code: RefusalCode | None = None


class NoticeBody(Answer):
    """A rung of an escalation ladder calls you. It holds no personal data."""

    reference: str = Field(description="of the request; empty where an endpoint or a task is late, not a request")
    participant: str = Field(description="the short name of who is late")
    participant_id: str | None
    stage: Stage
    due_at: Instant = Field(description="when the stage was due")
    rung: Annotated[int, Field(ge=1)]
    reach: Reach = Field(description="as whom you are called")
    subject: str = Field(description="one line, Vietnamese")
    text: str = Field(description="the whole letter, Vietnamese first, then English")
    drill: Drill = None


class Event(Answer):
    """The envelope: CloudEvents 1.0 in structured JSON mode. The same message has the same bytes at every attempt."""

    specversion: Literal["1.0"]
    id: EventId = Field(description="equal to the header `webhook-id`; the same over all attempts")
    source: str = Field(description="the hub's public address", json_schema_extra={"format": "uri-reference"})
    subject: str = Field(description="the id of the order or request; of a notice its own")
    time: Instant
    sequence: Sequence = Field(description="the CloudEvents extension: ten digits, so that text comparison orders it")
    datacontenttype: Literal["application/json"]
    hoatocdrill: Literal[True] | None = Field(
        default=None, description="of an exercise: what `data.drill` says, for whoever routes by the envelope"
    )


class OrderEvent(Event):
    """An order to a participant."""

    type: Literal[
        "vn.hoatoc.order.freeze",
        "vn.hoatoc.order.lift",
        "vn.hoatoc.order.extend",
        "vn.hoatoc.order.takedown",
        "vn.hoatoc.order.preserve",
        "vn.hoatoc.order.recall",
        "vn.hoatoc.order.disclose",
        "vn.hoatoc.order.trace",
    ]
    data: OrderBody


class ReadBackEvent(Event):
    """A question about a hold."""

    type: Literal["vn.hoatoc.order.read_back"]
    data: ReadBackBody


class SilenceEndedEvent(Event):
    """The end of the silence of a disclosure or a trace."""

    type: Literal["vn.hoatoc.order.silence_ended"]
    data: SilenceEndedBody


class RequestStatusEvent(Event):
    """What became of an agency's request."""

    type: Literal["vn.hoatoc.status.request"]
    data: StatusBody


class OrderStatusEvent(Event):
    """What became of one order of an agency's request."""

    type: Literal["vn.hoatoc.status.order"]
    data: OrderStatusBody


class NoticeEvent(Event):
    """A notice to a duty contact."""

    type: Literal["vn.hoatoc.notice.escalation"]
    data: NoticeBody
