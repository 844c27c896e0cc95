"""The reader of pasted texts on messages as victims and banks write them; accounts, numbers and names are made up."""

import random
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import directory
from service.schemas.targets import canonical_host
from workflows import finding, routing, suggesting
from workflows.finding import Reading
from workflows.routing import AliasEntry, Directory, Member
from workflows.suggesting import Confidence, Why
from workflows.terms import Measure, TargetKind

TODAY = date(2026, 11, 30)


def _shipped() -> Directory:
    aliases: dict[tuple[str, str], list[AliasEntry]] = {}
    for row in directory.aliases():
        entry = AliasEntry(row.participant_id, row.valid_from, row.valid_to)
        aliases.setdefault((row.scheme, row.value), []).append(entry)
    members = {row.id: Member(row.id, row.sector) for row in directory.participants()}
    return Directory({key: tuple(entries) for key, entries in aliases.items()}, members)


# The real one: 62 banks and wallets, the operators' prefixes, platforms and their hosts.
DIRECTORY = _shipped()


def is_host(name: str) -> bool:
    try:
        canonical_host(name)
    except ValueError:
        return False
    return True


def read(text: str) -> Reading:
    return finding.read(text, DIRECTORY, TODAY, is_host)


def found(text: str) -> list[tuple[TargetKind, str]]:
    return [(each.kind, each.value) for each in read(text).targets]


def suggested(text: str) -> list[tuple[str, Confidence, Why] | None]:
    return [
        (each.suggestion.participants[0], each.suggestion.confidence, each.suggestion.why) if each.suggestion else None
        for each in read(text).targets
    ]


STATEMENT = """Khoảng 10:32 ngày 20/11/2026 tôi bị lừa chuyển 150.000.000đ vào STK 1903 5678 9012 345 Techcombank chủ TK
NGUYEN VAN MAU. Sau đó chuyển tiếp 35 triệu vào 0071009990007 vcb (TRAN THI MAU). Chúng gọi từ số 0912 999 000,
zalo 098.999.0001, xưng là cán bộ, CCCD 079123456789, đòi mã OTP 123456.
Trang: hxxps://vietcombank-xacthuc[.]top/login và vcb-digibank.online, thư ho-tro@vcb-mau.com. TP.HCM, v.v."""


def test_a_victims_statement_is_read_line_by_line() -> None:
    assert found(STATEMENT) == [
        (TargetKind.ACCOUNT, "190356789012345"),
        (TargetKind.ACCOUNT, "0071009990007"),
        (TargetKind.PHONE, "+84912999000"),
        (TargetKind.PHONE, "+84989990001"),
        (TargetKind.URL, "https://vietcombank-xacthuc.top/login"),
        (TargetKind.DOMAIN, "vcb-digibank.online"),
        (TargetKind.EMAIL, "ho-tro@vcb-mau.com"),
    ]
    assert read(STATEMENT).sums == (150_000_000, 35_000_000)
    # A host that has a bank's name in it is no bank; what one names is the bank beside the number.
    assert suggested(STATEMENT)[:4] == [
        ("techcombank", Confidence.HIGH, Why.BESIDE),
        ("vietcombank", Confidence.HIGH, Why.BESIDE),
        ("vinaphone", Confidence.MEDIUM, Why.PREFIX),
        ("viettel", Confidence.MEDIUM, Why.PREFIX),
    ]
    assert [each.holder for each in read(STATEMENT).targets[:2]] == ["NGUYEN VAN MAU", "TRAN THI MAU"]


@pytest.mark.parametrize(
    ("text", "kind", "value", "at", "holder"),
    [
        ("MB 0912999000 LE VAN MAU", TargetKind.ACCOUNT, "0912999000", "mbbank", "LE VAN MAU"),
        ("Ví MoMo 0912999000 tên PHAM THI MAU", TargetKind.WALLET, "0912999000", "momo", "PHAM THI MAU"),
        ("stk: 0071009990007 - acb - hoang van mau", TargetKind.ACCOUNT, "0071009990007", "acb", ""),
        (
            "Ngân hàng TMCP Ngoại thương Việt Nam, tài khoản 0071009990007, chủ tài khoản: ĐỖ VĂN MẪU",
            TargetKind.ACCOUNT,
            "0071009990007",
            "vietcombank",
            "ĐỖ VĂN MẪU",
        ),
        ("thẻ 9704 3600 0999 0001", TargetKind.CARD, "9704360009990001", "vietcombank", ""),
        ("Số tài khoản 123456 Agribank", TargetKind.ACCOUNT, "123456", "agribank", ""),
        ("so tai khoan 0001009990 NH BIDV", TargetKind.ACCOUNT, "0001009990", "bidv", ""),
    ],
)
def test_money_is_found_with_its_bank_and_holder(text: str, kind: TargetKind, value: str, at: str, holder: str) -> None:
    [each] = read(text).targets
    assert (each.kind, each.value, each.holder) == (kind, value, holder)
    assert each.suggestion is not None and each.suggestion.participants == (at,)


def test_how_sure_a_bank_is_follows_from_where_it_stands() -> None:
    number = "số tài khoản 0071009990007"
    assert suggested(f"Vietcombank\n\n{number}") == [("vietcombank", Confidence.MEDIUM, Why.ALONE)]
    assert suggested(f"Vietcombank, ACB\n{number}") == [("acb", Confidence.LOW, Why.AMONG)]
    assert suggested(f"{number} Techcombank\nVietcombank") == [("techcombank", Confidence.HIGH, Why.BESIDE)]
    assert suggested(number) == [None]
    # The victim's own bank is named in the same line: sure is only what stands right beside the number.
    assert suggested(f"từ Agribank sang {number} Techcombank") == [("techcombank", Confidence.HIGH, Why.BESIDE)]
    assert suggested(f"từ Agribank hay ACB, tới {number}") == [("acb", Confidence.LOW, Why.AMONG)]
    # "mb" is also a unit, and counts where it stands right beside the number.
    assert suggested(f"ảnh chụp 5 mb\n{number}") == [None]
    assert suggested(f"{number} mb") == [("mbbank", Confidence.HIGH, Why.BESIDE)]


@pytest.mark.parametrize(
    "text",
    [
        "Họp lúc 10:32 ngày 20.11.2026, phòng 12, TP.HCM, điểm a.b khoản 3",
        "CCCD 079123456789, mã giao dịch 990011223344",
        "Đã nhận 1.500.000.000 đồng và 20,000,000 VND, 500k, 2 tr",
        "mã OTP: 123456",
        "",
    ],
)
def test_dates_sums_papers_and_codes_are_no_targets(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "sums"),
    [
        ("chuyển 150.000.000đ", (150_000_000,)),
        ("1,5 tỷ, rồi 20 triệu, rồi 500k", (1_500_000_000, 20_000_000, 500_000)),
        ("20,000,000 VND", (20_000_000,)),
        ("100 đồng", (100,)),
        ("0912999000 đ", ()),
        ("12 người, 3 ngày", ()),
        ("999.999.999.999.999 đ, 100000000000001 đồng", (999_999_999_999_999, 100_000_000_000_001)),
        ("123456789,57 k", (123_456_789_570,)),
        # No request can name as much.
        ("1.000.000.000.000.000 đ, 5000000 tỷ", ()),
    ],
)
def test_sums_of_money_are_read_as_people_write_them(text: str, sums: tuple[int, ...]) -> None:
    assert read(text).sums == sums


def test_numbers_are_read_in_each_way_of_writing_them() -> None:
    for written in ("0912999000", "0912 999 000", "091.299.9000", "+84 912 999 000", "84912999000", "(+84)912999000"):
        assert found(f"gọi {written} ngay") == [(TargetKind.PHONE, "+84912999000")], written
    assert found("máy bàn 028 3999 0001") == [(TargetKind.PHONE, "+842839990001")]
    # One after the other, with nothing but a blank between them.
    assert found("0912 999 000 0913 999 000") == [
        (TargetKind.PHONE, "+84912999000"),
        (TargetKind.PHONE, "+84913999000"),
    ]


def test_hosts_that_are_on_a_public_list_of_scams_are_found_as_people_send_them() -> None:
    hosts = directory.scam_hosts_sample()
    missed = []
    for host in hosts:
        hidden = host.replace(".", "[.]")
        for text, wanted in (
            (f"Bấm vào {host}.", (TargetKind.DOMAIN, host.lower())),
            (f"hxxps://{hidden}/dang-nhap?x=1, ngay", (TargetKind.URL, f"https://{host}/dang-nhap?x=1")),
        ):
            if found(text) != [wanted]:
                missed.append((text, found(text)))
    # Beside the few that are public suffixes themselves, of which the hub takes nothing down.
    assert [each for each in missed if is_host(each[0].split()[-1].rstrip("."))][:3] == []
    assert len(missed) <= len(hosts) // 20


def test_a_digest_behind_an_address_makes_it_content() -> None:
    one, two, three = "ab" * 32, "12" * 32, "0F" * 32
    text = (
        f"Video ghép mặt: https://facebook.com/mau/videos/1 sha256 {one}; bản khác {two}\n"
        f"Ảnh: hxxps://mau[.]example.com/anh.jpg\nSHA-256: {three}\n\nXem https://facebook.com/mau\n\n\n{one}"
    )
    assert [(each.kind, each.value, each.sha256) for each in read(text).targets] == [
        (TargetKind.CONTENT, "https://facebook.com/mau/videos/1", one),
        (TargetKind.CONTENT, "https://facebook.com/mau/videos/1", two),
        (TargetKind.CONTENT, "https://mau.example.com/anh.jpg", three.lower()),
        # What stands further off is another matter.
        (TargetKind.URL, "https://facebook.com/mau", ""),
    ]
    assert suggested(text)[0] == ("meta", Confidence.HIGH, Why.HOST)


def test_a_digest_means_the_nearest_address_however_either_is_written() -> None:
    digest = "ab" * 32
    for text in (
        f"tiktok.com/@a/video/1 https://x.com/b {digest}",
        f"https://tiktok.com/@a/video/1 x.com/b {digest}",
        f"https://tiktok.com/@a/video/1 https://x.com/b {digest}",
    ):
        assert [(each.kind, each.value, each.sha256) for each in read(text).targets] == [
            (TargetKind.URL, "https://tiktok.com/@a/video/1", ""),
            (TargetKind.CONTENT, "https://x.com/b", digest),
        ], text


def test_a_domain_to_be_suspended_is_its_registrars() -> None:
    named = routing.RoutingTarget(TargetKind.DOMAIN, "mau.vn")
    block, suspend = (suggesting.by_route(named, DIRECTORY, TODAY, each) for each in (Measure.BLOCK, Measure.SUSPEND))
    assert block is not None and block.why is Why.EVERYBODY
    assert suspend is not None and suspend.participants[0] == "vnnic"


def test_what_nobody_sees_in_a_copied_text_hides_nothing() -> None:
    assert found("STK 0071\u200b009990\u00ad007 VCB") == [(TargetKind.ACCOUNT, "0071009990007")]


@given(
    st.one_of(
        st.text(max_size=300),
        st.text(alphabet=st.sampled_from("0123456789 .-,/:@đ₫TKSvcbMB\nhtps[]"), max_size=300),
        # As many digits as a pasted text may have, before each word that makes a sum of them.
        st.builds(
            lambda digit, count, end: digit * count + end,
            st.sampled_from("0179٣.,"),
            st.integers(1, 9_990),
            st.sampled_from(("k", " tỷ", "đ", " đồng", ",5 tr", ".000 đ", " vnd")),
        ),
    )
)
def test_no_text_breaks_it_and_nothing_is_found_twice(text: str) -> None:
    reading = read(text)
    targets = [(each.kind, each.value) for each in reading.targets]
    assert len(set(targets)) == len(targets) <= finding.MOST
    assert all(type(each) is int and 0 < each < 10**15 for each in reading.sums)


def test_a_long_text_is_read_at_once() -> None:
    draw = random.Random(7)
    line = " ".join("".join(draw.choices("0123456789.-ab", k=draw.randrange(1, 20))) for _ in range(2_000))
    assert len(read(line[:10_000]).targets) <= finding.MOST


def test_the_directory_itself_suggests_who_holds_a_card_a_number_or_a_page() -> None:
    def says(kind: TargetKind, value: str) -> tuple[str, Why] | None:
        one = suggesting.by_route(routing.RoutingTarget(kind, value), DIRECTORY, TODAY)
        return (one.participants[0], one.why) if one else None

    assert says(TargetKind.CARD, "9704360009990001") == ("vietcombank", Why.ISSUER)
    assert says(TargetKind.PHONE, "+84989990001") == ("viettel", Why.PREFIX)
    assert says(TargetKind.ACCOUNT, "0071009990007") is None
    page = suggesting.by_route(routing.RoutingTarget(TargetKind.URL, "https://facebook.com/x"), DIRECTORY, TODAY)
    # The platform that runs it stands before all who can block it.
    assert page is not None and (page.why, page.participants[0]) == (Why.HOST, "meta")
