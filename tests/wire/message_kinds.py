"""Every kind of message that the contract promises, one whole message of each, and what of them a channel speaks."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import etsi_exchange
import iso_orders

from adapters.base import Message
from service import i18n
from workflows.terms import DispatchKind

OPENAPI = Path(__file__).parents[2] / "openapi"
CONTRACT: dict[str, Any] = json.loads((OPENAPI / "participant.v1.json").read_text("utf-8"))
AT = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
_ISO, _HOLD = iso_orders.ORDERS, iso_orders.HOLD
_STATUS = {
    "request_id": "01a20adb-0000-7000-8000-000000000001",
    "reference": "HT-261124-RVRVKX",
    "case_number": "2026/PC02-0417",
    "occurred_at": "2026-11-24T00:02:00.000000Z",
}


def events() -> dict[str, str]:
    """Return the schema of each kind of event that the contract names, by its type."""
    return dict(_named(CONTRACT["components"]["schemas"]))


def _named(schemas: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, schema in schemas.items():
        said = schema.get("properties", {}).get("type", {})
        for kind in said.get("enum", [said["const"]] if "const" in said else []):
            if str(kind).startswith("vn.hoatoc."):
                yield kind, name


def message(kind: str, subject: str, body: dict[str, Any]) -> Message:
    """Return a message that is no order."""
    return Message(
        id="msg_" + "a" * 32,
        type=f"vn.hoatoc.{kind}",
        kind=DispatchKind(kind.partition(".")[0]),
        subject=subject,
        occurred_at=AT,
        sequence=1,
        body=body,
    )


def notice(**body: Any) -> Message:
    """Return a rung of a ladder that calls somebody."""
    said = {
        "reference": "HT-261123-7K3MQ9",
        "participant": "Vietcombank",
        "participant_id": "vietcombank",
        "stage": "receipt",
        "due_at": "2026-11-23T01:01:03.000000Z",
        "rung": 1,
        "reach": "participant",
        "subject": "Lệnh HT-261123-7K3MQ9 quá hạn",
        "text": "Lệnh chưa được xác nhận.\nXin trả lời.\n",
    }
    return message("notice.escalation", "ntf_" + "b" * 32, {**said, **body})


def notice_of_a_drill() -> Message:
    """Return a rung of a ladder that calls somebody in an exercise, worded as the hub words it."""
    said = {"reference": "HT-261123-7K3MQ9", "participant": "Vietcombank", "stage": "receipt"}
    letters = [i18n.notice(1, "participant", lang, drill=True, due_at=AT, **said) for lang in i18n.LANGUAGES]
    return notice(subject=letters[0][0], text="\n\n".join(text for _, text in letters), drill=True)


def _of_telecom(action: str, **changes: Any) -> Message:
    """Return an order to a telecom, with a signature that has the form of one."""
    return replace(etsi_exchange.message(action, **changes), signature=iso_orders.JWS)


# By what each is called in the golden files of the channels that carry every kind.
ORDERS = {
    "freeze": _ISO["1-freeze.camt.103"],
    "freeze-whole-account": _ISO["2-freeze-whole-account.camt.103"],
    "extend": _ISO["3-extend.camt.048"],
    "lift": _ISO["4-lift.camt.049"],
    "lift-at-the-end": _ISO["5-lift-at-the-end.camt.049"],
    "read-back": _ISO["6-read-back.camt.046"],
    "recall": _ISO["7-recall.camt.056"],
    "disclose": _ISO["8-disclose.auth.001"],
    "trace": _ISO["11-trace.auth.001"],
    "silence-ended": _ISO["10-silence-ended.auth.003"],
    "takedown": _of_telecom("takedown"),
    "lift-takedown": _of_telecom("lift"),
    "preserve": _of_telecom("preserve"),
    "drill-freeze": _ISO["13-drill-freeze.camt.103"],
    "drill-disclose": _ISO["14-drill-disclose.auth.001"],
    "drill-takedown": _of_telecom("takedown", drill=True),
}
MESSAGES = {
    **ORDERS,
    "status-request": message(
        "status.request", _STATUS["request_id"], {**_STATUS, "fact": "request.activated", "state": "active"}
    ),
    "status-order": message(
        "status.order",
        _HOLD,
        {
            **_STATUS,
            "fact": "order.partly_executed",
            "state": "executed",
            "order_id": _HOLD,
            "participant_id": "vietcombank",
            "amount_held": {"value": "120000000", "currency": "VND"},
        },
    ),
    "notice": notice(),
    "drill-status-request": message(
        "status.request",
        _STATUS["request_id"],
        {**_STATUS, "fact": "request.activated", "state": "active", "drill": True},
    ),
    "drill-notice": notice_of_a_drill(),
}
# One of each kind, by its type; what a telecom gets is about what a telecom has.
OF_EACH = {message.type: message for message in reversed(MESSAGES.values())}
OF_EACH_TO_A_TELECOM = {
    **OF_EACH,
    **{
        each.type: each
        for each in map(
            etsi_exchange.message, ("takedown", "disclose", "preserve", "lift", "extend", "freeze", "recall", "trace")
        )
    },
}
