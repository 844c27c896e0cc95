"""What a participant reads: the body of an order, with the fields it needs and no others (PROMISES R3)."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from service import clock
from service.vault import Keys, Vault
from workflows import states
from workflows.terms import CONFIDENTIAL, Action, Stage

PREFIX = "vn.hoatoc"
# What a body of a drill has and a real one never (ADR 0064).
MARK = "drill"


def order_type(action: Action) -> str:
    """Return the CloudEvents type of an order."""
    return f"{PREFIX}.order.{action}"


def is_ordered_now(message_type: str, order: sa.Row[Any]) -> bool:
    """Tell whether a message says what its participant is asked for now, and so is what a receipt is awaited of.

    Not a question about an order, and not the freeze of a hold whose lift is ordered. ``order`` has the columns
    ``action``, ``state`` and ``lift_ordered``.
    """
    return message_type == order_type(states.asked_for(order.action, order.state, lift_ordered=order.lift_ordered))


def money(amount: int | None, currency: str | None = "VND") -> dict[str, str] | None:
    """Render an amount: minor units as a string of digits."""
    return None if amount is None else {"value": str(amount), "currency": currency or "VND"}


def instant(at: datetime | None) -> str | None:
    """Render an instant in UTC."""
    return None if at is None else clock.written(at)


def target_body(vault: Vault, keys: Keys, target: Mapping[str, Any]) -> dict[str, Any]:
    """Open a target for the participant that is asked to act on it."""
    tenant, row = target["tenant"], target["id"]
    body: dict[str, Any] = {
        "kind": str(target["kind"]),
        "value": vault.unseal(keys, "targets", row, tenant, target["value_sealed"]),
    }
    if target["holder_sealed"]:
        body["holder_name"] = vault.unseal(keys, "targets", row, tenant, target["holder_sealed"])
    for name in ("institution", "platform", "sha256", "perceptual_hash"):
        if target[name]:
            body[name] = target[name]
    return body


def order_body(
    vault: Vault,
    keys: Keys,
    *,
    request: Mapping[str, Any],
    case_number: str,
    agency: Mapping[str, Any],
    officer: Mapping[str, Any],
    second_officer: Mapping[str, Any] | None,
    target: Mapping[str, Any],
    order_id: UUID,
    participant_id: str,
    action: Action,
    sequence: int,
    amount: int | None,
    whole_account: bool,
    ends_at: datetime | None,
    deadlines: Iterable[tuple[Stage, datetime]],
    drill: bool,
    lifts: UUID | None = None,
    lifts_action: Action | None = None,
    extends: UUID | None = None,
    reason: str | None = None,
) -> dict[str, Any]:
    """Build the body of an order as ``openapi/participant.v1.json`` describes it.

    ``drill`` tells that this hub is a drill's: the body, which is what is signed, says then that it is an exercise.
    """
    body = {
        "order_id": str(order_id),
        "request_id": str(request["id"]),
        "reference": request["reference"],
        "case_number": case_number,
        "action": str(action),
        "sequence": sequence,
        "participant_id": participant_id,
        "urgency": str(request["urgency"]),
        "legal_basis": str(request["legal_basis"]),
        "agency": {"id": agency["id"], "name": agency["name_vi"]},
        "officer": {"rank": officer["rank"], "number": officer["number"]},
        "second_officer": dict(second_officer) if second_officer else None,
        "document": {
            "number": request["document_number"],
            "date": request["document_date"].isoformat(),
            "sha256": request["document_sha256"],
        },
        "target": target_body(vault, keys, target),
        "amount": money(amount, request["currency"]),
        "whole_account": whole_account,
        "measure": str(request["measure"]) if request["measure"] else None,
        "payment": _payment(vault, keys, request),
        "asked": request["asked"],
        "window": _window(request),
        "confidential": action in CONFIDENTIAL,
        "starts_at": instant(request["starts_at"]),
        "ends_at": instant(ends_at),
        "contact": json.loads(
            vault.unseal(keys, "requests", request["id"], request["tenant"], request["contact_sealed"])
        ),
        "lifts_order_id": str(lifts) if lifts else None,
        "lifts_action": str(lifts_action) if lifts_action else None,
        "extends_order_id": str(extends) if extends else None,
        "reason": reason,
        "deadlines": [{"stage": str(stage), "due_at": instant(due)} for stage, due in deadlines],
        "answer_url": f"/v1/orders/{order_id}/acknowledgements",
    }
    return marked(body, drill=drill)


def marked(body: dict[str, Any], *, drill: bool) -> dict[str, Any]:
    """Return a body that says that it is an exercise, where the hub is a drill's; a real one says nothing of it."""
    return body | {MARK: True} if drill else body


def is_marked(body: Mapping[str, Any]) -> bool:
    """Tell whether a body says that it is an exercise."""
    return body.get(MARK) is True


def _window(request: Mapping[str, Any]) -> dict[str, str | None] | None:
    if request["window_since"] is None:
        return None
    return {"since": instant(request["window_since"]), "until": instant(request["window_until"])}


def _payment(vault: Vault, keys: Keys, request: Mapping[str, Any]) -> dict[str, str] | None:
    sealed = request["payment_sealed"]
    if sealed is None:
        return None
    payment: dict[str, str] = json.loads(vault.unseal(keys, "requests", request["id"], request["tenant"], sealed))
    return payment
