"""The vocabulary of appeals: their states, why somebody contests a hold, and why it was decided as it was."""

from enum import StrEnum


class AppealState(StrEnum):
    """The life of an appeal: filed, answered by the agency, and decided one way or the other."""

    FILED = "filed"
    ANSWERED = "answered"
    UPHELD = "upheld"
    REJECTED = "rejected"


class AppealGround(StrEnum):
    """Why somebody says that a hold is wrong."""

    WRONG_PERSON = "wrong_person"
    WRONG_AMOUNT = "wrong_amount"
    NOT_INVOLVED = "not_involved"
    LIVING_EXPENSES = "living_expenses"
    ALREADY_RETURNED = "already_returned"
    OTHER = "other"


class AppealReason(StrEnum):
    """Why an appeal was decided as it was; the first seven uphold it, the next three reject it."""

    PERSON_MISTAKEN = "person_mistaken"
    AMOUNT_MISTAKEN = "amount_mistaken"
    PERSON_NOT_INVOLVED = "person_not_involved"
    HARDSHIP = "hardship"
    MONEY_RETURNED = "money_returned"
    NO_LONGER_NEEDED = "no_longer_needed"
    BASIS_MISSING = "basis_missing"
    HOLD_JUSTIFIED = "hold_justified"
    GROUND_NOT_SHOWN = "ground_not_shown"
    ALREADY_ENDED = "already_ended"
