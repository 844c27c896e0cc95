"""What a participant reads at the hub: an object of its own, the list of them, and what the hub speaks."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from adapters.etsi import build, identifiers, targets, terms
from adapters.etsi.papers import Order

# When this profile was last changed, as GETCSPCONFIG must say.
PROFILE_CHANGED = "2026-11-30T00:00:00Z"
# By the state of the order. A takedown has no word for one that is over: its desired status says so.
_STATUS: Mapping[str, Mapping[str, str]] = {
    terms.TAKEDOWN: {
        "placed": "Pending",
        "delivered": "Pending",
        "acknowledged": "Pending",
        "executed": "Resolved",
        "refused": "Rejected",
        "rerouted": "Rejected",
        "withdrawn": "Pending",
        "lapsed": "Pending",
        "lifted": "Resolved",
    },
    terms.DISCLOSURE: {
        "placed": "AwaitingDisclosure",
        "delivered": "AwaitingDisclosure",
        "acknowledged": "AwaitingDisclosure",
        "executed": "Disclosed",
        "refused": "Rejected",
        "rerouted": "Rejected",
        "withdrawn": "Cancelled",
        "lapsed": "Cancelled",
        "lifted": "Cancelled",
    },
    terms.PRESERVATION: {
        "placed": "AwaitingPreservation",
        "delivered": "AwaitingPreservation",
        "acknowledged": "AwaitingPreservation",
        "executed": "Preserved",
        "refused": "Rejected",
        "rerouted": "Rejected",
        "withdrawn": "Cancelled",
        "lapsed": "Expired",
        "lifted": "Cancelled",
    },
}
_OVER = frozenset({"withdrawn", "lapsed", "lifted"})


def find(order: Order, identifier: UUID, state: str) -> dict[str, Any] | None:
    """Return the object of an order that has this identifier, its task with the status that the hub knows, or None."""
    for made in build.objects(order):
        if made["ObjectIdentifier"] == str(identifier):
            return made if made["@xsi:type"] not in _STATUS else _with_status(made, state)
    return None


def _with_status(task: dict[str, Any], state: str) -> dict[str, Any]:
    kind = task["@xsi:type"]
    made = {**task, "task:Status": terms.entry(terms.STATUS[kind], _STATUS[kind][state])}
    if state in _OVER:
        made["task:DesiredStatus"] = terms.entry(terms.DESIRED[kind], terms.CANCELLED)
    return made


def record(kind: str, identifier: str, generation: int, order_id: str, at: str, source: str) -> dict[str, Any]:
    """Return one line of a list; it tells nothing of what the object says. ``at`` is a QualifiedDateTime."""
    owner, name = terms.OBJECT_TYPES[kind]
    return {
        "ObjectType": terms.entry("ObjectType", name, owner),
        "Identifier": identifier,
        "CountryCode": terms.COUNTRY,
        "OwnerIdentifier": source[:255],
        "Generation": generation,
        "ExternalIdentifier": order_id,
        "LastChanged": at,
    }


def records(
    order_id: str,
    task_id: str,
    action: str,
    generation: int,
    at: str,
    source: str,
    kinds: Collection[str] | None = None,
) -> list[dict[str, Any]]:
    """Return the lines of one order: the task that it makes or changes, then what it rests on.

    ``action`` is the one that made the task; ``kinds`` are the types that are asked for, None for all.
    """
    kind = terms.TASKS[action]
    marks = [(terms.AUTHORISATION, identifiers.AUTHORISATION), (terms.DOCUMENT, identifiers.WARRANT)]
    marks += [(terms.DOCUMENT, identifiers.ORDER)]
    if kind == terms.TAKEDOWN and order_id == task_id:
        marks.append((terms.DOCUMENT, identifiers.REFINEMENT))
    found = [(kind, task_id), *((each, identifiers.derived(order_id, mark)) for each, mark in marks)]
    return [
        record(each, identifier, generation, order_id, at, source)
        for each, identifier in found
        if kinds is None or each in kinds
    ]


def config() -> dict[str, Any]:
    """Return what the hub speaks, as a GETCSPCONFIGResponse: the formats of targets, and what may be asked of each."""
    formats = {**{name: owner for owner, name in targets.FORMATS.values()}, **_DIGESTS}
    entries = [
        {
            "config:FormatName": name,
            "config:Description": f"{name} of the national profile {terms.PROFILE_OWNER}",
            "config:FormatRegex": f"^{targets.PATTERNS[name]}$",
        }
        for name, owner in sorted(formats.items())
        if owner == terms.PROFILE_OWNER
    ]
    asked = {
        "config:AssociatedLDRequestTypes": {"common:DictionaryEntry": [terms.entry("RequestType", "SubscriberData")]}
    }
    kept = {"config:AssociatedLPRequestTypes": {"common:DictionaryEntry": [terms.entry("RequestType", "Other")]}}
    return {
        "LastChanged": PROFILE_CHANGED,
        "TargetFormatTypeDefinitions": {
            "config:FormatOwner": terms.PROFILE_OWNER,
            "config:TargetFormatTypeDefinitionEntries": {"config:TargetFormatTypeDefinitionEntry": entries},
        },
        "TargetingConfigurations": {
            "config:TargetingConfiguration": [
                {"config:FormatName": name, "config:FormatOwner": owner, **asked, **kept}
                for name, owner in sorted(formats.items())
            ]
        },
    }


_DIGESTS = {"ContentSHA256": terms.PROFILE_OWNER, "ContentPDQ": terms.PROFILE_OWNER}
