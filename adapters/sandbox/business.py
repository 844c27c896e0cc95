"""The participant's half of ISO 20022: signed business messages come in, the bank's own go out."""

import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from joserfc.jwk import ECKey

from adapters.answers import Moved, Traced
from adapters.base import DeliveryFailed
from adapters.iso20022 import envelope, money, schemas, sign, terms, xml
from adapters.iso20022.envelope import Opened, Party
from adapters.iso20022.sign import SignatureInvalid, Signed
from adapters.iso20022.xml import Element, MessageRefused
from adapters.sandbox.behaviour import Mistake
from adapters.sandbox.events import Mistakes
from adapters.sandbox.hub import Hub
from adapters.sandbox.iso_bank import Bank
from adapters.sandbox.ledger import Order, demanded
from adapters.sandbox.signatures import HubKeys, SignatureRefused
from adapters.sandbox.speech import Heard, NotTaken
from adapters.transport import HubAnswer
from workflows.terms import Action, Outcome, Stage

DOOR = "/v1/iso20022"
_TYPE = "application/xml"
_REASONS, _RECALL_REASONS = "ExternalStatusReason1Code", "ExternalPaymentCancellationRejection1Code"
_OTHER = "NARR"
# Where each message says whom it is about, and how much.
_TARGETS: Mapping[str, tuple[str, ...]] = {
    schemas.FREEZE: ("RsvatnId/AcctId/Othr/Id",),
    schemas.EXTEND: ("RsvatnId/Cur/AcctId/Othr/Id",),
    schemas.LIFT: ("CurRsvatn/AcctId/Othr/Id",),
    schemas.READ_BACK: ("RsvatnQryDef/RsvatnCrit/NewCrit/SchCrit/AcctId/Othr/Id",),
    schemas.RECALL: ("Undrlyg/TxInf/OrgnlTxRef/CdtrAcct/Id/Othr/Id",),
    # It names the order alone.
    schemas.CONFIDENTIALITY: (),
    schemas.DISCLOSE: ("SchCrit/Acct/Id/Id/Othr/Id", "SchCrit/PmtInstrm/CardNb"),
}
_AMOUNTS: Mapping[str, str] = {
    schemas.FREEZE: "ValSet/Amt/AmtWthCcy",
    schemas.RECALL: "Undrlyg/TxInf/OrgnlIntrBkSttlmAmt",
}
_MESSAGES: Mapping[Action, str] = {
    Action.FREEZE: schemas.FREEZE,
    Action.EXTEND: schemas.EXTEND,
    Action.LIFT: schemas.LIFT,
    Action.RECALL: schemas.RECALL,
    Action.DISCLOSE: schemas.DISCLOSE,
    Action.TRACE: schemas.TRACE,
}


class Business:
    """Verifies the hub's XML signature, and signs with the participant's key; ``issuer`` is the hub's address."""

    def __init__(
        self,
        hub: Hub,
        keys: HubKeys,
        name: str,
        issuer: str,
        signing_key: Mapping[str, Any],
        mistakes: Mistakes = frozenset(),
    ) -> None:
        self._hub, self._keys, self._name, self._mistakes = hub, keys, name, mistakes
        key = ECKey.import_key(dict(signing_key))
        private: Any = key.private_key
        # No two lives of one bank may give two messages the same id.
        self._bank = Bank(private, key.thumbprint(), issuer, _now(), Party(name), uuid.uuid4().hex[:16])

    async def hear(self, headers: Mapping[str, str], content: bytes) -> list[Heard]:
        """Read one business message; raises ``NotTaken``."""
        try:
            opened = self._opened(content)
            if Mistake.TRUSTS_ORDERS not in self._mistakes:
                key: Any = (await self._keys.key(opened.signed.kid)).public_key
                opened.signed.verify(key)
            if _addressee(opened) not in (None, self._name):
                raise NotTaken(400, "malformed", "it is for another institution")
            order = read_order(opened)
            self._bank.drill = opened.drill
        except MessageRefused as refused:
            raise NotTaken(400, "malformed", str(refused)) from None
        except (SignatureInvalid, SignatureRefused) as invalid:
            raise NotTaken(401, "signature_refused", f"order.{invalid.reason}") from None
        except DeliveryFailed:
            # Nobody can tell yet whether it is the hub's order: it comes again.
            raise NotTaken(503) from None
        return [Heard(opened.id, opened.definition, order)]

    def _opened(self, content: bytes) -> Opened:
        try:
            return envelope.open_(content)
        except MessageRefused:
            if Mistake.READS_ANY_FORM not in self._mistakes:
                raise
        except SignatureInvalid:
            if Mistake.TRUSTS_ORDERS not in self._mistakes:
                raise
        return loosely_opened(content, self._mistakes)

    async def answer(self, order: Order, acknowledgement: Mapping[str, Any]) -> HubAnswer:
        """POST the business message that says it; raises ``DeliveryFailed``."""
        return await self._hub.send(DOOR, self.written(order, acknowledgement), media_type=_TYPE)

    def written(self, order: Order, acknowledgement: Mapping[str, Any]) -> bytes:
        """Return the signed message that says what an acknowledgement says."""
        bank, said = self._bank, acknowledgement
        bank.at = _now()
        reference, answers = terms.reference(order.id, order.sequence), _MESSAGES[order.action]
        match Outcome(said["outcome"]), order.action:
            case Outcome.RECEIVED, _:
                return bank.receipt(reference, "PDNG", answers=answers)
            case Outcome.NOT_MINE, _:
                return bank.receipt(reference, "RJCT", "AGNT", answers=answers, ported_to=said.get("ported_to"))
            case Outcome.REFUSED, Action.RECALL:
                return bank.resolution(order.id, "RJCR", reason=_code(_RECALL_REASONS, said["refusal_code"]))
            case Outcome.REFUSED, _:
                code = _code(_REASONS, said["refusal_code"])
                return bank.receipt(reference, "RJCT", code, answers=answers)
            case Outcome.LIFTED, Action.FREEZE:
                return bank.held(reference, 0, status="DELD")
            case _, Action.FREEZE:
                return bank.held(reference, int(said["amount_held"]["value"]))
            case _, Action.RECALL:
                return bank.resolution(order.id, "ACCR", int(said["amount_returned"]["value"]))
            case _, Action.DISCLOSE:
                return self._disclosed(order, said["disclosed"])
            case _, Action.TRACE:
                return bank.traced(order.id, traced(said["traced"]), account_number=order.target)
        return bank.receipt(reference, "CLSD", answers=answers)

    def _disclosed(self, order: Order, disclosed: Mapping[str, Any]) -> bytes:
        missing = None if disclosed else "NFOU"
        return self._bank.disclosed(order.id, missing, account_number=order.target, **plain(disclosed))


def loosely_opened(content: bytes, mistakes: Mistakes) -> Opened:
    """Read a message as no receiver should: whatever its namespace, or whatever its digest. Raises as a reader does."""
    root = xml.read(content)
    head, outer = list(root)
    signed = Signed("", content, b"", b"")
    if Mistake.TRUSTS_ORDERS not in mistakes:
        signed = sign.read(root, xml.inside(head, "Sgntr"))
    return Opened(xml.needed(head, "BizMsgIdr"), xml.needed(head, "MsgDefIdr"), "", _now(), outer[0], signed)


def plain(disclosed: Mapping[str, Any]) -> dict[str, str]:
    """Return disclosed data as texts: a paper is its kind, a blank and its number."""
    return {
        name: f"{value['kind']} {value['number']}" if isinstance(value, dict) else str(value)
        for name, value in disclosed.items()
    }


def traced(said: Mapping[str, Any]) -> Traced:
    """Return an acknowledgement's answer to a trace as a plain value."""
    lines = (
        Moved(
            direction=each["direction"],
            amount=(int(each["amount"]["value"]), each["amount"]["currency"]),
            at=each["at"],
            kind=each["kind"],
            counterparty=each.get("counterparty"),
        )
        for each in said["movements"]
    )
    return Traced(tuple(lines), said["has_more"])


def read_order(opened: Opened) -> Order | None:
    """Return the order of a message, ``None`` for one that orders nothing; raises ``MessageRefused``."""
    document = opened.document
    details = next(document.iter(f"{{{xml.ORDER}}}OrdrDtls"), None)
    if opened.definition not in _TARGETS or details is None:
        return None
    order_id = xml.needed(details, "OrdrId")
    targets = (xml.text(document, path) for path in _TARGETS[opened.definition])
    due = (
        xml.needed(each, "DueDtTm") for each in xml.every(details, "Ddln") if xml.needed(each, "Stg") == Stage.EXECUTE
    )
    try:
        return Order(
            id=order_id,
            reference=xml.needed(details, "Ref"),
            **demanded(xml.needed(details, "Actn")),
            target=next(filter(None, targets), ""),
            amount=None if xml.text(details, "WhlAcct") == "true" else _amount(document, opened.definition),
            ends_at=xml.text(details, "EndDtTm"),
            lifts=xml.text(details, "LftsOrdrId") or order_id,
            extends=xml.text(details, "XtndsOrdrId") or order_id,
            sequence=int(xml.needed(details, "Seq")),
            answer_url=DOOR,
            asked=tuple(each.text or "" for each in xml.every(details, "Askd")),
            window=_window(document),
            execute_by=next(due, None),
            drill=opened.drill,
        )
    except ValueError:
        raise MessageRefused("xml.value", "OrdrDtls") from None


def _window(document: Element) -> tuple[str, str] | None:
    period = xml.inside(document, "InvstgtnPrd/DtTm")
    return None if period is None else (xml.needed(period, "FrDtTm"), xml.needed(period, "ToDtTm"))


def _amount(document: Element, definition: str) -> int | None:
    path = _AMOUNTS.get(definition)
    found = None if path is None else xml.inside(document, path)
    if path is None or found is None:
        return None
    return money.read(found.text or "", found.get("Ccy") or "", path)[0]


def _addressee(opened: Opened) -> str | None:
    """Return whose id the message is addressed to, where the id is short enough to stand there."""
    head = xml.read(opened.signed.content)[0]
    return xml.text(head, "To/FIId/FinInstnId/Othr/Id") or opened.audience or None


def _code(name: str, word: str) -> str:
    """Return the first code of an external code set that means a refusal; else the one that means any other."""
    return next((code for code, meant in terms.table()[name].items() if meant == word), _OTHER)


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)
