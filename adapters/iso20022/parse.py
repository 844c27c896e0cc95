"""What a bank answers: its message as the neutral answer, or the news that a message of ours could not be processed."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec

from adapters.answers import Answer, Traced
from adapters.iso20022 import details, envelope, money, schemas, terms, xml
from adapters.iso20022.envelope import Opened
from adapters.iso20022.sign import SignatureInvalid
from adapters.iso20022.xml import Element, MessageRefused

_STATUS = "ExternalInvestigationStatus1Code"
_REASON = "ExternalStatusReason1Code"
_RECALL_REASON = "ExternalPaymentCancellationRejection1Code"
_NOT_MINE = "not_mine"
# DEL and C1, what turns the reading direction (Unicode's Bidi_Control), line breaks that only some readers see, U+FEFF:
# what a person sees must be what the bank signed (UTS 55). The other controls are no XML.
_INVISIBLE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message of ours that a bank's system could not process: its ``BizMsgIdr``, and the bank's own reason."""

    message_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Received:
    """What a bank's message says, whole and valid, and not yet proved: nothing may follow before ``verify``.

    ``id`` is the message's own, ``kid`` the key it names, ``audience`` the address of the hub that it is for,
    ``signed_at`` its aware instant, ``drill`` whether it says that it is an exercise. Exactly one of ``answer`` and
    ``rejected`` is there.
    """

    id: str
    definition: str
    kid: str
    audience: str
    signed_at: datetime
    answer: Answer | None
    rejected: Rejected | None
    drill: bool
    _opened: Opened

    def verify(self, public: ec.EllipticCurvePublicKey) -> None:
        """Return if this key signed the message. Raises SignatureInvalid ``invalid``."""
        self._opened.signed.verify(public)


def read(raw: bytes) -> Received:
    """Read a bank's message. Raises MessageRefused and SignatureInvalid; what is refused has no effect."""
    opened = envelope.open_(raw)
    # In the canonical form a character stands as itself, however it was written.
    if _INVISIBLE.search(opened.signed.content.decode()):
        raise MessageRefused("xml.not_plain")
    if opened.definition not in _READERS:
        raise MessageRefused("xml.message", "AppHdr/MsgDefIdr")
    found = _READERS[opened.definition](opened.document)
    return Received(
        id=opened.id,
        definition=opened.definition,
        kid=opened.signed.kid,
        audience=opened.audience,
        signed_at=opened.signed_at,
        answer=found if isinstance(found, Answer) else None,
        rejected=found if isinstance(found, Rejected) else None,
        drill=opened.drill,
        _opened=opened,
    )


def key_of(text: str) -> str | None:
    """Return the id of the key that a message names, without trusting it; None for what is no message of a bank."""
    try:
        return read(text.encode()).kid
    except (MessageRefused, SignatureInvalid):
        return None


def _receipt(document: Element) -> Answer:
    """camt.025: received (PDNG), done (CLSD: executed, or of a camt.049 lifted), or refused with a reason (RJCT)."""
    receipt = _only(document, "RctDtls")
    order_id = terms.order_of(xml.needed(receipt, "OrgnlMsgId/MsgId"), "RctDtls/OrgnlMsgId/MsgId")
    handling = _only(receipt, "ReqHdlg")
    said = terms.word(_STATUS, xml.needed(handling, "Sts/Prtry"), "ReqHdlg/Sts/Prtry")
    more = details.of_answer(xml.inside(document, "SplmtryData/Envlp"))
    if more.disclosed or more.movements is not None or (more.ported_to and said != "refused"):
        raise MessageRefused("xml.value", "SplmtryData/Envlp")
    if said == "refused":
        code = terms.word(_REASON, xml.needed(handling, "StsRsn/Rsn/Cd"), "StsRsn/Rsn/Cd")
        return _refused(order_id, code, more.ported_to)
    if xml.inside(handling, "StsRsn") is not None:
        raise MessageRefused("xml.value", "ReqHdlg/StsRsn")
    if said != "done":
        return Answer(order_id, said)
    # The hub's own lift at the end of a hold is about the hold's order: what was done must say itself which it is.
    answers = xml.needed(receipt, "OrgnlMsgId/MsgNmId")
    if answers not in schemas.SENT:
        raise MessageRefused("xml.value", "RctDtls/OrgnlMsgId/MsgNmId")
    return Answer(order_id, "lifted" if answers == schemas.LIFT else "executed")


def _reservation(document: Element) -> Answer:
    """camt.047: what is held now (BLKD), nothing any more (DELD), or why there is nothing (BizErr)."""
    asked = xml.needed(document, "MsgHdr/OrgnlBizQry/MsgId")
    order_id = terms.order_of(asked, "MsgHdr/OrgnlBizQry/MsgId")
    report = _only(document, "RptOrErr/BizRpt/CurRsvatn")
    if xml.inside(document, "RptOrErr/BizRpt/DfltRsvatn") is not None:
        raise MessageRefused("xml.value", "BizRpt/DfltRsvatn")
    if xml.text(report, "RsvatnId/Tp/Cd") != terms.BLOCKED:
        raise MessageRefused("xml.value", "RsvatnId/Tp/Cd")
    error = xml.inside(report, "RsvatnOrErr/BizErr")
    if error is not None:
        place = "BizErr/Err/Prtry"
        return _refused(order_id, terms.word(_REASON, xml.needed(error, "Err/Prtry"), place), None)
    held = _only(report, "RsvatnOrErr/Rsvatn")
    match xml.text(held, "Sts/Cd"):
        case "BLKD":
            return Answer(order_id, "executed", amount=_amount(held, "Amt/AmtWthCcy"))
        case "DELD":
            return Answer(order_id, "lifted")
        case "REQD":
            return Answer(order_id, "received")
        case _:
            raise MessageRefused("xml.code", "Rsvatn/Sts/Cd")


def _resolution(document: Element) -> Answer:
    """camt.029: the money went back (ACCR, with the amount), is on its way (PDCR), or stays (RJCR, with a reason)."""
    order_id = terms.order_of(xml.needed(document, "RslvdCase/Id"), "RslvdCase/Id")
    status = _only(document, "CxlDtls/TxInfAndSts")
    match xml.text(status, "TxCxlSts"):
        case "ACCR":
            amount = _amount(status, "RsltnRltdInf/IntrBkSttlmAmt")
            return Answer(order_id, "executed", amount=amount)
        case "PDCR":
            return Answer(order_id, "received")
        case "RJCR":
            code = xml.needed(_only(status, "CxlStsRsnInf"), "Rsn/Cd")
            return _refused(order_id, terms.word(_RECALL_REASON, code, "CxlStsRsnInf/Rsn/Cd"), None)
        case _:
            raise MessageRefused("xml.value", "TxInfAndSts/TxCxlSts")


def _disclosed(document: Element) -> Answer:
    """auth.002: what was asked (COMP, or PART of it), or that there is no such account (NRES with NFOU).

    Of a trace PART says that more moved than is listed.
    """
    order_id = terms.order_of(xml.needed(document, "InvstgtnId"), "InvstgtnId")
    found = _only(document, "RtrInd")
    missing = xml.text(found, "InvstgtnRslt/InvstgtnSts")
    if xml.text(document, "RspnSts") == "NRES":
        codes = {"NFOU": "target_not_found", "NOAP": "not_feasible"}
        if missing not in codes:
            raise MessageRefused("xml.code", "InvstgtnRslt/InvstgtnSts")
        return Answer(order_id, "refused", refusal_code=codes[missing])
    if missing is not None:
        raise MessageRefused("xml.value", "InvstgtnRslt/InvstgtnSts")
    said = details.of_answer(xml.inside(found, "InvstgtnRslt/Rslt"))
    if said.ported_to or bool(said.disclosed) == (said.movements is not None):
        raise MessageRefused("xml.value", "AnswrDtls/Dscld")
    if said.movements is not None:
        traced = Traced(said.movements, has_more=xml.text(document, "RspnSts") == "PART")
        return Answer(order_id, "executed", traced=traced)
    return Answer(order_id, "executed", disclosed=said.disclosed)


def _rejected(document: Element) -> Rejected:
    """admi.002: a message of ours could not be processed at all."""
    return Rejected(xml.needed(document, "RltdRef/Ref"), xml.needed(document, "Rsn/RjctgPtyRsn"))


_READERS: Mapping[str, Callable[[Element], Answer | Rejected]] = {
    schemas.RECEIPT: _receipt,
    schemas.RESERVATION: _reservation,
    schemas.RESOLUTION: _resolution,
    schemas.DISCLOSED: _disclosed,
    schemas.REJECT: _rejected,
}


def _refused(order_id: str, code: str, ported_to: str | None) -> Answer:
    if code == _NOT_MINE:
        return Answer(order_id, _NOT_MINE, ported_to=ported_to)
    if ported_to is not None:
        raise MessageRefused("xml.value", "AnswrDtls/PrtdTo")
    return Answer(order_id, "refused", refusal_code=code)


def _only(element: Element, path: str) -> Element:
    """Return the one element at a path: of two, nobody could say which counts. Raises MessageRefused ``xml.value``."""
    found = list(xml.every(element, path))
    if len(found) != 1:
        raise MessageRefused("xml.value", path)
    return found[0]


def _amount(element: Element, path: str) -> tuple[int, str]:
    found = _only(element, path)
    return money.read(found.text or "", found.get("Ccy") or "", path)
