"""What hostile senders send: bombs, wrappings, other algorithms, other keys, broken bytes; each is refused by name."""

import base64
import copy
import hashlib
import hmac
import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import iso_golden
import iso_orders
import pytest
import trust_sizes
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from iso_bank import Bank
from lxml import etree
from test_iso20022_answers import FREEZE, unsigned

from adapters.iso20022 import parse, schemas, sign, xml
from adapters.iso20022.sign import SignatureInvalid
from adapters.iso20022.xml import MessageRefused

BANK = Bank(iso_orders.BANK_KEY, iso_orders.BANK_KID)
GOOD = BANK.receipt(FREEZE, "PDNG")
REFUSED = BANK.receipt(FREEZE, "RJCT", "AC01")
DS = f"{{{xml.SIGNATURE}}}"
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
XSI = b'<Document xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def verdict(raw: bytes) -> str:
    """Return why a message is refused, ``""`` where it is taken."""
    try:
        received = parse.read(raw)
        received.verify(iso_orders.BANK_KEY.public_key())
    except MessageRefused as refused:
        return refused.code
    except SignatureInvalid as invalid:
        return f"signature.{invalid.reason}"
    # The name of the key is not signed: another name is another key of the registry, or none.
    return "" if received.kid == iso_orders.BANK_KID else "signature.key_unknown"


def changed(change: Callable[[Any], Any], raw: bytes = GOOD) -> bytes:
    root = etree.fromstring(raw)
    change(root)
    return bytes(etree.tostring(root))


def with_doctype(declared: str, raw: bytes = GOOD) -> bytes:
    return raw.replace(b"<BizMsg", f"<!DOCTYPE BizMsg [{declared}]>\n<BizMsg".encode(), 1)


def text(old: bytes, new: bytes) -> bytes:
    assert old in GOOD
    return GOOD.replace(old, new)


def test_the_message_that_all_others_are_made_of_is_good() -> None:
    assert verdict(GOOD) == "" and verdict(REFUSED) == ""


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (with_doctype(f'<!ENTITY l0 "ha">{LAUGHS}').replace(b">PDNG<", b">&l9;<"), "xml.doctype"),
        (
            with_doctype('<!ENTITY a "' + "a" * 20_000 + '">').replace(b">PDNG<", b">" + b"&a;" * 2_000 + b"<"),
            "xml.doctype",
        ),
        (with_doctype('<!ENTITY e SYSTEM "file:///etc/passwd">').replace(b">PDNG<", b">&e;<"), "xml.doctype"),
        (with_doctype('<!ENTITY e SYSTEM "http://127.0.0.1:9/x">').replace(b">PDNG<", b">&e;<"), "xml.doctype"),
        (with_doctype('<!ENTITY % e SYSTEM "http://127.0.0.1:9/x.dtd"> %e;'), "xml.doctype"),
        (GOOD.replace(b"<BizMsg", b'<!DOCTYPE BizMsg SYSTEM "http://127.0.0.1:9/x.dtd"><BizMsg', 1), "xml.doctype"),
        (GOOD.replace(b"<BizMsg", b"<!DOCTYPE BizMsg><BizMsg", 1), "xml.doctype"),
        (text(b">PDNG<", b">&nowhere;<"), "xml.syntax"),
        (text(b"<Document", b"<!-- a comment --><Document"), "xml.not_plain"),
        (text(b"<Document", b"<?an instruction?><Document"), "xml.not_plain"),
        (text(b"<BizMsg", b'<?xml-stylesheet href="http://127.0.0.1:9/x.xsl"?><BizMsg'), "xml.not_plain"),
        (GOOD + b"<!-- behind it -->", "xml.not_plain"),
        (text(b"<Document", XSI + b' xsi:schemaLocation="urn:x file:///dev/zero"'), "xml.not_plain"),
        (text(b"<Document", XSI + b' xsi:noNamespaceSchemaLocation="http://127.0.0.1:9/x.xsd"'), "xml.not_plain"),
        (text(b"<Document", XSI + b' xsi:type="anything"'), "xml.not_plain"),
        (text(b"<Document", XSI + b' xsi:nil="true"'), "xml.not_plain"),
        (text(b"<Document", b'<Document xml:id="a"'), "xml.not_plain"),
        (text(b"<Rct>", b'<Rct xmlns:a="relative">'), "xml.not_plain"),
        (text(b"<Rct>", b'<Rct xml:id="a">').replace(b"<RctDtls>", b'<RctDtls xml:id="a">'), "xml.syntax"),
        (text(b"<Document", b'<Document xml:base="http://127.0.0.1:9/"'), "xml.not_plain"),
        (GOOD + b"<BizMsg/>", "xml.syntax"),
        (b"\xef\xbb\xbf" + GOOD, "xml.encoding"),
        (GOOD.decode().replace("UTF-8", "UTF-16").encode("utf-16"), "xml.encoding"),
        (GOOD.decode().removeprefix(DECLARATION).encode("utf-16-le"), "xml.encoding"),
        (text(b"UTF-8", b"ISO-8859-1"), "xml.encoding"),
        (text(b"UTF-8", b"UTF-7"), "xml.encoding"),
        (text(b'version="1.0"', b'version="1.1"'), "xml.encoding"),
        (GOOD.replace(b"PDNG", b"PD\xff\xfe"), "xml.encoding"),
        (text(b"PDNG", b"PD\0NG"), "xml.encoding"),
        (text(b"PDNG", b"PD&#0;NG"), "xml.syntax"),
        (b"", "xml.encoding"),
        (b" " * 10, "xml.encoding"),
        (b"{}", "xml.encoding"),
        (b"<", "xml.syntax"),
        (b"<a>" * 20_000, "xml.syntax"),
        (b"<a " + b" ".join(b'a%d=""' % n for n in range(5_000)) + b"/>", "xml.envelope"),
        (b"<a>" + b" " * 10_000_000 + b"</a>", "xml.too_large"),
        (GOOD + b" " * 70_000, "xml.too_large"),
        (text(b"urn:hoatoc:xsd:bizmsg:1", b"urn:hoatoc:xsd:bizmsg:2"), "xml.envelope"),
        (text(b"head.001.001.04", b"head.001.001.02"), "xml.envelope"),
        (text(b' xmlns="urn:hoatoc:xsd:bizmsg:1"', b""), "xml.envelope"),
        (text(b"<BizMsg ", b'<BizMsg Id="a" '), "xml.envelope"),
        (etree.tostring(etree.fromstring(GOOD)[1]), "xml.envelope"),
        (changed(lambda root: root.append(copy.deepcopy(root[1]))), "xml.envelope"),
        (changed(lambda root: root.append(root[0])), "xml.envelope"),
        (text(b"<Document", b"words<Document"), "xml.envelope"),
    ],
)
def test_bad_input_is_refused_by_name(raw: bytes, why: str) -> None:
    assert verdict(raw) == why


def test_nothing_of_a_bomb_or_of_ten_megabytes_is_ever_held() -> None:
    bombs = [with_doctype(f'<!ENTITY l0 "ha">{LAUGHS}').replace(b">PDNG<", b">&l9;<"), b"<a>" + b" " * 10_000_000]
    tracemalloc.start()
    for bomb in bombs:
        assert verdict(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_good_signature_does_not_save_a_wrong_message() -> None:
    """Signed by the right key, and still not what the schemas, the definition or the practice say."""
    make = xml.Maker(xml.ISO + schemas.RECEIPT)
    header, wrong = make("MsgHdr", make("MsgId", "1")), make("Rct", make("MsgHdr", make("MsgId", "1")))
    with pytest.raises(ValueError, match=r"xml\.schema"):
        BANK.seal(schemas.RECEIPT, wrong)
    for change, why in (
        (lambda root: root[1][0].append(copy.deepcopy(header)), "xml.schema"),
        (lambda root: root[1][0].remove(root[1][0][0]), "xml.schema"),
        (lambda root: set_text(root, "MsgDefIdr", "camt.047.001.08"), "xml.message"),
        (lambda root: set_text(root, "MsgDefIdr", "pacs.008.001.13"), "xml.message"),
        (lambda root: set_text(root, "BizSvc", "another.service"), "xml.value"),
        (lambda root: set_text(root, "CreDt", "2026-11-24T00:02:31"), "xml.value"),
        (lambda root: set_text(root, "CreDt", "0001-01-01T00:00:00+14:00"), "xml.value"),
        (lambda root: set_text(root, "CreDt", "yesterday"), "xml.schema"),
        (flag, "xml.value"),
    ):
        assert verdict(signed_again(change)) == why, why


def flag(root: Any) -> None:
    name = f"{{{xml.ISO}{schemas.HEADER}}}"
    made = etree.Element(f"{name}PssblDplct")
    made.text = "true"
    root[0].find(f"{name}CreDt").addnext(made)


def set_text(root: Any, name: str, value: str) -> None:
    next(root.iter(f"{{*}}{name}")).text = value


def signed_again(change: Callable[[Any], Any], raw: bytes = GOOD) -> bytes:
    """Return a changed message with a new signature of the bank's own key over all of it."""
    root = unsigned(raw)
    change(root)
    place = next(root.iter(f"{{{xml.ISO}{schemas.HEADER}}}Sgntr"))
    sign.sign(root, place, iso_orders.BANK_KID, iso_orders.BANK_KEY)
    return bytes(etree.tostring(root))


# --- signatures -------------------------------------------------------------------------------------------------------


def signature(root: Any) -> Any:
    return next(root.iter(f"{DS}Signature"))


def move_out(root: Any, name: str) -> None:
    """Put an element of another namespace in the place of one of the signature's, which goes into the document."""
    moved = next(root.iter(f"{DS}{name}"))
    moved.addprevious(etree.Element(f"{{urn:x}}{name}", dict(moved.attrib)))
    root[1][0].append(moved)


def algorithm(name: str, value: str, raw: bytes = GOOD) -> bytes:
    return changed(lambda root: next(root.iter(f"{DS}{name}")).set("Algorithm", value), raw)


def resigned(how: Callable[[bytes], bytes], method: str, digest: str | None = None) -> bytes:
    """Return the message with a signature value made another way, under the algorithm that says so."""
    root = etree.fromstring(GOOD)
    next(root.iter(f"{DS}SignatureMethod")).set("Algorithm", method)
    if digest:
        next(root.iter(f"{DS}DigestMethod")).set("Algorithm", digest)
        whole = copy.deepcopy(root)
        signature(whole).getparent().remove(signature(whole))
        next(root.iter(f"{DS}DigestValue")).text = base64.b64encode(
            hashlib.sha1(xml.canonical(whole)).digest()
        ).decode()
    info = xml.canonical(next(root.iter(f"{DS}SignedInfo")))
    next(root.iter(f"{DS}SignatureValue")).text = base64.b64encode(how(info)).decode()
    return bytes(etree.tostring(root))


def public_bytes() -> bytes:
    return iso_orders.BANK_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


RSA = rsa.generate_private_key(65537, 2048)
MORE = "http://www.w3.org/2001/04/xmldsig-more#"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (changed(lambda root: signature(root).getparent().remove(signature(root))), "missing"),
        (changed(lambda root: root[0].remove(signature(root).getparent())), "missing"),
        (GOOD.replace(b'xmlns="http://www.w3.org/2000/09/xmldsig#"', b'xmlns="urn:none"'), "missing"),
        (
            resigned(lambda info: hmac.digest(public_bytes(), info, "sha256"), f"{MORE}hmac-sha256"),
            "algorithm",
        ),
        (
            resigned(lambda info: hmac.digest(public_bytes(), info, "sha256")[:32] * 2, f"{xml.SIGNATURE}hmac-sha1"),
            "algorithm",
        ),
        (
            resigned(
                lambda info: RSA.sign(info, padding.PKCS1v15(), hashes.SHA1()),
                f"{xml.SIGNATURE}rsa-sha1",
                f"{xml.SIGNATURE}sha1",
            ),
            "algorithm",
        ),
        (resigned(lambda info: RSA.sign(info, padding.PKCS1v15(), hashes.SHA256()), f"{MORE}rsa-sha256"), "algorithm"),
        (algorithm("SignatureMethod", f"{MORE}ecdsa-sha1"), "algorithm"),
        (algorithm("SignatureMethod", f"{MORE}ecdsa-sha512"), "algorithm"),
        (algorithm("SignatureMethod", ""), "malformed"),
        (algorithm("DigestMethod", f"{xml.SIGNATURE}sha1"), "algorithm"),
        (algorithm("CanonicalizationMethod", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"), "algorithm"),
        (algorithm("CanonicalizationMethod", "http://www.w3.org/2001/10/xml-exc-c14n#WithComments"), "algorithm"),
        (algorithm("Transform", "http://www.w3.org/TR/1999/REC-xslt-19991116"), "algorithm"),
        (algorithm("Transform", "http://www.w3.org/TR/1999/REC-xpath-19991116"), "algorithm"),
        (algorithm("Transform", f"{xml.SIGNATURE}base64"), "algorithm"),
        (changed(lambda root: next(root.iter(f"{DS}Reference")).set("URI", "#doc")), "malformed"),
        (changed(lambda root: next(root.iter(f"{DS}Reference")).attrib.pop("URI")), "malformed"),
        (changed(lambda root: next(root.iter(f"{DS}Reference")).set("Type", "x")), "malformed"),
        (changed(lambda root: signature(root).set("Id", "a")), "malformed"),
        (
            changed(
                lambda root: next(root.iter(f"{DS}SignedInfo")).append(copy.deepcopy(next(root.iter(f"{DS}Reference"))))
            ),
            "malformed",
        ),
        (
            changed(lambda root: next(root.iter(f"{DS}Reference")).remove(next(root.iter(f"{DS}Transforms")))),
            "malformed",
        ),
        (changed(lambda root: signature(root).append(etree.Element("{urn:x}Object"))), "malformed"),
        (changed(lambda root: next(root.iter(f"{DS}KeyInfo")).append(etree.Element("{urn:x}KeyName"))), "malformed"),
        (changed(lambda root: move_out(root, "KeyName")), "malformed"),
        (changed(lambda root: move_out(root, "DigestMethod")), "malformed"),
        (changed(lambda root: signature(root).append(etree.Element(f"{DS}Object"))), "malformed"),
        (changed(lambda root: signature(root).remove(next(root.iter(f"{DS}KeyInfo")))), "malformed"),
        (
            changed(
                lambda root: next(root.iter(f"{DS}KeyInfo")).append(
                    etree.fromstring(f'<X509Data xmlns="{xml.SIGNATURE}"/>')
                )
            ),
            "malformed",
        ),
        (changed(lambda root: signature(root).getparent().append(copy.deepcopy(signature(root)))), "malformed"),
        (changed(lambda root: root[1][0].append(copy.deepcopy(signature(root)))), "malformed"),
        (changed(lambda root: root[1][0].append(signature(root))), "malformed"),
        (changed(lambda root: root.append(signature(root))), "xml.envelope"),
        (changed(lambda root: set_text(root, "KeyName", "")), "malformed"),
        (changed(lambda root: set_text(root, "KeyName", "k" * 65)), "malformed"),
        (changed(lambda root: set_text(root, "KeyName", "a b")), "malformed"),
        (changed(lambda root: set_text(root, "SignatureValue", "A" * 86 + "=")), "malformed"),
        (changed(lambda root: set_text(root, "SignatureValue", base64.b64encode(bytes(64)).decode())), "invalid"),
        (changed(lambda root: set_text(root, "SignatureValue", base64.b64encode(bytes(63)).decode())), "malformed"),
        (changed(lambda root: set_text(root, "SignatureValue", "!" * 88)), "malformed"),
        (changed(lambda root: set_text(root, "DigestValue", base64.b64encode(bytes(32)).decode())), "invalid"),
        (text(b">PDNG<", b">CLSD<"), "invalid"),
        (text(b"<CreDt>2026-11-24", b"<CreDt>2026-11-25"), "invalid"),
        (text(b"https://hub.example", b"https://hub.elsewhere"), "invalid"),
        (text(b"<Document", b" <Document"), "invalid"),
        (Bank(iso_orders.HUB_KEY, iso_orders.BANK_KID).receipt(FREEZE, "PDNG"), "invalid"),
        (Bank(ec.generate_private_key(ec.SECP256R1()), "another").receipt(FREEZE, "PDNG"), "invalid"),
    ],
)
def test_a_signature_has_one_form_one_algorithm_and_covers_everything(raw: bytes, why: str) -> None:
    assert verdict(raw) == (why if "." in why else f"signature.{why}")


def wrapped(place: Callable[[Any, Any], None]) -> bytes:
    """Return a message of the attacker's with the bank's signed one somewhere inside it."""
    evil, good = etree.fromstring(REFUSED), etree.fromstring(GOOD)
    theirs = signature(evil).getparent()
    theirs.remove(signature(evil))
    theirs.append(copy.deepcopy(signature(good)))
    place(evil, good)
    return bytes(etree.tostring(evil))


def _in_the_details(evil: Any, good: Any) -> None:
    make = xml.Maker(xml.ISO + schemas.RECEIPT)
    evil[1][0].append(make("SplmtryData", make("Envlp", good)))


def _before(evil: Any, good: Any) -> None:
    evil.insert(0, good)


def _behind(evil: Any, good: Any) -> None:
    evil.append(good[1])


def _in_an_object(evil: Any, good: Any) -> None:
    held = etree.SubElement(signature(evil), f"{DS}Object")
    held.append(good)


def _by_identifier(evil: Any, good: Any) -> None:
    good.set("Id", "signed")
    evil[1].set("Id", "signed")
    next(evil.iter(f"{DS}Reference")).set("URI", "#signed")
    _in_the_details(evil, good)


def _nothing(evil: Any, good: Any) -> None:
    del evil, good


@pytest.mark.parametrize("place", [_in_the_details, _before, _behind, _in_an_object, _by_identifier, _nothing])
def test_a_signed_message_wrapped_into_another_one_signs_nothing(place: Callable[[Any, Any], None]) -> None:
    assert verdict(wrapped(place)) in {"signature.malformed", "signature.invalid", "xml.envelope"}


def test_broken_bytes_never_mean_anything_else_than_what_was_signed(record_property: Any) -> None:
    """Each mutant is refused by name, or it still says what the bank signed; nothing else ever comes out."""
    n, draw = trust_sizes.size(gate=3_000, full=60_000), random.Random(trust_sizes.seed())
    meant = {raw: parse.read(raw).answer for raw in (GOOD, REFUSED, BANK.held(FREEZE, 5))}
    wrong = [raw for raw in (_mutant(draw, draw.choice([*meant])) for _ in range(n)) if not _is_safe(raw, meant)]
    record_property(*figure("mutated XML of banks", n, len(wrong)))
    assert wrong == []


def test_a_bank_that_signs_nonsense_is_refused_by_name_or_says_one_plain_thing(record_property: Any) -> None:
    """Behind a good signature everything is reached: schema, codes, references, amounts; none of it breaks."""
    n, draw = trust_sizes.size(gate=1_500, full=30_000), random.Random(trust_sizes.seed())
    golden = list(iso_golden.answers().values())
    wrong: list[bytes] = []
    for _ in range(n):
        raw = signed_again(lambda root: _nonsense(draw, root), draw.choice(golden))
        try:
            received = parse.read(raw)
        except (MessageRefused, SignatureInvalid):
            continue
        said = received.answer
        plain = said is None or said.outcome in {"received", "executed", "refused", "not_mine", "lifted"}
        if not plain or (said is not None and (said.refusal_code is None) is (said.outcome == "refused")):
            wrong.append(raw)
    record_property(*figure("nonsense signed by banks", n, len(wrong)))
    assert wrong == []


def _nonsense(draw: random.Random, root: Any) -> None:
    texts = [
        "",
        " ",
        "0",
        "-1",
        "1e9",
        "9" * 18,
        "9" * 19,
        "PDNG",
        "RJCT",
        "BLKD",
        "VND",
        "2026-02-30T00:00:00Z",
        "é" * 40,
    ]
    texts += ["0001-01-01T00:00:00Z", "2026-11-24T00:02:31+14:00", FREEZE, FREEZE[:32], "camt.049.001.07", "true"]
    for _ in range(draw.choice([1, 1, 2, 3])):
        nodes = [each for each in root.iter() if each is not root and not each.tag.endswith("}Sgntr")]
        chosen, other = draw.choice(nodes), draw.choice(nodes)
        match draw.randrange(5):
            case 0:
                chosen.text = draw.choice(texts)
            case 1 if chosen.getparent() is not root:
                other.append(copy.deepcopy(chosen))
            case 2 if chosen.getparent() is not root and chosen.find(f".//{{{xml.ISO}{schemas.HEADER}}}Sgntr") is None:
                chosen.getparent().remove(chosen)
            case 3 if chosen.getparent() is not root:
                chosen.addnext(copy.deepcopy(chosen))
            case _:
                chosen.set(draw.choice(["Ccy", "Cd", "Id"]), draw.choice(texts))


def figure(what: str, n: int, violations: int) -> tuple[str, str]:
    return "iso20022", f"{what}: seed {trust_sizes.seed()}, N {n}, violations {violations}"


def _is_safe(raw: bytes, meant: dict[bytes, Any]) -> bool:
    try:
        received = parse.read(raw)
        received.verify(iso_orders.BANK_KEY.public_key())
    except (MessageRefused, SignatureInvalid):
        return True
    return received.answer in meant.values() and received.id.startswith("BANK-")


def _mutant(draw: random.Random, raw: bytes) -> bytes:
    made = bytearray(raw)
    for _ in range(draw.choice([1, 1, 1, 2, 5])):
        at, length = draw.randrange(len(made)), draw.choice([1, 1, 4, 40])
        match draw.randrange(6):
            case 0:
                made[at] = draw.randrange(256)
            case 1:
                del made[at : at + length]
            case 2:
                made[at:at] = made[draw.randrange(len(made)) :][:length]
            case 3:
                del made[at:]
            case 4:
                made[at:at] = draw.choice(
                    [b"<", b">", b"&", b'"', b"]]>", b"<![CDATA[", b"&#10;", b"\r\n", b" ", b"\0"]
                )
            case _:
                made[at] ^= 1 << draw.randrange(8)
        made = made or bytearray(b"<")
    return bytes(made)


@settings(max_examples=200)
@given(
    st.binary(max_size=300)
    | st.text(max_size=200).map(lambda each: f"<BizMsg>{each}</BizMsg>".encode("utf-8", "replace"))
)
def test_any_bytes_are_refused_by_name(raw: bytes) -> None:
    assert verdict(raw)


@settings(max_examples=200)
@given(st.data())
def test_any_element_that_is_moved_copied_renamed_or_dropped_breaks_the_signature(data: st.DataObject) -> None:
    root = etree.fromstring(GOOD)
    nodes = [each for each in root.iter() if each is not root]
    chosen, other = data.draw(st.sampled_from(nodes)), data.draw(st.sampled_from(nodes))
    match data.draw(st.sampled_from(["drop", "copy", "rename", "attribute", "text"])):
        case "drop":
            chosen.getparent().remove(chosen)
        case "copy":
            other.append(copy.deepcopy(chosen))
        case "rename":
            chosen.tag = f"{chosen.tag}x"
        case "attribute":
            chosen.set(data.draw(st.sampled_from(["Id", "ID", "id", "xsi"])), "1")
        case _:
            chosen.text = f"{chosen.text or ''}x"
    assert verdict(bytes(etree.tostring(root)))
