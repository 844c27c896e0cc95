"""The vocabulary of answers: outcomes, codes of refusal, what a disclosure is asked for, and what moves money."""

from enum import StrEnum


class Outcome(StrEnum):
    """What a participant's acknowledgement says."""

    RECEIVED = "received"
    EXECUTED = "executed"
    REFUSED = "refused"
    NOT_MINE = "not_mine"
    LIFTED = "lifted"


class RefusalCode(StrEnum):
    """Why a participant refuses an order; free text never travels instead of a code."""

    TARGET_NOT_FOUND = "target_not_found"
    HOLDER_MISMATCH = "holder_mismatch"
    NO_BALANCE = "no_balance"
    TARGET_CLOSED = "target_closed"
    NOT_MINE = "not_mine"
    AUTHORITY_DOUBTED = "authority_doubted"
    DOCUMENT_DOUBTED = "document_doubted"
    TARGET_LEGITIMATE = "target_legitimate"
    NOT_FEASIBLE = "not_feasible"
    PAYMENT_NOT_FOUND = "payment_not_found"
    ALREADY_PAID_OUT = "already_paid_out"
    ALREADY_RETURNED = "already_returned"
    HOLDER_DECLINES = "holder_declines"
    OTHER = "other"


class Datum(StrEnum):
    """One thing that a disclosure may ask about a holder or subscriber; what is not in this list is never asked."""

    HOLDER_NAME = "holder_name"
    HOLDER_DOCUMENT = "holder_document"
    HOLDER_BIRTH_DATE = "holder_birth_date"
    CONTACT_PHONE = "contact_phone"
    CONTACT_EMAIL = "contact_email"
    OPENED_ON = "opened_on"
    STATE = "state"


class DocumentKind(StrEnum):
    """By which paper a holder is identified."""

    NATIONAL_ID = "national_id"
    PASSPORT = "passport"
    BUSINESS_REGISTRATION = "business_registration"
    OTHER = "other"


class HolderState(StrEnum):
    """Whether what was asked about is in use today."""

    OPEN = "open"
    DORMANT = "dormant"
    BLOCKED = "blocked"
    CLOSED = "closed"


class Direction(StrEnum):
    """Which way a movement went, seen from the account that is traced."""

    IN = "in"
    OUT = "out"


class MovementKind(StrEnum):
    """How money moved; what was written on the payment is free text, and never travels."""

    TRANSFER = "transfer"
    CARD = "card"
    CASH = "cash"
    BILL = "bill"
    TOP_UP = "top_up"
    REVERSAL = "reversal"
    OTHER = "other"
