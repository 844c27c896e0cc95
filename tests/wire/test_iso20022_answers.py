"""What banks answer: each message means one thing, what is not understood is not guessed at."""

import base64
from dataclasses import replace
from typing import Any

import iso_golden
import iso_orders
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from iso_bank import Bank
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.signer import XMLSigner

from adapters.answers import Answer, Moved, Traced
from adapters.iso20022 import parse, schemas, terms, xml
from adapters.iso20022.sign import SignatureInvalid
from adapters.iso20022.xml import MessageRefused
from workflows import trace

HOLD, LIFT, RECALL, ASKED, TRACED = iso_orders.HOLD, *(iso_orders.order_id(number) for number in (4, 7, 8, 11))
FREEZE = terms.reference(HOLD, 1)
OTHER = {"kind": "account", "institution": "970422"}
MEANT = {
    "1a-received.camt.025": Answer(HOLD, "received"),
    "1b-held.camt.047": Answer(HOLD, "executed", amount=(120_000_000, "VND")),
    "1c-refused.camt.025": Answer(HOLD, "refused", refusal_code="holder_mismatch"),
    "1d-not-mine.camt.025": Answer(HOLD, "not_mine", ported_to="970422"),
    "4a-lifted.camt.025": Answer(LIFT, "lifted"),
    "7a-returned.camt.029": Answer(RECALL, "executed", amount=(90_000_000, "VND")),
    "7b-not-returned.camt.029": Answer(RECALL, "refused", refusal_code="already_paid_out"),
    "8a-disclosed.auth.002": Answer(
        ASKED,
        "executed",
        disclosed={
            "holder_name": "NGUYEN VAN MAU",
            "holder_document": "national_id 079095000000",
            "holder_birth_date": "1995-01-01",
            "contact_phone": "+84900000003",
            "opened_on": "2026-10-30",
            "state": "open",
        },
    ),
    "8b-no-such-account.auth.002": Answer(ASKED, "refused", refusal_code="target_not_found"),
    "11a-traced.auth.002": Answer(TRACED, "executed", traced=Traced(iso_golden.MOVED, has_more=False)),
    "11b-traced-more.auth.002": Answer(TRACED, "executed", traced=Traced(iso_golden.MOVED[:1], has_more=True)),
    "11c-nothing-moved.auth.002": Answer(TRACED, "executed", traced=Traced((), has_more=False)),
    "1e-not-processed.admi.002": parse.Rejected(f"{1:032x}", "FF02"),
}


@pytest.fixture
def bank() -> Bank:
    return Bank(iso_orders.BANK_KEY, iso_orders.BANK_KID)


def refusal(raw: bytes) -> str:
    with pytest.raises(MessageRefused) as caught:
        parse.read(raw)
    return str(caught.value)


@pytest.mark.parametrize("name", MEANT)
def test_an_answer_means_one_thing_and_is_proved_by_the_bank_s_key_alone(name: str) -> None:
    received = parse.read((iso_golden.FOLDER / f"{name}.xml").read_bytes())
    said = received.answer or received.rejected
    assert said == MEANT[name] and (received.answer is None) is not (received.rejected is None)
    assert (received.kid, received.audience) == (iso_orders.BANK_KID, iso_orders.HUB)
    assert received.id.startswith("BANK-") and received.signed_at.isoformat() == "2026-11-24T00:02:31+00:00"
    received.verify(iso_orders.BANK_KEY.public_key())
    for stranger in (iso_orders.HUB_KEY, ec.generate_private_key(ec.SECP256R1())):
        with pytest.raises(SignatureInvalid, match="invalid"):
            received.verify(stranger.public_key())


def test_every_golden_answer_is_explained_here() -> None:
    assert MEANT.keys() == iso_golden.answers().keys()


@pytest.mark.parametrize(("code", "word"), terms.table()["ExternalStatusReason1Code"].items())
def test_each_reason_of_a_refusal_has_its_word(bank: Bank, code: str, word: str) -> None:
    meant = Answer(HOLD, "not_mine") if word == "not_mine" else Answer(HOLD, "refused", refusal_code=word)
    assert parse.read(bank.receipt(FREEZE, "RJCT", code)).answer == meant
    assert parse.read(bank.held(FREEZE, 0, error=code)).answer == meant


@pytest.mark.parametrize(("code", "word"), terms.table()["ExternalPaymentCancellationRejection1Code"].items())
def test_each_reason_not_to_send_money_back_has_its_word(bank: Bank, code: str, word: str) -> None:
    meant = Answer(RECALL, "refused", refusal_code=word)
    assert parse.read(bank.resolution(RECALL, "RJCR", reason=code)).answer == meant


def test_done_is_lifted_of_a_lift_and_executed_of_everything_else(bank: Bank) -> None:
    said = {answers: parse.read(bank.receipt(FREEZE, "CLSD", answers=answers)).answer for answers in schemas.SENT}
    assert {name: each.outcome for name, each in said.items() if each} == {
        name: "lifted" if name == schemas.LIFT else "executed" for name in schemas.SENT
    }
    assert parse.read(bank.held(FREEZE, 0, status="DELD")).answer == Answer(HOLD, "lifted")
    assert parse.read(bank.held(FREEZE, 0, status="REQD")).answer == Answer(HOLD, "received")
    assert parse.read(bank.resolution(RECALL, "PDCR")).answer == Answer(RECALL, "received")
    assert parse.read(bank.disclosed(ASKED, "NOAP")).answer == Answer(ASKED, "refused", refusal_code="not_feasible")


@given(st.integers(0, 10**15), st.sampled_from(["VND", "USD", "KWD"]))
def test_what_is_held_comes_through_to_the_last_unit(amount: int, currency: str) -> None:
    bank = Bank(iso_orders.BANK_KEY, iso_orders.BANK_KID)
    assert parse.read(bank.held(FREEZE, amount, currency)).answer == Answer(HOLD, "executed", amount=(amount, currency))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda bank: bank.receipt(FREEZE, "ACSC"), "xml.code ReqHdlg/Sts/Prtry"),
        (lambda bank: bank.receipt(FREEZE, "RJCT", "AB01"), "xml.code StsRsn/Rsn/Cd"),
        (lambda bank: bank.receipt(FREEZE, "RJCT", "ZZZZ"), "xml.code StsRsn/Rsn/Cd"),
        (lambda bank: bank.receipt(FREEZE, "RJCT"), "xml.value StsRsn/Rsn/Cd"),
        (lambda bank: bank.receipt(FREEZE, "CLSD", "AC01"), "xml.value ReqHdlg/StsRsn"),
        (lambda bank: bank.receipt(FREEZE, "PDNG", ported_to="970422"), "xml.value SplmtryData/Envlp"),
        (lambda bank: bank.receipt(FREEZE, "RJCT", "AC01", ported_to="970422"), "xml.value AnswrDtls/PrtdTo"),
        (lambda bank: bank.receipt("somebody-elses", "PDNG"), "xml.value RctDtls/OrgnlMsgId/MsgId"),
        (lambda bank: bank.receipt(HOLD[:35], "PDNG"), "xml.value RctDtls/OrgnlMsgId/MsgId"),
        (lambda bank: bank.held(FREEZE, 1, status="ENAB"), "xml.code Rsvatn/Sts/Cd"),
        (lambda bank: bank.held(FREEZE, 1, "USN"), None),
        (lambda bank: bank.held(FREEZE, 1, error="X050"), "xml.code BizErr/Err/Prtry"),
        (lambda bank: bank.resolution(RECALL, "RJCR"), "xml.value CxlStsRsnInf"),
        (lambda bank: bank.resolution(RECALL, "ACCR"), "xml.value RsltnRltdInf/IntrBkSttlmAmt"),
        (lambda bank: bank.resolution(RECALL, "RJCR", reason="AACR"), "xml.code CxlStsRsnInf/Rsn/Cd"),
        (lambda bank: bank.disclosed(ASKED, "FOUN"), "xml.code InvstgtnRslt/InvstgtnSts"),
        (lambda bank: bank.disclosed(ASKED), "xml.value AnswrDtls/Dscld"),
        (lambda bank: bank.receipt(FREEZE, "PDNG", message_id="two words"), "xml.value AppHdr/BizMsgIdr"),
        (lambda bank: traced(bank, status="NRES"), "xml.code InvstgtnRslt/InvstgtnSts"),
        (lambda bank: altered(bank, lambda line: line.set("Ccy", "XAU")), "xml.value AnswrDtls/Mvmts/Mvmt/@Amt/@Ccy"),
        (lambda bank: traced(bank, counterparty={"value": "\u202e1", **OTHER}), "xml.not_plain"),
        (lambda bank: bank.disclosed(ASKED, holder_name="NGUYEN \u202eVAN"), "xml.not_plain"),
        (lambda bank: bank.disclosed(ASKED, holder_name="NGUYEN VAN\u2028A"), "xml.not_plain"),
    ],
)
def test_what_is_not_understood_is_refused_by_its_place_and_never_guessed(
    make: Any, said: str | None, bank: Bank
) -> None:
    if said is None:
        assert parse.read(make(bank)).answer is not None
    else:
        assert refusal(make(bank)) == said


@pytest.mark.parametrize(
    ("lost", "place"),
    [("Tp", "AnswrDtls/Mvmts/Mvmt"), ("Id", "AnswrDtls/Mvmts/Mvmt"), ("Svcr", "AnswrDtls/Mvmts/Mvmt")],
)
def test_half_of_where_the_money_went_is_refused(bank: Bank, lost: str, place: str) -> None:
    assert refusal(altered(bank, lambda line: line.attrib.pop(lost))) == f"xml.value {place}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CdtDbtInd", "OUT"),
        ("Amt", "-1"),
        ("Amt", "1e3"),
        ("Ccy", "vnd"),
        ("BookgDtTm", "yesterday"),
        ("Knd", "Ransom Money"),
        ("Id", "9" * 35),
        ("Ustrd", "for the flat"),
    ],
)
def test_a_movement_that_the_schema_does_not_know_is_refused(bank: Bank, name: str, value: str) -> None:
    assert refusal(altered(bank, lambda line: line.set(name, value))).startswith("xml.schema ")


def test_what_was_disclosed_and_what_moved_are_never_one_answer(bank: Bank) -> None:
    make = xml.Maker(xml.ORDER)

    def both(line: Any) -> None:
        line.getparent().addprevious(make("Dscld", "NGUYEN VAN MAU", Cd="holder_name"))

    assert refusal(altered(bank, both)) == "xml.value AnswrDtls/Dscld"


def test_two_hundred_of_the_longest_movements_fit_into_one_message_and_one_more_does_not(bank: Bank) -> None:
    longest = Moved(
        "out",
        (10**15, "VND"),
        "2026-11-23T06:00:00.123456+07:00",
        "transfer",
        {"kind": "account", "value": "9" * 34, "institution": "N" * 64},
    )
    raw = bank.traced(TRACED, Traced((longest,) * trace.MOST_MOVEMENTS, has_more=True))
    answer = parse.read(raw).answer
    assert answer is not None and answer.traced is not None
    assert (len(answer.traced.movements), answer.traced.has_more) == (trace.MOST_MOVEMENTS, True)
    assert len(raw) < xml.LARGEST
    one_more = (iso_golden.MOVED[2],) * (trace.MOST_MOVEMENTS + 1)
    assert refusal(bank.traced(TRACED, Traced(one_more, has_more=True))).startswith("xml.schema ")


def traced(bank: Bank, status: str | None = None, **changes: Any) -> bytes:
    return bank.traced(TRACED, Traced((replace(iso_golden.MOVED[0], **changes),), has_more=False), status=status)


def altered(bank: Bank, change: Any) -> bytes:
    """Return an answer to a trace whose first movement is another one, signed all the same."""
    raw = bank.traced(TRACED, Traced(iso_golden.MOVED, has_more=False))
    document = etree.fromstring(raw)[1][0]
    change(next(document.iter(f"{{{xml.ORDER}}}Mvmt")))
    return bank.seal(schemas.DISCLOSED, document)


def test_two_answers_in_one_message_are_none(bank: Bank) -> None:
    """A receipt for two orders, a report of two reservations: nobody could say which one the signature meant."""
    make = xml.Maker(xml.ISO + schemas.RECEIPT)

    def details() -> Any:
        original = make("OrgnlMsgId", make("MsgId", FREEZE))
        return make("RctDtls", original, make("ReqHdlg", make("Sts", make("Prtry", "PDNG"))))

    twice = make("Rct", make("MsgHdr", make("MsgId", "1")), details(), details())
    assert refusal(bank.seal(schemas.RECEIPT, twice)) == "xml.value RctDtls"


def test_a_message_of_ours_is_no_answer(bank: Bank) -> None:
    raw = (iso_golden.FOLDER / "1-freeze.camt.103.xml").read_bytes()
    assert refusal(raw) == "xml.message AppHdr/MsgDefIdr"


def signed_by_signxml(unsigned: Any, **options: Any) -> bytes:
    """Let another implementation sign a message that has an empty ``Sgntr``."""
    head = unsigned[0]
    place = next(head.iter(f"{{{xml.ISO}{schemas.HEADER}}}Sgntr"))
    place.append(etree.Element(f"{{{xml.SIGNATURE}}}Signature", Id="placeholder"))
    info = etree.fromstring(
        f'<ds:KeyInfo xmlns:ds="{xml.SIGNATURE}"><ds:KeyName>{iso_orders.BANK_KID}</ds:KeyName></ds:KeyInfo>'
    )
    exclusive = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0
    settings = {"signature_algorithm": SignatureMethod.ECDSA_SHA256, "digest_algorithm": DigestAlgorithm.SHA256}
    signer = XMLSigner(c14n_algorithm=exclusive, **{**settings, **options})
    signed = signer.sign(unsigned, key=iso_orders.BANK_KEY, key_info=info)
    return bytes(etree.tostring(signed))


def unsigned(raw: bytes) -> Any:
    root = etree.fromstring(raw)
    place = next(root.iter(f"{{{xml.ISO}{schemas.HEADER}}}Sgntr"))
    place.remove(place[0])
    return root


def test_we_verify_what_signxml_signs(bank: Bank) -> None:
    received = parse.read(signed_by_signxml(unsigned(bank.receipt(FREEZE, "PDNG"))))
    received.verify(iso_orders.BANK_KEY.public_key())
    assert received.answer == Answer(HOLD, "received")


def test_a_message_may_be_spaced_and_prefixed_as_the_bank_s_library_likes(bank: Bank) -> None:
    text = bank.receipt(FREEZE, "PDNG").decode()
    # Line breaks inside base64, as MIME encoders make them; the signed bytes stay as they were.
    value = text.partition("<SignatureValue>")[2].partition("</SignatureValue>")[0]
    wrapped = text.replace(value, "\n" + "\n".join([value[:64], value[64:]]) + "\n")
    received = parse.read(wrapped.encode())
    received.verify(iso_orders.BANK_KEY.public_key())
    assert base64.b64decode(value)
