"""The order as a letter: readers that others wrote find its text, its seal, its attached order and its QR code."""

import dataclasses
import hashlib
import io
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import zxingcpp
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fontTools.ttLib import TTFont
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from adapters.letter import barcode, page, seal
from adapters.letter.page import File, Letter, Line, Signer

NOW = datetime.now(UTC).replace(microsecond=0)
# With every sign that base64url has beyond letters and digits.
KID = "_-" + "k" * 41
ORDER = json.dumps({"order_id": "01935a10-0000-7000-8000-000000000002", "target": {"value": "9990001112223"}})


def letter(**changes: Any) -> Letter:
    """A letter as long as a page; every name and number in it is made up."""
    made = Letter(
        lang="vi",
        agency="Công an Thành phố Hồ Chí Minh",
        number="HT-261130-7D4W2G/1",
        number_line="Số: HT-261130-7D4W2G/1",
        nation="CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM",
        motto="Độc lập - Tự do - Hạnh phúc",
        day=date(2026, 11, 30),
        dated="Ngày 30 tháng 11 năm 2026",
        urgency="hỏa tốc",
        void="",
        title="Yêu cầu",
        about="Phong tỏa tài khoản ngân hàng",
        addressed="Kính gửi: Ngân hàng TMCP Ngoại thương Việt Nam",
        grounds=("Căn cứ Nghị định 52/2024/NĐ-CP;",),
        demand="Yêu cầu quý đơn vị phong tỏa ngay:",
        lines=(Line("Tài khoản ngân hàng", "9990001112223", strong=True, is_code=True),),
        passages=("Quý đơn vị trả lời ngay.",),
        copies_to="Nơi nhận:",
        copies=("Như trên;",),
        signers=(Signer("CÁN BỘ YÊU CẦU", "Đại úy, số hiệu 079-112"),),
        drill="",
        drill_note="",
        code='{"hoatoc":1,"target":{"kind":"url","value":"https://lừa-đảo.example/đăng-nhập?a=1"}}',
        code_alt="Mã QR",
        machine=("SHA-256: " + "ab" * 32,),
        files=(
            File("order.json", ORDER, "application/json", "Nguyên văn lệnh", "source"),
            File("order.jws", "eyJh..sig", "application/jose", "Chữ ký", "supplement"),
        ),
    )
    return dataclasses.replace(made, **changes)


@pytest.fixture(scope="module")
def plain() -> bytes:
    return page.lay_out(letter())


@pytest.fixture(scope="module")
def private() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def sealed(plain: bytes, private: ec.EllipticCurvePrivateKey) -> bytes:
    return seal.seal(plain, by(private), reason="Lệnh 1", place="https://hub.example")


def by(private: ec.EllipticCurvePrivateKey) -> seal.Seal:
    return seal.self_made(private, KID, "https://hub.example", NOW - timedelta(days=1), NOW + timedelta(days=30))


def text_of(pdf: bytes) -> str:
    document = pypdfium2.PdfDocument(pdf)
    return "\n".join(sheet.get_textpage().get_text_range() for sheet in document).replace("\u200b", "")


def codes_of(pdf: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(pdf)
    pictures = [sheet.render(scale=3).to_pil() for sheet in document]
    return [
        found.text for picture in pictures for found in zxingcpp.read_barcodes(picture, zxingcpp.BarcodeFormat.QRCode)
    ]


def test_the_letter_says_what_it_was_given_on_a4(plain: bytes) -> None:
    document = pypdfium2.PdfDocument(plain)
    assert [round(points) for points in document[0].get_size()] == [595, 842]
    text = text_of(plain)
    for said in ("CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", "HỎA TỐC", "9990001112223", "Ngày 30 tháng 11 năm 2026"):
        assert said in text


def test_a_scanner_reads_the_target_out_of_the_printed_page(plain: bytes) -> None:
    assert codes_of(plain) == [letter().code]


def test_the_order_and_the_hubs_signature_travel_inside_the_letter(sealed: bytes) -> None:
    document = pypdfium2.PdfDocument(sealed)
    files = {
        (each := document.get_attachment(place)).get_name(): bytes(each.get_data())
        for place in range(document.count_attachments())
    }
    assert files == {"order.json": ORDER.encode(), "order.jws": b"eyJh..sig"}


def test_it_is_made_for_archives_with_the_typeface_of_the_decree_inside(plain: bytes) -> None:
    read = PdfFileReader(io.BytesIO(plain))
    metadata = read.root["/Metadata"].data.decode()
    assert "<pdfaid:part>3</pdfaid:part>" in metadata and "<pdfaid:conformance>A</pdfaid:conformance>" in metadata
    assert read.root["/MarkInfo"]["/Marked"] and read.root["/Lang"] == "vi"
    fonts = read.root["/Pages"]["/Kids"][0]["/Resources"]["/Font"]
    assert fonts and all("LiberationSerif" in str(fonts[name]["/BaseFont"]) for name in fonts)


async def test_its_seal_is_valid_over_the_whole_file(sealed: bytes, private: ec.EllipticCurvePrivateKey) -> None:
    (status,) = await _statuses(sealed, private)
    assert status.intact and status.valid and status.trusted
    assert status.coverage.name == "ENTIRE_FILE"
    (signature,) = PdfFileReader(io.BytesIO(sealed)).embedded_signatures
    assert signature.sig_object["/SubFilter"] == "/ETSI.CAdES.detached"
    certificate = signature.signer_cert
    assert (
        certificate.public_key.native["public_key"]
        == asn1_x509.Certificate.load(
            by(private).certificate.public_bytes(serialization.Encoding.DER)
        ).public_key.native["public_key"]
    )


async def test_one_changed_byte_breaks_the_seal(sealed: bytes, private: ec.EllipticCurvePrivateKey) -> None:
    at = sealed.index(b"/Title")
    changed = sealed[:at] + b"/Tjtle" + sealed[at + 6 :]
    (status,) = await _statuses(changed, private)
    assert not status.intact


async def test_another_key_is_not_trusted(sealed: bytes) -> None:
    (status,) = await _statuses(sealed, ec.generate_private_key(ec.SECP256R1()))
    assert status.intact and not status.trusted


def test_what_is_put_in_is_text_and_never_markup() -> None:
    hostile = '#panic("x") *bold* $a$ ] #[ \\ @ref // <label> "quoted" [link](x)'
    made = page.lay_out(letter(demand=hostile, lines=(Line("l", hostile, notes=(hostile,)),)))
    assert text_of(made).replace("\r\n", " ").count('#panic("x") *bold* $a$ ] #[') >= 2


def test_a_sign_without_a_picture_is_named_by_its_code_and_stays_in_the_order() -> None:
    order = json.dumps({"holder": "王🏦"}, ensure_ascii=False)
    file = File("order.json", order, "application/json", "Nguyên văn lệnh", "source")
    made = page.lay_out(letter(lines=(Line("Chủ tài khoản", "王🏦 Ngô Bảo\x01"),), files=(file,), code=order))
    assert "[U+738B][U+1F3E6] Ngô Bảo[U+0001]" in text_of(made).replace("\r\n", "")
    assert codes_of(made) == [order]
    assert bytes(pypdfium2.PdfDocument(made).get_attachment(0).get_data()) == order.encode()


def test_what_is_said_to_have_a_picture_has_one_in_all_four_styles() -> None:
    styles = [set(TTFont(path).getBestCmap()) for path in (Path(page.__file__).parent / "fonts").glob("*.ttf")]
    assert len(styles) == 4 and page._covered() <= set.intersection(*styles)
    assert set(map(ord, "ỘƯĐ₫ắỵ–…")) <= page._covered()


def test_a_long_order_goes_on_over_numbered_pages_and_breaks_what_has_no_blanks() -> None:
    lines = tuple(Line(f"Dòng {number}", "https://" + "a" * 900) for number in range(12))
    made = page.lay_out(letter(lines=lines))
    document = pypdfium2.PdfDocument(made)
    assert len(document) > 2
    # The address is inside the margins: each page's text lies left of the edge of the text area.
    for sheet in document:
        words = sheet.get_textpage()
        rights = [words.get_charbox(place)[2] for place in range(words.count_chars())]
        assert max(rights) <= 595 - 16 / 25.4 * 72 + 1
    assert document[1].get_textpage().get_text_range().strip().startswith("2")


def test_the_longest_target_still_fits_into_a_code_and_a_longer_one_is_refused() -> None:
    content = json.dumps({"value": "https://" + "a" * 2_040, "more": "b" * 400})
    assert codes_of(page.lay_out(letter(code=content))) == [content]
    assert barcode.draw(content).width > barcode.draw("short").width
    with pytest.raises(ValueError, match="longer than any"):
        barcode.draw("a" * 2_954)


def test_the_certificate_of_one_key_is_always_the_same_one(private: ec.EllipticCurvePrivateKey) -> None:
    first, second = by(private).certificate, by(private).certificate
    assert first.serial_number == second.serial_number
    assert first.tbs_certificate_bytes == second.tbs_certificate_bytes
    kid = first.subject.rfc4514_string()
    assert KID in kid


def test_the_digest_of_the_attached_order_is_what_a_reader_computes() -> None:
    assert hashlib.sha256(ORDER.encode()).hexdigest() in text_of(
        page.lay_out(letter(machine=(hashlib.sha256(ORDER.encode()).hexdigest(),)))
    )


async def _statuses(pdf: bytes, private: ec.EllipticCurvePrivateKey) -> list[Any]:
    trusted = asn1_x509.Certificate.load(by(private).certificate.public_bytes(serialization.Encoding.DER))
    context = ValidationContext(trust_roots=[trusted], allow_fetching=False)
    signatures = PdfFileReader(io.BytesIO(pdf)).embedded_signatures
    return [await async_validate_pdf_signature(each, context) for each in signatures]
