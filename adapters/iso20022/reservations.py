"""Orders about a hold: camt.103 makes it, camt.048 prolongs it, camt.049 deletes it, camt.046 asks for it."""

from collections.abc import Mapping
from typing import Any

from adapters.base import Message
from adapters.iso20022 import details, envelope, money, schemas, terms, xml
from adapters.iso20022.xml import Element

# A whole account: an amount is mandatory, and this is the largest that the element takes. A bank that reads nothing but
# the amount then holds everything that there is, which is what was ordered; zero would hold nothing.
WHOLE = "9" * 18


def freeze(message: Message) -> Element:
    """Return ``CretRsvatn`` of a freeze: reservation type BLKD, the amount and no more, the order's id as its own."""
    make, body = xml.Maker(xml.ISO + schemas.FREEZE), message.body
    return make(
        "CretRsvatn",
        _header(make, message),
        _reservation(make, "RsvatnId", body, body["order_id"]),
        make("ValSet", make("StartDtTm", make("DtTm", body["starts_at"])), _amount(make, body)),
        details.supplement(make, message),
    )


def extend(message: Message) -> Element:
    """Return ``ModfyRsvatn`` of an extension: the amount stays, the new end stands in the details."""
    make, body = xml.Maker(xml.ISO + schemas.EXTEND), message.body
    return make(
        "ModfyRsvatn",
        _header(make, message),
        make("RsvatnId", _reservation(make, "Cur", body, body["extends_order_id"])),
        make("NewRsvatnValSet", _amount(make, body)),
        details.supplement(make, message),
    )


def lift(message: Message) -> Element:
    """Return ``DelRsvatn`` of a lift, one that an agency asked for or one at the end of a hold."""
    make, body = xml.Maker(xml.ISO + schemas.LIFT), message.body
    return make(
        "DelRsvatn",
        _header(make, message),
        _reservation(make, "CurRsvatn", body, body["lifts_order_id"]),
        details.supplement(make, message),
    )


def read_back(message: Message) -> Element:
    """Return ``GetRsvatn`` that asks what is held on the account of an order."""
    make, body = xml.Maker(xml.ISO + schemas.READ_BACK), message.body
    criteria = make(
        "SchCrit",
        make("CurRsvatnTp", make("Cd", terms.BLOCKED)),
        _owner(make, body["target"]),
        make("AcctId", terms.account(make, body["target"])),
    )
    return make(
        "GetRsvatn",
        _header(make, message),
        make("RsvatnQryDef", make("QryTp", "ALLL"), make("RsvatnCrit", make("NewCrit", criteria))),
        details.supplement(make, message),
    )


def _header(make: xml.Maker, message: Message) -> Element:
    return make(
        "MsgHdr",
        make("MsgId", terms.reference(message.body["order_id"], message.sequence)),
        make("CreDtTm", envelope.instant(message.occurred_at)),
    )


def _reservation(make: xml.Maker, name: str, body: Mapping[str, Any], order_id: str) -> Element:
    return make(
        name,
        make("RsvatnId", terms.plain(order_id)),
        make("Tp", make("Cd", terms.BLOCKED)),
        _owner(make, body["target"]),
        make("AcctId", terms.account(make, body["target"])),
    )


def _owner(make: xml.Maker, target: Mapping[str, str]) -> Element | None:
    """Return who keeps the account, as the agency named it: the set was written for the accounts of institutions."""
    name = target.get("institution")
    return make("AcctOwnr", terms.named(make, name)) if name else None


def _amount(make: xml.Maker, body: Mapping[str, Any]) -> Element:
    amount = body["amount"]
    if amount is None:
        if not body["whole_account"]:
            raise ValueError("a hold has an amount")
        return make("Amt", make("AmtWthtCcy", WHOLE))
    value = money.written(int(amount["value"]), amount["currency"])
    return make("Amt", make("AmtWthCcy", value, Ccy=amount["currency"]))
