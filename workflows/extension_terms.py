"""The vocabulary of extensions: why a measure has to last longer than it was ordered for."""

from enum import StrEnum


class ExtendReason(StrEnum):
    """Why the end of a measure is moved; free text, in which a person could be named, never travels instead."""

    INQUIRY_CONTINUES = "inquiry_continues"
    MONEY_TRACED = "money_traced"
    VICTIMS_SOUGHT = "victims_sought"
    DECISION_AWAITED = "decision_awaited"
    RETURN_PREPARED = "return_prepared"
