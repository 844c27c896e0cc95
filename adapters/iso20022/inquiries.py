"""Orders that hold nothing: camt.056 recalls a payment, auth.001 asks about an account, auth.003 ends the silence."""

from collections.abc import Mapping
from typing import Any

from adapters.base import Message
from adapters.iso20022 import details, envelope, money, schemas, terms, xml
from adapters.iso20022.xml import Element


def recall(message: Message, hub: str) -> Element:
    """Return ``FIToFIPmtCxlReq`` of a recall: reason FRAD, the payment as the agency named it, the amount asked for.

    ``hub`` is the hub's address: it is who assigns the case.
    """
    make, body, payment = xml.Maker(xml.ISO + schemas.RECALL), message.body, message.body["payment"]
    name = terms.reference(body["order_id"], message.sequence)
    amount = body["amount"]
    return make(
        "FIToFIPmtCxlReq",
        make(
            "Assgnmt",
            make("Id", name),
            make("Assgnr", _hub(make, hub)),
            make("Assgne", make("Agt", _bank(make, body))),
            make("CreDtTm", envelope.instant(message.occurred_at)),
        ),
        make("Case", make("Id", terms.plain(body["order_id"])), make("Cretr", _hub(make, hub))),
        make(
            "Undrlyg",
            make(
                "TxInf",
                make("CxlId", name),
                make("OrgnlEndToEndId", payment["end_to_end_id"]) if payment.get("end_to_end_id") else None,
                make("OrgnlTxId", payment["reference"]),
                make(
                    "OrgnlIntrBkSttlmAmt",
                    money.written(int(amount["value"]), amount["currency"]),
                    Ccy=amount["currency"],
                ),
                make("OrgnlIntrBkSttlmDt", payment["sent_on"]),
                make("Assgnr", terms.named(make, payment["sender"])),
                make("CxlRsnInf", make("Rsn", make("Cd", terms.FRAUD))),
                make(
                    "OrgnlTxRef",
                    make("CdtrAgt", _bank(make, body)),
                    make("CdtrAcct", make("Id", terms.account(make, body["target"]))),
                ),
            ),
        ),
        details.supplement(make, message),
    )


def disclose(message: Message) -> Element:
    """Return ``InfReqOpng`` of a disclosure: whose account it is; confidential where the order says so.

    The period is that of the order: asked for is what is known today. What exactly is asked stands in the details.
    """
    make, body = xml.Maker(xml.ISO + schemas.DISCLOSE), message.body
    return _inquiry(make, message, _period(make, body["starts_at"], body["ends_at"] or body["starts_at"]), "OWNE")


def trace(message: Message) -> Element:
    """Return ``InfReqOpng`` of a trace: what moved in the window, whoever was on the other side.

    The same inquiry as a disclosure's, and told from it by two things: the period is the window that was asked about,
    and the investigated parties are all of a movement, not the owner alone.
    """
    make, window = xml.Maker(xml.ISO + schemas.TRACE), message.body["window"]
    return _inquiry(make, message, _period(make, window["since"], window["until"]), "ALLP")


def _inquiry(make: xml.Maker, message: Message, period: Element, parties: str) -> Element:
    body = message.body
    target, kind = body["target"], make("AuthrtyReqTp", make("MsgNmId", schemas.DISCLOSED))
    due = max((each["due_at"] for each in body["deadlines"]), default=None)
    if target["kind"] == "card":
        searched = make("PmtInstrm", make("CardNb", target["value"]), kind)
    else:
        keeper = target.get("institution")
        served = make("Svcr", terms.named(make, keeper)) if keeper else None
        found = make("Id", make("Id", terms.account(make, target)), served)
        searched = make("Acct", found, make("InvstgtdPties", make("Cd", parties)), kind)
    return make(
        "InfReqOpng",
        make("InvstgtnId", terms.plain(body["order_id"])),
        make("LglMndtBsis", make("Prgrph", body["legal_basis"])),
        make("CnfdtltySts", _yes_no(body)),
        make("DueDt", make("DueDt", due[:10]), make("AddtlInf", due)) if due else None,
        make("InvstgtnPrd", period),
        make("SchCrit", searched),
        details.supplement(make, message),
    )


def confidentiality(message: Message) -> Element:
    """Return ``InfReqStsChngNtfctn``: whether the holder may learn of the order now."""
    make, body = xml.Maker(xml.ISO + schemas.CONFIDENTIALITY), message.body
    return make(
        "InfReqStsChngNtfctn",
        make("OrgnlBizQry", terms.plain(body["order_id"])),
        make("CnfdtltySts", _yes_no(body)),
        details.supplement(make, message),
    )


def _yes_no(body: Mapping[str, Any]) -> str:
    return "true" if body["confidential"] else "false"


def _period(make: xml.Maker, start: str, end: str) -> Element:
    return make("DtTm", make("FrDtTm", start), make("ToDtTm", end))


def _hub(make: xml.Maker, hub: str) -> Element:
    named = make("Othr", make("Id", hub), make("SchmeNm", make("Prtry", terms.SCHEME)))
    return make("Pty", make("Id", make("OrgId", named)))


def _bank(make: xml.Maker, body: Mapping[str, Any]) -> Element:
    name = body["target"].get("institution")
    return terms.named(make, name) if name else terms.institution(make, member=body["participant_id"])
