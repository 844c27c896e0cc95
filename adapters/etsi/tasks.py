"""The task that an order becomes: a takedown, a disclosure of subscriber data, or a preservation."""

from collections.abc import Mapping
from typing import Any

from adapters.etsi import identifiers, instants, targets, terms
from adapters.etsi.papers import Order
from adapters.etsi.targets import NotSpoken

_DEADLINES = {terms.TAKEDOWN: "task:TakedownDeadline", terms.DISCLOSURE: "task:LDDeadline"}


def of(order: Order) -> dict[str, Any]:
    """Return the whole task of an order that demands something; raises ``NotSpoken`` for any other action."""
    kind = kind_of(order.body)
    made = {
        **order.head(kind, order.id, *order.paper_ids()),
        "task:DesiredStatus": terms.entry(terms.DESIRED[kind], terms.WANTED[kind]),
        "task:CSPID": terms.endpoint(str(order.body["participant_id"])),
    }
    return made | {terms.TAKEDOWN: _takedown, terms.DISCLOSURE: _disclosure, terms.PRESERVATION: _preservation}[kind](
        order
    )


def change(order: Order) -> list[dict[str, Any]]:
    """Return the objects that an order changes: what a lift cancels, or whose end an extension moves.

    The task keeps the identifier of the order that made it; ExternalIdentifier says which order is to be answered.
    """
    body = order.body
    undone = body["lifts_order_id"] or body["extends_order_id"]
    kind = kind_of(body)
    task = {**order.head(kind, str(undone), *order.paper_ids()), "task:DesiredStatus": _desired(kind, body)}
    if body["extends_order_id"]:
        task["task:DesiredPreservationExpiration"] = instants.qualified(body["ends_at"])
    return [task]


def kind_of(body: Mapping[str, Any]) -> str:
    """Return the type of the task that an order makes or changes; raises ``NotSpoken``."""
    action = str(body.get("lifts_action") or body["action"])
    if action not in terms.TASKS:
        raise NotSpoken(action)
    return terms.TASKS[action]


def _desired(kind: str, body: Mapping[str, Any]) -> dict[str, str]:
    return terms.entry(terms.DESIRED[kind], terms.CANCELLED if body["lifts_order_id"] else terms.WANTED[kind])


def _takedown(order: Order) -> dict[str, Any]:
    return {
        "task:RequesterReference": str(order.body["reference"]),
        "task:RequestDetails": {
            "task:RequestValues": targets.values(order.body["target"]),
            "task:RequestValueRefinement": identifiers.derived(order.id, identifiers.REFINEMENT),
            "task:ObservedTimes": {"task:ObservedTime": [instants.qualified(order.body["starts_at"])]},
        },
        "task:Deadlines": _deadlines(order, terms.TAKEDOWN),
    }


def _disclosure(order: Order) -> dict[str, Any]:
    body = order.body
    flags = [name for name, is_so in (("IsTest", order.is_test), ("IsEmergency", order.is_emergency)) if is_so]
    made = {
        "task:Reference": identifiers.disclosure(order.id),
        "task:RequestDetails": {
            "task:Type": terms.entry("RequestType", "SubscriberData"),
            "task:RequestValues": targets.values(body["target"]),
            "task:Subtype": {"task:RequestSubtype": [terms.own("Datum", str(code)) for code in body["asked"]]},
        },
        "task:DeliveryDetails": {
            "task:LDDeliveryDestination": [
                {
                    "task:DeliveryAddress": {"task:EndpointID": terms.endpoint(order.source)},
                    "task:LDHandoverFormat": terms.entry("LDHandoverFormat", "TS103120"),
                }
            ]
        },
        "task:Deadlines": _deadlines(order, terms.DISCLOSURE),
    }
    if body.get("confidential"):
        made["task:HandlingProfile"] = terms.own("HandlingProfile", "Confidential")
    if flags:
        made["task:Flags"] = {"task:LDTaskFlag": [terms.entry("LDTaskFlag", name) for name in flags]}
    return made


def _preservation(order: Order) -> dict[str, Any]:
    made: dict[str, Any] = {
        "task:RequestDetails": {
            "task:Type": terms.entry("RequestType", "Other"),
            "task:StartTime": instants.qualified(order.body["starts_at"]),
            "task:RequestValues": targets.values(order.body["target"]),
        }
    }
    if order.body["ends_at"]:
        made["task:DesiredPreservationExpiration"] = instants.qualified(order.body["ends_at"])
    return made


def _deadlines(order: Order, kind: str) -> dict[str, Any]:
    return {
        _DEADLINES[kind]: [
            {
                "task:DateTime": instants.qualified(each["due_at"]),
                "task:NatureOfDeadline": terms.own("NatureOfDeadline", str(each["stage"])),
            }
            for each in order.body["deadlines"]
        ]
    }
