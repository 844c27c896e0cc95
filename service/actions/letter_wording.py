"""Words an order's letter: each member of the order's body in a line, in one language, and the files for machines."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from adapters.letter.page import File, Letter, Line, Signer
from service import canonical_json, i18n
from service.i18n import formats, spelling
from workflows import trace
from workflows.terms import Action, OrderState
from workflows.working_hours import VIETNAM

_ENDS_BY_ITSELF = frozenset({Action.FREEZE, Action.EXTEND, Action.PRESERVE})


@dataclass(frozen=True, slots=True)
class Over:
    """How an order ended, and when it was looked at."""

    state: OrderState
    at: datetime


@dataclass(frozen=True, slots=True)
class Wording:
    """How one order is worded: the language, the participant's full name, where the hub publishes its keys.

    ``kid`` is the key of the hub's signature over the order.
    """

    lang: str
    participant: str
    address: str
    kid: str

    def letter(self, body: Mapping[str, Any], signature: str, sent_at: datetime, over: Over | None = None) -> Letter:
        """Return the letter of an order from its body as it was sent at ``sent_at`` and the hub's detached JWS over it.

        ``over`` is how it ended, where nobody is to carry it out any more.
        """
        content = canonical_json.dumps(dict(body))
        day = sent_at.astimezone(VIETNAM).date()
        action, agency = body["action"], body["agency"]["name"]
        number = f"{body['reference']}/{body['sequence']}"
        return Letter(
            lang=self.lang,
            agency=agency,
            number=number,
            number_line=self._say("number", number=number),
            nation=self._say("nation"),
            motto=self._say("motto"),
            day=day,
            dated=self._say("dated", day=_padded(day.day, 9), month=_padded(day.month, 2), year=day.year),
            urgency=self._term("urgency", body["urgency"]),
            void=self._say("void", state=over.state, at=over.at) if over else "",
            title=self._say("title"),
            about=self._say(f"about.{action}", kind=self._term("target_kind", body["target"]["kind"])),
            addressed=self._say("addressed", participant=self.participant),
            grounds=(
                self._say("ground.law", legal_basis=body["legal_basis"]),
                self._say(
                    "ground.paper",
                    number=body["document"]["number"],
                    date=_day(body["document"]["date"]),
                    agency=agency,
                    case_number=body["case_number"],
                ),
            ),
            demand=self._say(f"demand.{action}", agency=agency, most=trace.MOST_MOVEMENTS),
            lines=tuple(self._lines(body)),
            passages=tuple(self._passages(body)),
            copies_to=self._say("copies_to"),
            copies=(
                self._say("copies.addressee"),
                self._say("copies.agency", agency=agency),
                self._say("copies.file", reference=body["reference"]),
            ),
            signers=tuple(self._signers(body)),
            drill=i18n.text("drill.mark", self.lang) if body.get("drill") else "",
            drill_note=i18n.text("drill.letter", self.lang) if body.get("drill") else "",
            code=_for_a_scanner(body, content),
            code_alt=self._say("code_alt"),
            machine=(
                self._say("machine.code"),
                self._say("machine.files", kid=self.kid),
                self._say("machine.digest", digest=hashlib.sha256(content).hexdigest()),
                self._say("machine.document", digest=body["document"]["sha256"]),
                self._say("machine.seal", address=self.address),
            ),
            files=(
                File("order.json", content.decode(), "application/json", self._say("machine.order_file"), "source"),
                File("order.jws", signature, "application/jose", self._say("machine.signature_file"), "supplement"),
            ),
        )

    def reason(self, body: Mapping[str, Any]) -> str:
        """Return why the letter was sealed, as a reader of the file shows it."""
        return self._say("machine.reason", order=body["order_id"])

    def _lines(self, body: Mapping[str, Any]) -> Iterator[Line]:
        target, amount = body["target"], body.get("amount")
        yield Line(
            i18n.sentence_case(self._term("target_kind", target["kind"])), target["value"], strong=True, is_code=True
        )
        for name, key in (("institution", "institution"), ("platform", "platform"), ("holder_name", "holder")):
            if target.get(name):
                yield Line(self._say(f"field.{key}"), target[name])
        if amount is not None:
            words = i18n.sentence_case(spelling.amount_in_words(int(amount["value"]), self.lang))
            yield Line(self._say("field.amount"), formats.money(amount), (words,), strong=True)
        if body.get("whole_account"):
            yield Line(self._say("field.whole_account"), self._say("field.whole_account_text"), strong=True)
        if body.get("measure"):
            yield Line(self._say("field.measure"), i18n.sentence_case(self._term("measure", body["measure"])))
        if payment := body.get("payment"):
            told = self._say("field.payment_text", **{**payment, "sent_on": _day(payment["sent_on"])})
            more = payment.get("end_to_end_id")
            yield Line(self._say("field.payment"), told, (more,) if more else ())
        if body.get("asked"):
            yield Line(self._say("field.asked"), ", ".join(self._term("datum", each) for each in body["asked"]))
        if window := body.get("window"):
            yield Line(self._say("field.window"), self._say("field.window_text", **window), strong=True)
        starts = self._say("field.starts", at=body["starts_at"])
        if body.get("ends_at"):
            yield Line(self._say("field.ends"), formats.instant(body["ends_at"]), (starts,), strong=True)
        else:
            yield Line(self._say("field.since"), formats.instant(body["starts_at"]))
        if clocks := [
            i18n.sentence_case(self._say("clock", stage=clock["stage"], due_at=clock["due_at"]))
            for clock in body["deadlines"]
        ]:
            yield Line(self._say("field.deadlines"), clocks[0], tuple(clocks[1:]))
        if body.get("reason"):
            yield Line(self._say("field.reason"), body["reason"])
        yield Line(self._say("field.order"), body["order_id"], is_code=True)
        for name, key in (("lifts_order_id", "related_lift"), ("extends_order_id", "related_extend")):
            if body.get(name):
                yield Line(self._say(f"field.{key}"), body[name], is_code=True)
        for name in ("sha256", "perceptual_hash"):
            if target.get(name):
                yield Line(self._say(f"field.{name}"), target[name], is_code=True)

    def _passages(self, body: Mapping[str, Any]) -> Iterator[str]:
        if body.get("confidential"):
            yield self._say("passage.confidential")
        yield self._say("passage.answer")
        if body["action"] in _ENDS_BY_ITSELF:
            yield self._say("passage.end")
        yield self._say("passage.contact", **body["contact"])

    def _signers(self, body: Mapping[str, Any]) -> Iterator[Signer]:
        for name in ("officer", "second_officer"):
            if body.get(name):
                yield Signer(self._say(f"signer.{name}"), self._say("signer.name", **body[name]))

    def _say(self, key: str, **params: Any) -> str:
        return i18n.text(f"letters.{key}", self.lang, **params)

    def _term(self, group: str, code: str) -> str:
        return i18n.texts(self.lang)[f"terms.{group}.{code}"]


def _for_a_scanner(body: Mapping[str, Any], content: bytes) -> str:
    """Return what nobody must copy by hand, in one line of JSON; the digest ties it to the attached order."""
    told = {
        "hoatoc": 1,
        "drill": body.get("drill"),
        "order_id": body["order_id"],
        "action": body["action"],
        "target": {name: value for name, value in body["target"].items() if name != "holder_name"},
        "amount": body.get("amount"),
        "ends_at": body.get("ends_at"),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return json.dumps(
        {name: value for name, value in told.items() if value is not None}, ensure_ascii=False, separators=(",", ":")
    )


def _padded(number: int, upto: int) -> str:
    """Write a day or month as the decree does (Annex I, II.4): days below 10, and of the months 1 and 2, with a 0."""
    return f"{number:02}" if number <= upto else str(number)


def _day(text: str) -> str:
    return f"{date.fromisoformat(text):%d/%m/%Y}"
