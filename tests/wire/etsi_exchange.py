"""Orders and HI1 messages of both sides; run as a program it writes the golden files and the handbook anew."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from adapters.base import Message
from adapters.etsi import build, identifiers, instants, messages, showing, terms
from workflows.terms import DispatchKind

GOLDEN = Path(__file__).parent / "golden" / "etsi"
HUB, TELECOM = "https://hoatoc.example.vn", "viettel"
AT = datetime(2026, 11, 30, 1, 2, 3, 456789, tzinfo=UTC)
ORDER_ID, LIFT_ID = "01a20adb-90f7-720e-af80-55647164aef2", "01a20b00-1111-7222-8333-444455556666"
SIGNATURE = "e30..AA"

_BODY: dict[str, Any] = {
    "order_id": ORDER_ID,
    "request_id": "01a20adb-0000-7000-8000-000000000001",
    "reference": "HT-261130-RVRVKX",
    "case_number": "2026/PC02-0417",
    "action": "takedown",
    "sequence": 1,
    "participant_id": TELECOM,
    "urgency": "hoa_toc",
    "legal_basis": "decree_147",
    "agency": {"id": "pc02-79", "name": "Phòng Cảnh sát hình sự Công an Thành phố Hồ Chí Minh"},
    "officer": {"rank": "dai_uy", "number": "079-1201"},
    "document": {"number": "417/YC-PC02", "date": "2026-11-30", "sha256": "5e" * 32},
    "target": {"kind": "phone", "value": "+84900000123"},
    "amount": None,
    "whole_account": False,
    "measure": "suspend",
    "payment": None,
    "asked": None,
    "confidential": False,
    "starts_at": "2026-11-30T01:02:00.123456Z",
    "ends_at": "2026-12-07T01:02:00Z",
    "contact": {"name": "Trực ban PC02", "phone": "+842838387777", "email": None},
    "lifts_order_id": None,
    "lifts_action": None,
    "extends_order_id": None,
    "reason": None,
    "deadlines": [
        {"stage": "receipt", "due_at": "2026-11-30T01:03:03.456789Z"},
        {"stage": "execute", "due_at": "2026-11-30T03:02:03.456789Z"},
    ],
    "answer_url": f"/v1/orders/{ORDER_ID}/acknowledgements",
}


def body(action: str = "takedown", **changes: Any) -> dict[str, Any]:
    """The body of an order to a telecom; numbers, names and papers are made up."""
    by_action: dict[str, dict[str, Any]] = {
        "takedown": {},
        "preserve": {"measure": None, "legal_basis": "cpc_129", "second_officer": {"rank": "trung_ta", "number": "2"}},
        "disclose": {
            "measure": None,
            "asked": ["holder_name", "holder_document", "opened_on"],
            "confidential": True,
            "ends_at": None,
            "legal_basis": "cpc_129",
            "second_officer": {"rank": "trung_ta", "number": "079-0417"},
        },
        "lift": {
            "order_id": LIFT_ID,
            "measure": None,
            "lifts_order_id": ORDER_ID,
            "lifts_action": "takedown",
            "sequence": 2,
            "ends_at": None,
        },
        "extend": {"order_id": LIFT_ID, "measure": None, "extends_order_id": ORDER_ID, "sequence": 2},
    }
    return {**_BODY, "action": action, **by_action.get(action, {}), **changes}


def message(action: str = "takedown", **changes: Any) -> Message:
    """The message of such an order."""
    made = body(action, **changes)
    return Message(
        id="msg_" + "0123456789abcdef" * 2,
        type=f"vn.hoatoc.order.{action}",
        kind=DispatchKind.ORDER,
        subject=made["order_id"],
        occurred_at=AT,
        sequence=made["sequence"],
        body=made,
        signature=SIGNATURE,
    )


def answer(
    kind: str, status: str, reason: dict[str, Any] | None = None, order_id: str = ORDER_ID, **more: Any
) -> dict[str, Any]:
    """What a participant sends to say something of a task."""
    made = {
        "@xsi:type": kind,
        "ObjectIdentifier": ORDER_ID,
        "ExternalIdentifier": order_id,
        "task:Status": terms.entry(terms.STATUS[kind], status),
        **({"task:StatusReason": reason} if reason else {}),
        **more,
    }
    return asking({"UPDATE": {"HI1Object": made}})


def delivery(said: dict[str, str], order_id: str = ORDER_ID) -> dict[str, Any]:
    """What a participant delivers to a disclosure."""
    identifier = "7d2f1c70-3c51-4b60-9a53-2f0a3f5f9d10"
    made = {
        "@xsi:type": terms.DELIVERY,
        "ObjectIdentifier": identifier,
        "delivery:Reference": {"delivery:LDID": identifiers.disclosure(order_id)},
        "delivery:SequenceNumber": 0,
        "delivery:LastSequence": True,
        "delivery:Manifest": {"delivery:ExternalSchema": {"delivery:ManifestID": terms.MANIFEST}},
        "delivery:Delivery": {"delivery:JSONData": said},
    }
    return asking({"DELIVER": {"Identifier": identifier, "HI1Object": made}})


def asking(*actions: dict[str, Any], transaction: str = "3f0e0a5e-7b0c-4f3a-9d0f-2f6f6f0a1b2c") -> dict[str, Any]:
    """A request of the participant's."""
    at = "2026-11-30T01:05:00.000000Z"
    return messages.request(actions, sender=TELECOM, receiver=HUB, transaction=transaction, at=at)


def taken(request: dict[str, Any]) -> dict[str, Any]:
    """The response of a participant that takes every action."""
    actions = []
    for action in request["Payload"]["RequestPayload"]["ActionRequests"]["ActionRequest"]:
        verb = next(name for name in action if name != "ActionIdentifier")
        identifier = action[verb]["HI1Object"]["ObjectIdentifier"]
        actions.append({"ActionIdentifier": action["ActionIdentifier"], f"{verb}Response": {"Identifier": identifier}})
    header = request["Header"]
    return messages.response(
        actions,
        sender=header["ReceiverIdentifier"]["UniqueIdentifier"],
        receiver=header["SenderIdentifier"]["UniqueIdentifier"],
        transaction=header["TransactionIdentifier"],
        at="2026-11-30T01:02:03.900000Z",
    )


def answered(request: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    """The response of the hub to a participant's one action."""
    return messages.response(
        [{"ActionIdentifier": 0, **response}],
        sender=HUB,
        receiver=TELECOM,
        transaction=request["Header"]["TransactionIdentifier"],
        at=instants.microseconds(datetime(2026, 11, 30, 1, 5, 0, 250000, tzinfo=UTC)),
    )


def golden() -> dict[str, dict[str, Any]]:
    """Every golden file by its name."""
    found = {
        f"{action}.request": build.request(message(action), HUB)
        for action in ("takedown", "disclose", "preserve", "lift", "extend")
    }
    found |= {
        f"drill-{action}.request": build.request(message(action, drill=True), HUB)
        for action in ("takedown", "disclose", "preserve", "lift", "extend")
    }
    found["lift-by-the-hub.request"] = build.request(
        message("lift", order_id=ORDER_ID, measure="suspend", reason="end_reached", sequence=3), HUB
    )
    for action, state in (("takedown", "executed"), ("disclose", "acknowledged"), ("preserve", "lapsed")):
        shown = showing.find(build.order_of(message(action), HUB), UUID(ORDER_ID), state)
        asked = asking({"GET": {"Identifier": ORDER_ID}})
        found[f"{action}.{state}.response"] = answered(asked, {"GETResponse": {"HI1Object": shown}})
    found["takedown.response"] = taken(found["takedown.request"])
    found["takedown.received"] = answer(terms.TAKEDOWN, "Pending")
    found["takedown.resolved"] = answer(terms.TAKEDOWN, "Resolved")
    found["takedown.ported"] = answer(terms.TAKEDOWN, "Rejected", terms.reason(2005, "ported_to:452-02"))
    found["lift.resolved"] = answer(
        terms.TAKEDOWN,
        "Resolved",
        order_id=LIFT_ID,
        **{"task:DesiredStatus": terms.entry("TDTaskDesiredStatus", "Cancelled")},
    )
    found["preserve.preserved"] = answer(terms.PRESERVATION, "Preserved")
    found["disclose.delivered"] = delivery(
        {"holder_name": "NGUYEN VAN MAU", "holder_document": "national_id 079000000001", "opened_on": "2026-01-02"}
    )
    resolved = found["takedown.resolved"]
    found["takedown.resolved.response"] = answered(resolved, {"UPDATEResponse": {"Identifier": ORDER_ID}})
    found["takedown.unknown.response"] = answered(
        resolved, {"ErrorInformation": terms.reason(terms.Wrong.UNKNOWN_OBJECT, "object.unknown")}
    )
    config = asking({"GETCSPCONFIG": {}})
    found["config.request"], found["config.response"] = (
        config,
        answered(config, {"GETCSPCONFIGResponse": showing.config()}),
    )
    return found


def write() -> None:
    """Write the golden files, and the blocks of the handbook's page that show some of them."""
    made = {name: json.dumps(each, ensure_ascii=False, indent=2) for name, each in golden().items()}
    for name, text in made.items():
        (GOLDEN / f"{name}.json").write_text(f"{text}\n", "utf-8")
    page = Path(__file__).parents[2] / "service" / "handbook" / "en" / "etsi.md"
    shown = re.compile(r"(<!-- golden: (\S+) -->\n```json\n).*?(\n```)", re.DOTALL)
    page.write_text(shown.sub(lambda block: block[1] + made[block[2]] + block[3], page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    write()
