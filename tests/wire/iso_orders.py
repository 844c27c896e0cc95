"""Orders for the tests of the ISO 20022 adapter, as the hub places them; names and numbers are made up."""

from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from adapters.base import Message
from workflows.terms import DispatchKind

HUB = "https://hub.example"
AT = datetime(2026, 11, 24, 0, 1, 31, tzinfo=UTC)
# Fixed, and nobody's: golden files need a key that everybody has.
HUB_KEY = ec.derive_private_key(0x1F0E2D3C4B5A69788796A5B4C3D2E1F00112233445566778899AABBCCDDEEFF0, ec.SECP256R1())
BANK_KEY = ec.derive_private_key(0x2A1B2C3D4E5F60718293A4B5C6D7E8F9010203040506070809101112131415FF, ec.SECP256R1())
HUB_KID, BANK_KID = "hub-key-of-the-examples", "bank-key-of-the-examples"
HOLD = "01a20adb-90f7-720e-af80-55647164aef2"
# The form of a detached JWS; what it says is tested where it is made.
JWS = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImhvYXRvYy1vcmRlcitqd3MifQ.." + "A" * 86


def body(action: str, **changes: Any) -> dict[str, Any]:
    """Return the body of an order."""
    order_id = changes.get("order_id", HOLD)
    return {
        "order_id": HOLD,
        "request_id": "01a20adb-0000-7000-8000-000000000001",
        "reference": "HT-261124-RVRVKX",
        "case_number": "2026/PC02-0417",
        "action": action,
        "sequence": 1,
        "participant_id": "vietcombank",
        "urgency": "hoa_toc",
        "legal_basis": "decree_52_11",
        "agency": {"id": "pc02-79", "name": "Phòng Cảnh sát hình sự, Công an TP. Hồ Chí Minh"},
        "officer": {"rank": "dai_uy", "number": "079-1201"},
        "second_officer": {"rank": "thieu_ta", "number": "079-0417"},
        "document": {"number": "417/YC-PC02", "date": "2026-11-24", "sha256": "5e" * 32},
        "target": {
            "kind": "account",
            "institution": "970436",
            "value": "9990000012345",
            "holder_name": "NGUYEN VAN MAU",
        },
        "amount": {"value": "150000000", "currency": "VND"},
        "whole_account": False,
        "measure": None,
        "payment": None,
        "asked": None,
        "confidential": False,
        "starts_at": "2026-11-24T00:01:31.371943Z",
        "ends_at": "2026-11-27T00:01:31.371943Z",
        "contact": {"name": "Trực ban PC02", "phone": "+842838387777"},
        "lifts_order_id": None,
        "lifts_action": None,
        "extends_order_id": None,
        "reason": None,
        "deadlines": [{"stage": "execute", "due_at": "2026-11-24T00:11:31Z"}],
        "answer_url": f"/v1/orders/{order_id}/acknowledgements",
        **changes,
    }


def message(action: str, number: int, **changes: Any) -> Message:
    """Return the message of an order; ``number`` tells it and its sequence from the others."""
    made = body(action, sequence=number, **changes)
    return Message(
        id=f"msg_{number:032x}",
        type=f"vn.hoatoc.order.{action}",
        kind=DispatchKind.ORDER,
        subject=made["order_id"],
        occurred_at=AT,
        sequence=number,
        body=made,
        signature=JWS,
    )


def order_id(number: int) -> str:
    """Return the id of one more order."""
    return f"01a20adb-90f7-720e-af80-{number:012x}"


PAYMENT = {"reference": "FT26328000417", "sent_on": "2026-11-23", "sender": "TCBVVNVX", "end_to_end_id": "E2E-0417"}
ASKED = ["holder_name", "holder_document", "holder_birth_date", "contact_phone", "opened_on", "state"]
WINDOW = {"since": "2026-11-23T00:00:00Z", "until": "2026-11-24T00:00:00Z"}
TRACED = {"window": WINDOW, "confidential": True, "amount": None, "legal_basis": "cpc_88"}

# One of each message that the hub sends, by the name of its golden file.
ORDERS = {
    "1-freeze.camt.103": message("freeze", 1),
    "2-freeze-whole-account.camt.103": message(
        "freeze", 2, order_id=order_id(2), amount=None, whole_account=True, ends_at="2026-11-25T00:01:31Z"
    ),
    "3-extend.camt.048": message(
        "extend", 3, order_id=order_id(3), extends_order_id=HOLD, ends_at="2026-12-01T00:01:31.371943Z"
    ),
    "4-lift.camt.049": message("lift", 4, order_id=order_id(4), lifts_order_id=HOLD, lifts_action="freeze"),
    "5-lift-at-the-end.camt.049": message("lift", 5, lifts_order_id=HOLD, lifts_action="freeze", reason="end_reached"),
    "6-read-back.camt.046": message("read_back", 6, deadlines=[]),
    "7-recall.camt.056": message("recall", 7, order_id=order_id(7), payment=PAYMENT, legal_basis="cpc_88"),
    "8-disclose.auth.001": message("disclose", 8, order_id=order_id(8), asked=ASKED, confidential=True, amount=None),
    "9-disclose-card.auth.001": message(
        "disclose",
        9,
        order_id=order_id(9),
        asked=["holder_name"],
        confidential=True,
        amount=None,
        target={"kind": "card", "value": "9704360000000000018", "institution": "VIETCOMBANK"},
    ),
    "10-silence-ended.auth.003": message(
        "silence_ended",
        10,
        order_id=order_id(8),
        asked=["holder_name"],
        confidential=False,
        amount=None,
        deadlines=[],
        reason="proceedings_ended",
    ),
    "11-trace.auth.001": message("trace", 11, order_id=order_id(11), **TRACED),
    "12-trace-card.auth.001": message(
        "trace",
        12,
        order_id=order_id(12),
        target={"kind": "card", "value": "9704360000000000018", "institution": "VIETCOMBANK"},
        **TRACED,
    ),
    "13-drill-freeze.camt.103": message("freeze", 13, order_id=order_id(13), drill=True),
    "14-drill-disclose.auth.001": message(
        "disclose", 14, order_id=order_id(14), asked=ASKED, confidential=True, amount=None, drill=True
    ),
}
