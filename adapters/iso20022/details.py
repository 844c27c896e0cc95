"""What an order says that its message has no element for: the content of ``SplmtryData``, by a schema of our own."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import rfc8785

from adapters.answers import Moved
from adapters.base import Message
from adapters.iso20022 import money, schemas, xml
from adapters.iso20022.xml import Element, MessageRefused

_make = xml.Maker(xml.ORDER)
# Seen from the account that is traced: what was credited to it came in.
_DIRECTIONS = {"CRDT": "in", "DBIT": "out"}
_COUNTERPARTY = {"kind": "Tp", "value": "Id", "institution": "Svcr"}


def supplement(make: xml.Maker, message: Message) -> Element:
    """Return ``SplmtryData`` with case, paper, basis, end, clocks, the order's digest and the hub's detached signature.

    Raises ValueError, KeyError or TypeError for a body that is no order.
    """
    body = message.body
    made = _make(
        "OrdrDtls",
        _make("Drll", "true") if body.get("drill") is True else None,
        _make("OrdrId", body["order_id"]),
        _make("ReqId", body["request_id"]),
        _make("Ref", body["reference"]),
        _make("CaseNb", body["case_number"]),
        _make("Actn", body["action"]),
        _make("Seq", str(message.sequence)),
        _make("Urgcy", body["urgency"]),
        _make("LglBsis", body["legal_basis"]),
        _make("Agcy", _make("Id", body["agency"]["id"]), _make("Nm", body["agency"]["name"])),
        _make("Offcr", _make("Rank", body["officer"]["rank"]), _make("Nb", body["officer"]["number"])),
        _paper(body["document"]),
        _optional("HldrNm", body["target"].get("holder_name")),
        _make("WhlAcct", "true" if body["whole_account"] else "false"),
        _make("StartDtTm", body["starts_at"]),
        _optional("EndDtTm", body["ends_at"]),
        _contact(body["contact"]),
        _optional("LftsOrdrId", body.get("lifts_order_id")),
        _optional("XtndsOrdrId", body.get("extends_order_id")),
        _optional("Rsn", body.get("reason")),
        *(_make("Askd", code) for code in body.get("asked") or ()),
        *(_make("Ddln", _make("Stg", each["stage"]), _make("DueDtTm", each["due_at"])) for each in body["deadlines"]),
        _make("Sha256", hashlib.sha256(rfc8785.dumps(dict(body))).hexdigest()),
        _optional("Jws", message.signature),
    )
    try:
        schemas.check(made, schemas.DETAILS)
    except MessageRefused as refused:
        raise ValueError(str(refused)) from None
    return make("SplmtryData", make("Envlp", made))


@dataclass(frozen=True, slots=True)
class Details:
    """What ``AnswrDtls`` say: who has the account now, what was disclosed, and what moved; None for no list at all."""

    ported_to: str | None = None
    disclosed: Mapping[str, str] = field(default_factory=dict)
    movements: tuple[Moved, ...] | None = None


def of_answer(envelope: Element | None) -> Details:
    """Return what an envelope's ``AnswrDtls`` say.

    Raises MessageRefused for an envelope with something else in it, for a datum that comes twice, and for a movement
    that says half of where the money went.
    """
    if envelope is None:
        return Details()
    made = envelope[0]
    if made.tag != f"{{{xml.ORDER}}}AnswrDtls":
        raise MessageRefused("xml.value", "SplmtryData/Envlp")
    schemas.check(made, schemas.DETAILS)
    said = [(each.get("Cd"), each.text or "") for each in xml.every(made, "Dscld")]
    if len(dict(said)) != len(said):
        raise MessageRefused("xml.value", "AnswrDtls/Dscld")
    moved = xml.inside(made, "Mvmts")
    movements = None if moved is None else tuple(map(_moved, xml.every(moved, "Mvmt")))
    return Details(xml.text(made, "PrtdTo"), dict(said), movements)


def _moved(line: Element) -> Moved:
    amount = money.read(line.get("Amt"), line.get("Ccy"), "AnswrDtls/Mvmts/Mvmt/@Amt")
    other = {member: line.get(name) for member, name in _COUNTERPARTY.items() if line.get(name) is not None}
    if other and len(other) != len(_COUNTERPARTY):
        raise MessageRefused("xml.value", "AnswrDtls/Mvmts/Mvmt")
    return Moved(
        direction=_DIRECTIONS[line.get("CdtDbtInd")],
        amount=amount,
        at=line.get("BookgDtTm"),
        kind=line.get("Knd"),
        counterparty=other or None,
    )


def _optional(name: str, value: str | None) -> Element | None:
    return None if value is None else _make(name, value)


def _paper(document: Mapping[str, Any]) -> Element:
    return _make(
        "Doc", _make("Nb", document["number"]), _make("Dt", document["date"]), _make("Sha256", document["sha256"])
    )


def _contact(contact: Mapping[str, Any]) -> Element:
    return _make(
        "Ctct",
        _make("Nm", contact["name"]),
        _make("PhneNb", contact["phone"]),
        _optional("EmailAdr", contact.get("email")),
    )
