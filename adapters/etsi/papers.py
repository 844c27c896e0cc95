"""What stands behind a task: the authorisation, the warrant, the order as the hub signed it, and the refinement."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from adapters.etsi import identifiers, instants, terms

EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class Order:
    """One message about an order: its body, the hub's signature over it, who the hub is, and when it was placed.

    ``at`` is a QualifiedDateTime. ``cancels`` tells that the order takes back what another one, or itself, demands.
    """

    body: Mapping[str, Any]
    signature: str | None
    source: str
    at: str

    @property
    def id(self) -> str:
        """The order's id."""
        return str(self.body["order_id"])

    @property
    def is_emergency(self) -> bool:
        """Whether one officer ordered it by the emergency power, to be reviewed by a second one."""
        return bool(self.body["legal_basis"] == EMERGENCY)

    @property
    def is_test(self) -> bool:
        """Whether the order says that it is an exercise."""
        return self.body.get("drill") is True

    @property
    def has_refinement(self) -> bool:
        """Whether a document must say more than a takedown task has members for: what is done, and until when."""
        return bool(self.body["measure"])

    def head(self, kind: str, identifier: str, *associated: str) -> dict[str, Any]:
        """Return the members that every object of this order has."""
        return {
            "@xsi:type": kind,
            "ObjectIdentifier": identifier,
            "CountryCode": terms.COUNTRY,
            "OwnerIdentifier": self.source[:255],
            "Generation": int(self.body["sequence"]),
            "ExternalIdentifier": self.id,
            **({"AssociatedObjects": {"AssociatedObject": list(associated)}} if associated else {}),
            "LastChanged": self.at,
        }

    def paper_ids(self) -> list[str]:
        """Return the identifiers of the objects that the task rests on."""
        marks = [identifiers.AUTHORISATION, identifiers.WARRANT, identifiers.ORDER]
        marks += [identifiers.REFINEMENT] if self.has_refinement else []
        return [identifiers.derived(self.id, mark) for mark in marks]


def papers(order: Order) -> list[dict[str, Any]]:
    """Return the objects that must be there before the task is: in the order in which each names the others."""
    found = [_warrant(order), signed_order(order), authorisation(order)]
    return [*found, _refinement(order)] if order.has_refinement else found


def authorisation(order: Order) -> dict[str, Any]:
    """Return the legal basis as an AuthorisationObject.

    IsEmergency says that one officer ordered by the emergency power, never only that it is urgent: that is what the
    priority says. IsTest marks an exercise.
    """
    body = order.body
    flags = [name for name, is_so in (("IsEmergency", order.is_emergency), ("IsTest", order.is_test)) if is_so]
    span = {"auth:StartTime": instants.qualified(body["starts_at"])}
    if body["ends_at"]:
        span["auth:EndTime"] = instants.qualified(body["ends_at"])
    made = order.head(
        terms.AUTHORISATION,
        identifiers.derived(order.id, identifiers.AUTHORISATION),
        identifiers.derived(order.id, identifiers.WARRANT),
        identifiers.derived(order.id, identifiers.ORDER),
    )
    return {
        **made,
        "auth:AuthorisationReference": body["document"]["number"],
        "auth:AuthorisationLegalType": terms.own("LegalBasis", str(body["legal_basis"])),
        "auth:AuthorisationPriority": terms.entry(
            "AuthorisationPriority", "Routine" if body["urgency"] == "khan" else "High"
        ),
        "auth:AuthorisationStatus": terms.entry(
            "AuthorisationStatus", "EmergencyApproval" if order.is_emergency else "Approved"
        ),
        "auth:AuthorisationTimespan": span,
        "auth:AuthorisationCSPID": {"auth:CSPID": [terms.endpoint(str(body["participant_id"]))]},
        "auth:AuthorisationCreationTimestamp": instants.qualified(body["starts_at"]),
        "auth:AuthorisationApprovalDetails": list(_approvals(order)),
        **(
            {
                "auth:AuthorisationFlags": {
                    "auth:AuthorisationFlag": [terms.entry("AuthorisationFlag", name) for name in flags]
                }
            }
            if flags
            else {}
        ),
        "auth:AuthorisationJurisdiction": terms.COUNTRY,
        "auth:AuthorisationLegalEntity": str(body["agency"]["name"])[:255],
    }


def _approvals(order: Order) -> Iterator[dict[str, Any]]:
    """Yield the officers by rank and service number: the one who ordered, and the second one where there is one."""
    body, contact = order.body, order.body["contact"]
    called = {"common:Name": contact["name"], "common:PhoneNumber": str(contact["phone"]).removeprefix("+")}
    if contact.get("email"):
        called["common:EmailAddress"] = contact["email"]
    officers = (("order", body["officer"]), ("approval", body.get("second_officer")))
    for kind, officer in officers:
        if officer:
            yield {
                "common:ApprovalType": kind,
                "common:ApprovalReference": body["document"]["number"],
                "common:ApproverDetails": {
                    # A name is on the paper and never in a message: the number names the officer.
                    "common:ApproverName": officer["number"],
                    "common:ApproverRole": officer["rank"],
                    "common:ApproverContactDetails": [called],
                },
                "common:ApprovalIsEmergency": order.is_emergency,
            }


def _warrant(order: Order) -> dict[str, Any]:
    paper = order.body["document"]
    return {
        **_document(order, identifiers.WARRANT, terms.entry("DocumentType", "Warrant"), str(paper["number"])),
        "doc:DocumentProperties": {
            "doc:DocumentProperty": [
                _property("DocumentDate", str(paper["date"])),
                _property("CaseNumber", str(order.body["case_number"])),
            ]
        },
        # The paper itself goes another way; with its digest nobody can put another one in its place.
        "doc:DocumentBody": {"doc:Checksum": str(paper["sha256"]), "doc:ChecksumType": "SHA-256"},
    }


def signed_order(order: Order) -> dict[str, Any]:
    """Return the order's body with the hub's signature: who has it needs neither this message nor the hub any more."""
    content = rfc8785.dumps(dict(order.body))
    signed = [_property("DetachedJWS", order.signature)] if order.signature else []
    made = _document(order, identifiers.ORDER, terms.own("DocumentType", "SignedOrder"), str(order.body["reference"]))
    return {
        **made,
        "doc:DocumentProperties": {"doc:DocumentProperty": signed},
        "doc:DocumentBody": {
            "doc:Contents": base64.b64encode(content).decode(),
            "doc:ContentType": "application/json",
            "doc:Checksum": hashlib.sha256(content).hexdigest(),
            "doc:ChecksumType": "SHA-256",
        },
    }


def _refinement(order: Order) -> dict[str, Any]:
    body, target = order.body, order.body["target"]
    said = [_property("Measure", str(body["measure"]))]
    said += [_property("EndsAt", instants.qualified(body["ends_at"]))] if body["ends_at"] else []
    said += [_property("Platform", str(target["platform"]))] if target.get("platform") else []
    kind = terms.entry("DocumentType", "TakedownRefinement")
    return {
        **_document(order, identifiers.REFINEMENT, kind, str(body["reference"])),
        "doc:DocumentProperties": {"doc:DocumentProperty": said},
    }


def _document(order: Order, mark: int, kind: dict[str, str], reference: str) -> dict[str, Any]:
    return {
        **order.head(terms.DOCUMENT, identifiers.derived(order.id, mark)),
        "doc:DocumentReference": reference,
        "doc:DocumentStatus": terms.entry("DocumentStatus", "Approved"),
        "doc:DocumentType": kind,
    }


def _property(name: str, value: str) -> dict[str, Any]:
    return {"doc:PropertyType": terms.own("DocumentProperty", name), "doc:PropertyValue": value}
