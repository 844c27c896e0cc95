"""The vocabulary of records about persons: who reads them, through which door, and what becomes of them in time."""

from enum import StrEnum


class Door(StrEnum):
    """Through which door somebody came: a system at the API, a person at the console or on the hub's own machine."""

    API = "api"
    CONSOLE = "console"
    MACHINE = "machine"


class View(StrEnum):
    """What a reader of personal data was shown."""

    REQUEST = "request"
    BODY = "body"
    PAGE = "page"
    PAPER = "paper"
    ORDER = "order"
    LETTER = "letter"
    APPEAL = "appeal"
    NOTE = "note"
    ROSTER = "roster"
    DISCLOSURE = "disclosure"
    MOVEMENTS = "movements"


class RecordKind(StrEnum):
    """What the retention table has a rule for."""

    REFUSED_REQUEST = "refused_request"
    ENDED_MEASURE = "ended_measure"
    DELIVERY_BODY = "delivery_body"
    OFFICER_NAME = "officer_name"
    FACT = "fact"
    DRAFT = "draft"


class Fate(StrEnum):
    """What becomes of a record whose time is over: its key is destroyed, a digest alone stays, or it goes to a file."""

    ERASE = "erase"
    HASH_ONLY = "hash_only"
    ARCHIVE = "archive"


class HoldReason(StrEnum):
    """Why a record is kept beyond its time."""

    COURT = "court"
    INSPECTION = "inspection"
    DATA_SUBJECT = "data_subject"
