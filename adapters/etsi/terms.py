"""The vocabulary of TS 103 120 that the hub speaks: versions, types, dictionary entries, and the numbers of errors."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any

COUNTRY = "VN"
# The schemas that are shipped, and the one before, whose task objects are the same.
VERSION = "V1.23.1"
VERSIONS = frozenset({VERSION, "V1.22.1"})
PROFILE_OWNER = "VN-HOATOC"
PROFILE_VERSION = "1"
ETSI = "ETSI"

_TYPES = "{http://uri.etsi.org/03120/common/"
AUTHORISATION = f"{_TYPES}2020/09/Authorisation}}AuthorisationObject"
DOCUMENT = f"{_TYPES}2020/09/Document}}DocumentObject"
TAKEDOWN = f"{_TYPES}2020/09/Task}}TDTaskObject"
DISCLOSURE = f"{_TYPES}2020/09/Task}}LDTaskObject"
PRESERVATION = f"{_TYPES}2020/09/Task}}LPTaskObject"
DELIVERY = f"{_TYPES}2019/10/Delivery}}DeliveryObject"

# Which task an action becomes. There is no interception among them, and there will be none.
TASKS: Mapping[str, str] = MappingProxyType(
    {"takedown": TAKEDOWN, "disclose": DISCLOSURE, "preserve": PRESERVATION, "extend": PRESERVATION}
)
# The names of a task's status and desired status in ETSI's dictionaries, and in which ones they begin and end.
STATUS: Mapping[str, str] = MappingProxyType(
    {TAKEDOWN: "TDTaskStatus", DISCLOSURE: "LDTaskStatus", PRESERVATION: "LPTaskStatus"}
)
DESIRED: Mapping[str, str] = MappingProxyType(
    {TAKEDOWN: "TDTaskDesiredStatus", DISCLOSURE: "LDTaskDesiredStatus", PRESERVATION: "LPTaskDesiredStatus"}
)
WANTED: Mapping[str, str] = MappingProxyType({TAKEDOWN: "Pending", DISCLOSURE: "Disclosed", PRESERVATION: "Preserved"})
CANCELLED = "Cancelled"
# ETSI's dictionary of object types forgets the takedown task: its entry is the national profile's own.
OBJECT_TYPES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        AUTHORISATION: (ETSI, "Authorisation"),
        DOCUMENT: (ETSI, "Document"),
        TAKEDOWN: (PROFILE_OWNER, "TDTask"),
        DISCLOSURE: (ETSI, "LDTask"),
        PRESERVATION: (ETSI, "LPTask"),
    }
)
# How a delivery says that it carries the coded minimum about a subscriber.
MANIFEST = "urn:hoatoc:subscriber-data:1"


class Wrong(IntEnum):
    """Why an action or a message was not carried out: the ``ErrorCode`` of our ErrorInformation."""

    MALFORMED = 1001
    VERSION = 1002
    SENDER = 1003
    RECEIVER = 1004
    NOT_SPOKEN = 1005
    MIXED = 1006
    TRANSACTION_REUSED = 1007
    UNKNOWN_OBJECT = 1008
    SIGNATURE = 1009
    NOT_ALLOWED = 1010


# The ``ErrorCode`` of a StatusReason, for each reason why an order is refused.
REASONS: Mapping[int, str] = MappingProxyType(
    {
        2001: "target_not_found",
        2002: "holder_mismatch",
        2004: "target_closed",
        2005: "not_mine",
        2006: "authority_doubted",
        2007: "document_doubted",
        2008: "target_legitimate",
        2009: "not_feasible",
        2099: "other",
    }
)
NUMBERS: Mapping[str, int] = MappingProxyType({reason: number for number, reason in REASONS.items()})
# Where a number went: the description of reason 2005, with a participant id, a short name or an MCC-MNC behind it.
PORTED_TO = "ported_to:"


def entry(name: str, value: str, owner: str = ETSI) -> dict[str, str]:
    """Return a dictionary entry as it stands in an object."""
    return {"common:Owner": owner, "common:Name": name, "common:Value": value}


def own(name: str, value: str) -> dict[str, str]:
    """Return an entry of the national profile's own dictionary."""
    return entry(name, value, PROFILE_OWNER)


def endpoint(identifier: str) -> dict[str, str]:
    """Return the identifier of a sender or receiver: the country and its name in it."""
    return {"CountryCode": COUNTRY, "UniqueIdentifier": identifier}


def reason(number: int, description: str) -> dict[str, Any]:
    """Return a StatusReason or an ErrorInformation."""
    return {"ErrorCode": number, "ErrorDescription": description}
