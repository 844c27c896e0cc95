"""What goes to banks: each message valid by two validators, its codes in ISO's sets, its bytes as they were."""

import base64
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import iso_golden
import iso_orders
import pytest
import rfc8785
import xmlschema
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from iso_golden import ENDPOINT, FOLDER, HUB
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.verifier import SignatureConfiguration, XMLVerifier

from adapters.base import DeliveryFailed, Endpoint, Message, Receipt
from adapters.iso20022 import envelope, money, reservations, schemas, sign, terms, xml
from adapters.iso20022.adapter import Iso20022
from adapters.registry import Adapters
from adapters.webhook import Webhook
from workflows.terms import Channel

GOLDEN = iso_golden.made()
ORDERS = {name: HUB.written(message, ENDPOINT) for name, message in iso_orders.ORDERS.items()}
ONLY_ES256 = SignatureConfiguration(
    require_x509=False,
    signature_methods=frozenset({SignatureMethod.ECDSA_SHA256}),
    digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
)
_POINT = iso_orders.HUB_KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
KEY_VALUE = (
    '<KeyValue xmlns="http://www.w3.org/2000/09/xmldsig#"><ECKeyValue xmlns="http://www.w3.org/2009/xmldsig11#">'
    '<NamedCurve URI="urn:oid:1.2.840.10045.3.1.7"/>'
    f"<PublicKey>{base64.b64encode(_POINT).decode()}</PublicKey></ECKeyValue></KeyValue>"
)
# Codes that stand in the messages' own schemas, beside those of the external sets.
ENUMERATED = {"OWNE", "ALLP", "ALLL", "ENAB", "DELD", "REQD", "COMP", "NRES", "NFOU", "ACCR", "PDCR", "RJCR"}


@functools.cache
def second(name: str) -> Any:
    return xmlschema.XMLSchema(str(schemas.FOLDER / f"{name}.xsd"))


def parts(content: bytes) -> tuple[Any, Any]:
    head, document = etree.fromstring(content)
    return head, document


def words(content: bytes, name: str) -> set[str]:
    return {each.text for each in etree.fromstring(content).iter(f"{{*}}{name}")}


class Post:
    """A transport that keeps what it was given."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, Mapping[str, str]]] = []

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
        self.sent.append((url, content, headers))
        return Receipt(202, 0.1, b"", "203.0.113.1")


def test_the_golden_files_are_what_the_code_makes() -> None:
    kept = {path.name: path.read_bytes() for path in FOLDER.glob("*.xml")}
    assert kept.keys() == GOLDEN.keys()
    assert [name for name in GOLDEN if GOLDEN[name] != kept[name]] == []
    assert len({parts(content)[1].tag for content in GOLDEN.values()}) == 12


def test_the_handbook_shows_one_exchange_as_it_is_on_the_wire() -> None:
    page = iso_golden.PAGE.read_text("utf-8")
    assert page.endswith(iso_golden.exchange().rstrip() + "\n") and page.count("```xml") == len(iso_golden.SHOWN) == 7


def test_the_handbook_s_table_of_codes_is_the_code_s() -> None:
    rows = [
        f"| `{name}` | `{code}` | `{word}` |" for name, codes in terms.table().items() for code, word in codes.items()
    ]
    shown = [line for line in iso_golden.PAGE.read_text("utf-8").splitlines() if line.startswith("| `External")]
    assert shown == rows and len(rows) == 33
    vietnamese = iso_golden.PAGE.parents[1] / "vi" / "iso20022.md"
    for definition in sorted(schemas.SENT | schemas.ANSWERS):
        name = definition[:8]
        assert name in iso_golden.PAGE.read_text("utf-8") and name in vietnamese.read_text("utf-8"), name


@pytest.mark.parametrize("name", GOLDEN)
def test_a_message_is_valid_by_two_validators_header_document_and_details(name: str) -> None:
    head, document = parts(GOLDEN[name])
    definition = xml.needed(head, "MsgDefIdr")
    for element, schema in ((head, schemas.HEADER), (document, definition)):
        alone = etree.fromstring(etree.tostring(element))
        etree.XMLSchema(etree.parse(schemas.FOLDER / f"{schema}.xsd")).assertValid(alone)
        second(schema).validate(etree.tostring(alone, encoding="unicode"))
    second("hoatoc.bizmsg.1").validate(GOLDEN[name].decode())
    for details in document.iter(f"{{{xml.ORDER}}}OrdrDtls", f"{{{xml.ORDER}}}AnswrDtls"):
        schemas.check(details, schemas.DETAILS)
        second(schemas.DETAILS).validate(etree.tostring(details, encoding="unicode"))
        return
    assert definition in schemas.ANSWERS


@pytest.mark.parametrize("name", GOLDEN)
def test_both_validators_refuse_a_message_whose_first_element_is_gone(name: str) -> None:
    _, document = parts(GOLDEN[name])
    definition = schemas.REJECT if document[0].tag.endswith(schemas.REJECT) else document.tag[1:].partition("}")[0]
    definition = definition.removeprefix(xml.ISO)
    broken = etree.fromstring(etree.tostring(document))
    broken[0].remove(broken[0][0])
    with pytest.raises(xml.MessageRefused, match=r"xml\.schema"):
        schemas.check(broken, definition)
    with pytest.raises(xmlschema.XMLSchemaValidationError):
        second(definition).validate(etree.tostring(broken, encoding="unicode"))


def test_every_code_that_is_sent_stands_in_iso_s_sets_or_in_the_message_s_own_schema() -> None:
    known = {*terms.code_set("ExternalReservationType1Code"), *terms.code_set("ExternalCancellationReason1Code")}
    sent = {code for content in ORDERS.values() for code in words(content, "Cd")}
    assert sent == {terms.BLOCKED, terms.FRAUD, "OWNE", "ALLP"} and sent - ENUMERATED <= known
    for content in ORDERS.values():
        assert words(content, "Prtry") <= {terms.SCHEME, terms.CLEARING, "account", "wallet", "card"}


def test_every_code_that_is_understood_stands_in_its_set_and_means_a_word_of_ours() -> None:
    ours = {"received", "done", "refused", "not_mine", "target_not_found", "holder_mismatch", "no_balance", "other"}
    ours |= {"target_closed", "authority_doubted", "document_doubted", "not_feasible"}
    of_recalls = {"payment_not_found", "already_paid_out", "already_returned", "holder_declines"}
    assert set(terms.table()) == {
        "ExternalInvestigationStatus1Code",
        "ExternalStatusReason1Code",
        "ExternalPaymentCancellationRejection1Code",
    }
    for name, codes in terms.table().items():
        assert codes.keys() <= terms.code_set(name).keys(), name
        assert set(codes.values()) <= ours | (of_recalls if "Cancellation" in name else set()), name
    answered = {code for name, content in GOLDEN.items() if name[:-4] not in ORDERS for code in words(content, "Cd")}
    every_set = {code for name in terms.table() for code in terms.code_set(name)} | {terms.BLOCKED} | ENUMERATED
    assert answered <= every_set


def test_a_freeze_names_the_amount_the_account_and_the_hold_and_a_lift_names_the_same_hold() -> None:
    frozen, lifted, extended = (
        parts(ORDERS[name])[1] for name in ("1-freeze.camt.103", "4-lift.camt.049", "3-extend.camt.048")
    )
    assert xml.text(frozen, "CretRsvatn/RsvatnId/Tp/Cd") == "BLKD"
    assert xml.text(frozen, "CretRsvatn/RsvatnId/AcctId/Othr/Id") == "9990000012345"
    amount = xml.inside(frozen, "CretRsvatn/ValSet/Amt/AmtWthCcy")
    assert (amount.text, amount.get("Ccy")) == ("150000000", "VND")
    hold = xml.text(frozen, "CretRsvatn/RsvatnId/RsvatnId")
    assert hold == xml.text(lifted, "DelRsvatn/CurRsvatn/RsvatnId") == iso_orders.HOLD.replace("-", "")
    assert hold == xml.text(extended, "ModfyRsvatn/RsvatnId/Cur/RsvatnId")
    assert xml.text(extended, "ModfyRsvatn/NewRsvatnValSet/Amt/AmtWthCcy") == "150000000"


def test_a_whole_account_is_the_largest_amount_never_zero_and_a_hold_of_nothing_is_not_sent() -> None:
    _, document = parts(ORDERS["2-freeze-whole-account.camt.103"])
    assert xml.text(document, "CretRsvatn/ValSet/Amt/AmtWthtCcy") == reservations.WHOLE == "9" * 18
    assert document.findtext(f".//{{{xml.ORDER}}}WhlAcct") == "true"
    with pytest.raises(DeliveryFailed, match="malformed"):
        HUB.written(iso_orders.message("freeze", 1, amount=None), ENDPOINT)


def test_the_details_carry_the_digest_of_the_very_order_and_the_hub_s_signature() -> None:
    for name, message in iso_orders.ORDERS.items():
        root = etree.fromstring(ORDERS[name])
        digest = hashlib.sha256(rfc8785.dumps(dict(message.body))).hexdigest()
        assert root.findall(f".//{{{xml.ORDER}}}Sha256")[-1].text == digest
        assert root.findtext(f".//{{{xml.ORDER}}}Jws") == message.signature
        assert root.findtext(f".//{{{xml.ORDER}}}CaseNb") == "2026/PC02-0417"


def test_each_message_about_an_order_has_a_reference_of_its_own_that_names_the_order() -> None:
    names = {sequence: terms.reference(iso_orders.HOLD, sequence) for sequence in (1, 35, 36, 1_295, 46_655)}
    assert len({*names.values()}) == 5 and {len(each) for each in names.values()} == {35}
    assert {terms.order_of(each, "") for each in names.values()} == {iso_orders.HOLD}
    with pytest.raises(ValueError, match="sequence"):
        terms.reference(iso_orders.HOLD, 46_656)
    first, last = (ORDERS[name] for name in ("1-freeze.camt.103", "5-lift-at-the-end.camt.049"))
    assert words(first, "MsgId") != words(last, "MsgId")


def test_the_bytes_are_the_same_at_every_attempt_and_another_key_signs_other_ones() -> None:
    message = iso_orders.ORDERS["1-freeze.camt.103"]
    assert len({HUB.written(message, ENDPOINT) for _ in range(5)}) == 1
    other = Iso20022(iso_orders.HUB, lambda at: (iso_orders.BANK_KID, iso_orders.BANK_KEY))
    assert other.written(message, ENDPOINT) != HUB.written(message, ENDPOINT)
    asked: list[datetime] = []

    def key_at(at: datetime) -> Any:
        asked.append(at)
        return iso_orders.HUB_KID, iso_orders.HUB_KEY

    Iso20022(iso_orders.HUB, key_at).written(message, ENDPOINT)
    assert asked == [message.occurred_at], "the key of the day on which it was placed, however late an attempt is"


def test_the_header_says_who_to_whom_when_and_what_and_never_that_it_might_be_a_copy() -> None:
    head, _ = parts(ORDERS["1-freeze.camt.103"])
    assert xml.text(head, "Fr/OrgId/Id/OrgId/Othr/Id") == iso_orders.HUB
    to = xml.inside(head, "To/FIId/FinInstnId")
    said = [xml.text(to, path) for path in ("BICFI", "ClrSysMmbId/MmbId", "Othr/Id")]
    assert said == ["BFTVVNVX", "970436", "vietcombank"]
    assert xml.text(head, "BizMsgIdr") == f"{1:032x}" and xml.text(head, "CreDt") == "2026-11-24T00:01:31Z"
    assert {"CpyDplct", "PssblDplct"} & {xml.name_of(each) for each in head} == set()
    nameless = HUB.written(iso_orders.ORDERS["1-freeze.camt.103"], replace(ENDPOINT, bin=None, bic=None))
    assert xml.text(parts(nameless)[0], "To/OrgId/Id/OrgId/Othr/Id") == "vietcombank"


@pytest.mark.parametrize("name", ORDERS)
def test_signxml_verifies_what_we_sign(name: str) -> None:
    root = etree.fromstring(ORDERS[name])
    ours = sign.read(root, xml.inside(root[0], "Sgntr"))
    # It takes its key out of the message, which we never do: KeyInfo is not signed, so the key can be put there.
    next(root.iter(f"{{{xml.SIGNATURE}}}KeyInfo")).append(etree.fromstring(KEY_VALUE))
    result = XMLVerifier().verify(etree.tostring(root), expect_config=ONLY_ES256)
    assert not isinstance(result, list)
    assert result.signed_data == ours.content


async def test_an_order_goes_out_as_xml_to_the_registered_address_through_the_registry() -> None:
    post, adapters = Post(), Adapters(Webhook(iso_orders.HUB), iso20022=HUB)
    message = iso_orders.ORDERS["1-freeze.camt.103"]
    receipt = await adapters.of(Channel.ISO20022).send(message, ENDPOINT, post)
    assert receipt.status == 202
    assert post.sent == [(ENDPOINT.url, ORDERS["1-freeze.camt.103"], {"Content-Type": "application/xml"})]
    with pytest.raises(DeliveryFailed, match=r"channel\.unavailable"):
        Adapters(Webhook(iso_orders.HUB)).of(Channel.ISO20022)


def unsigned(at: datetime) -> Any:
    raise ValueError("key.none_valid")


@pytest.mark.parametrize(
    ("message", "code", "retryable"),
    [
        (iso_orders.message("takedown", 1), "message.not_spoken", False),
        (iso_orders.message("preserve", 1), "message.not_spoken", False),
        (iso_orders.message("freeze", 1, case_number=None), "message.malformed", False),
        (iso_orders.message("freeze", 1, case_number="a\x00b"), "message.malformed", False),
        (iso_orders.message("freeze", 1, target={"kind": "account", "value": "9" * 35}), "message.malformed", False),
        (iso_orders.message("freeze", 1, amount={"value": "1e9", "currency": "VND"}), "message.malformed", False),
        (iso_orders.message("freeze", 1, amount={"value": "1", "currency": "XAU"}), "message.malformed", False),
        (iso_orders.message("freeze", 50_000), "message.malformed", False),
        (iso_orders.message("recall", 1), "message.malformed", False),
    ],
)
async def test_what_this_standard_cannot_say_is_never_sent(message: Message, code: str, retryable: bool) -> None:
    post = Post()
    with pytest.raises(DeliveryFailed) as caught:
        await HUB.send(message, ENDPOINT, post)
    assert (caught.value.code, caught.value.retryable, post.sent) == (code, retryable, [])


async def test_an_order_without_a_key_waits_for_one() -> None:
    with pytest.raises(DeliveryFailed) as caught:
        await Iso20022(iso_orders.HUB, unsigned).send(iso_orders.ORDERS["4-lift.camt.049"], ENDPOINT, Post())
    assert (caught.value.code, caught.value.retryable) == ("message.unsigned", True)


@given(
    st.text(
        st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"),
        min_size=1,
        max_size=60,
    )
)
def test_any_text_of_an_agency_comes_through_as_it_was_written(name: str) -> None:
    message = iso_orders.message("freeze", 1, agency={"id": "pc02-79", "name": name})
    opened = envelope.open_(HUB.written(message, ENDPOINT))
    assert opened.document.findtext(f".//{{{xml.ORDER}}}Agcy/{{{xml.ORDER}}}Nm") == name
    opened.signed.verify(iso_orders.HUB_KEY.public_key())


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (150_000_000, "VND", "150000000"),
        (0, "VND", "0"),
        (12_345, "USD", "123.45"),
        (5, "USD", "0.05"),
        (7, "KWD", "0.007"),
        (1, "CLF", "0.0001"),
        (10**18 - 1, "JPY", "9" * 18),
    ],
)
def test_an_amount_has_the_digits_of_its_currency(minor: int, currency: str, text: str) -> None:
    assert money.written(minor, currency) == text
    assert money.read(text, currency, "Amt") == (minor, currency)


@given(st.integers(0, 10**15), st.sampled_from(["VND", "USD", "KWD", "CLF"]))
def test_every_amount_comes_back_as_it_went(minor: int, currency: str) -> None:
    assert money.read(money.written(minor, currency), currency, "Amt") == (minor, currency)


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        *(("150000000.5", "VND"), ("0.001", "USD"), ("1e3", "VND"), ("-1", "VND"), ("+1", "VND"), ("", "VND")),
        *(("1,5", "VND"), ("\u0661", "VND"), ("1", "vnd"), ("1", "XAU"), ("1", ""), ("1" * 19, "VND"), ("NaN", "VND")),
    ],
)
def test_an_amount_that_is_none_is_refused(text: str, currency: str) -> None:
    with pytest.raises(xml.MessageRefused, match=r"xml\.value"):
        money.read(text, currency, "Amt")


def test_zeros_behind_the_point_are_no_part_of_a_dong() -> None:
    assert money.read("150000000.00", "VND", "Amt") == (150_000_000, "VND")
    with pytest.raises(ValueError, match="18 digits"):
        money.written(10**18, "VND")


def test_a_moment_is_written_in_utc() -> None:
    hanoi = datetime(2026, 11, 24, 7, 0, tzinfo=UTC) + timedelta(microseconds=5)
    assert envelope.instant(hanoi) == "2026-11-24T07:00:00.000005Z"
