"""An order as one HI1 request: what the task rests on is created first, then the task is created or changed."""

from collections.abc import Mapping
from typing import Any

from adapters.base import Message
from adapters.etsi import identifiers, instants, messages, papers, tasks
from adapters.etsi.papers import Order


def order_of(message: Message, source: str) -> Order:
    """Return the order that a message carries; ``source`` is the hub's address. Raises ``ValueError`` for no zone."""
    at = instants.qualified(message.occurred_at.isoformat())
    return Order(message.body, message.signature, source, at)


def request(message: Message, source: str) -> dict[str, Any]:
    """Return the HI1 request of an order; the same message gives the same request at every attempt.

    Raises ``NotSpoken`` for an order that is no task of TS 103 120, and ``KeyError``, ``TypeError`` or ``ValueError``
    for one that is none at all.
    """
    return messages.request(
        actions(order_of(message, source)),
        sender=source,
        receiver=str(message.body["participant_id"]),
        transaction=identifiers.transaction(message.id),
        at=instants.microseconds(message.occurred_at),
    )


def actions(order: Order) -> list[dict[str, Any]]:
    """Return the actions of an order, without their numbers.

    A lift or an extension changes the task of the order that it is about. One that an officer signed brings its own
    papers; the lift that the hub sends by itself replaces what the order's signature covers.
    """
    body = order.body
    undone = body["lifts_order_id"] or body["extends_order_id"]
    if not undone:
        return [_create(each) for each in (*papers.papers(order), tasks.of(order))]
    changed = [_update(each) for each in tasks.change(order)]
    if str(undone) == order.id:
        return [_update(papers.signed_order(order)), *changed]
    return [*(_create(each) for each in papers.papers(order)), *changed]


def objects(order: Order) -> list[dict[str, Any]]:
    """Return every object of an order, the task last, as a participant may read them."""
    undone = order.body["lifts_order_id"] or order.body["extends_order_id"]
    return [*papers.papers(order), *(tasks.change(order) if undone else [tasks.of(order)])]


def _create(made: Mapping[str, Any]) -> dict[str, Any]:
    return {"CREATE": {"HI1Object": made}}


def _update(made: Mapping[str, Any]) -> dict[str, Any]:
    return {"UPDATE": {"HI1Object": made}}
