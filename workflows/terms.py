"""The vocabulary that every room shares: actions, sectors, states, events, stages, facts and the actor."""

from dataclasses import dataclass
from enum import StrEnum

from workflows.answer_terms import Datum as Datum
from workflows.answer_terms import Direction as Direction
from workflows.answer_terms import DocumentKind as DocumentKind
from workflows.answer_terms import HolderState as HolderState
from workflows.answer_terms import MovementKind as MovementKind
from workflows.answer_terms import Outcome as Outcome
from workflows.answer_terms import RefusalCode as RefusalCode
from workflows.appeal_terms import AppealGround as AppealGround
from workflows.appeal_terms import AppealReason as AppealReason
from workflows.appeal_terms import AppealState as AppealState
from workflows.endpoint_terms import PassedOver as PassedOver
from workflows.endpoint_terms import ProposalState as ProposalState
from workflows.endpoint_terms import Purpose as Purpose
from workflows.extension_terms import ExtendReason as ExtendReason
from workflows.facts import Fact as Fact
from workflows.record_terms import Door as Door
from workflows.record_terms import View as View


class Action(StrEnum):
    """What a request demands."""

    FREEZE = "freeze"
    LIFT = "lift"
    EXTEND = "extend"
    TAKEDOWN = "takedown"
    PRESERVE = "preserve"
    RECALL = "recall"
    DISCLOSE = "disclose"
    TRACE = "trace"


class Measure(StrEnum):
    """What a takedown does to its targets."""

    BLOCK = "block"
    SUSPEND = "suspend"
    REMOVE = "remove"


class Sector(StrEnum):
    """What kind of member of the network a participant is; ``hub`` is the operator of this hub itself."""

    AGENCY = "agency"
    BANK = "bank"
    WALLET = "wallet"
    TELECOM = "telecom"
    ISP = "isp"
    PLATFORM = "platform"
    REGISTRAR = "registrar"
    SUPERVISOR = "supervisor"
    HUB = "hub"


class TargetKind(StrEnum):
    """What a request can be about: the first three are money, the others can be taken down."""

    ACCOUNT = "account"
    WALLET = "wallet"
    CARD = "card"
    PHONE = "phone"
    SMS_SENDER = "sms_sender"
    SOCIAL_ACCOUNT = "social_account"
    EMAIL = "email"
    DOMAIN = "domain"
    URL = "url"
    CONTENT = "content"


MONEY_TARGETS = frozenset({TargetKind.ACCOUNT, TargetKind.WALLET, TargetKind.CARD})
# What is done once and leaves nothing in force: there is nothing to lift, to extend or to appeal against.
ONCE = frozenset({Action.RECALL, Action.DISCLOSE, Action.TRACE})
# What asks about a person, who must not be warned; its answer is read by whoever asked and by nobody else.
CONFIDENTIAL = frozenset({Action.DISCLOSE, Action.TRACE})


class Urgency(StrEnum):
    """The three degrees of urgency on official papers (Decree 30/2020/NĐ-CP): khẩn, thượng khẩn, hỏa tốc."""

    KHAN = "khan"
    THUONG_KHAN = "thuong_khan"
    HOA_TOC = "hoa_toc"


class LegalBasis(StrEnum):
    """The legal instruments that the shipped authority rules know."""

    AML_POSTPONEMENT = "aml_postponement"
    CPC_88 = "cpc_88"
    CPC_129 = "cpc_129"
    DECREE_52_11 = "decree_52_11"
    DECREE_147 = "decree_147"
    EMERGENCY = "emergency"


class RequestState(StrEnum):
    """The life of a request; see ``states.REQUEST_MOVES``."""

    AWAITING_APPROVAL = "awaiting_approval"
    HELD_FOR_CALLBACK = "held_for_callback"
    ACTIVE = "active"
    CLOSED = "closed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


class RequestEvent(StrEnum):
    """What can happen to a request."""

    APPROVE = "approve"
    HOLD = "hold"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    LAPSE = "lapse"
    CLOSE = "close"


class OrderState(StrEnum):
    """The life of an order; see ``states.MOVES``."""

    PLACED = "placed"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    EXECUTED = "executed"
    REFUSED = "refused"
    REROUTED = "rerouted"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"
    LIFTED = "lifted"


class Event(StrEnum):
    """What can happen to an order."""

    DELIVER = "deliver"
    ACKNOWLEDGE = "acknowledge"
    EXECUTE = "execute"
    REFUSE = "refuse"
    REROUTE = "reroute"
    WITHDRAW = "withdraw"
    LAPSE = "lapse"
    LIFT = "lift"


class Stage(StrEnum):
    """What a deadline is for; the first three are a participant's, the others the hub's own clocks."""

    RECEIPT = "receipt"
    ACKNOWLEDGE = "acknowledge"
    EXECUTE = "execute"
    ACKNOWLEDGEMENT_END = "acknowledgement_end"
    END_WARNING = "end_warning"
    END = "end"
    REVIEW = "review"
    APPROVAL = "approval"
    TASK = "task"
    APPEAL_ANSWER = "appeal_answer"
    APPEAL_DECISION = "appeal_decision"


class SubjectKind(StrEnum):
    """What a deadline hangs on."""

    ORDER = "order"
    REQUEST = "request"
    TASK = "task"
    APPEAL = "appeal"


class DeadlineState(StrEnum):
    """A deadline is pending until it is met, missed (its instant came first) or cancelled."""

    PENDING = "pending"
    MET = "met"
    MISSED = "missed"
    CANCELLED = "cancelled"


class DispatchKind(StrEnum):
    """What a dispatch carries: an order to a participant, a status to an agency, a notice to people."""

    ORDER = "order"
    STATUS = "status"
    NOTICE = "notice"


class DispatchState(StrEnum):
    """A dispatch is pending until it is delivered, given up (dead) or cancelled; ``waiting`` has nowhere to go yet."""

    PENDING = "pending"
    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Channel(StrEnum):
    """How an endpoint is reached."""

    WEBHOOK = "webhook"
    ISO20022 = "iso20022"
    ETSI = "etsi"
    PULL = "pull"
    EMAIL = "email"


# Where the hub calls an address of the participant's, which two persons have to let pass first.
CALLED = frozenset({Channel.WEBHOOK, Channel.ISO20022, Channel.ETSI})


class Reach(StrEnum):
    """Whom a rung of a ladder calls."""

    PARTICIPANT = "participant"
    COORDINATOR = "coordinator"
    SUPERVISOR = "supervisor"
    AGENCY = "agency"


class TaskKind(StrEnum):
    """What a person must do."""

    UNREACHABLE_PARTICIPANT = "unreachable_participant"
    NOT_MINE = "not_mine"
    CONTRADICTING_ANSWER = "contradicting_answer"
    DEAD_DISPATCH = "dead_dispatch"
    ENDPOINT_DOWN = "endpoint_down"
    CALLBACK = "callback"
    APPEAL = "appeal"
    UNUSUAL_LIFTS = "unusual_lifts"


class CallbackOutcome(StrEnum):
    """What the agency said when it was called back at the registry's number."""

    CONFIRMED = "confirmed"
    DENIED = "denied"


class BoundKind(StrEnum):
    """What bounds count together: holds and recalls, takedowns, lifts, and what is asked about people."""

    HOLDS = "holds"
    TAKEDOWNS = "takedowns"
    LIFTS = "lifts"
    DISCLOSURES = "disclosures"


class BoundSubject(StrEnum):
    """Whose requests a bound counts: one officer's, one agency's, or those of one pair of officers."""

    OFFICER = "officer"
    AGENCY = "agency"
    PAIR = "pair"


class Role(StrEnum):
    """What a principal may be; the table of scopes is ``service/security/scopes.py``."""

    MAKER = "maker"
    APPROVER = "approver"
    READER = "reader"
    AGENCY_ADMIN = "agency_admin"
    PARTICIPANT_OPERATOR = "participant_operator"
    SUPERVISOR = "supervisor"
    COORDINATOR = "coordinator"
    AUDITOR = "auditor"
    HUB_ADMIN = "hub_admin"


class ActorKind(StrEnum):
    """Who did something: a client system, an officer, a person at the console, or the hub itself."""

    CLIENT = "client"
    OFFICER = "officer"
    PERSON = "person"
    HUB = "hub"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is behind a fact: ``tenant`` is the participant on whose behalf, ``id`` the system, officer or node."""

    kind: ActorKind
    id: str
    tenant: str
