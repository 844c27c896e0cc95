"""Routing on a small made-up directory: aliases with dates, longest prefixes, hosts, and what is unknown."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workflows import routing
from workflows.routing import AliasEntry, Directory, Member, Recipient, RoutingTarget, UnknownInstitution
from workflows.terms import Measure, Sector, TargetKind

TODAY = date(2026, 3, 2)
MERGED = date(2025, 1, 1)

MEMBERS = {
    "vcb": Sector.BANK,
    "mbv": Sector.BANK,
    "oceanbank": Sector.BANK,
    "momo": Sector.WALLET,
    "viettel_money": Sector.WALLET,
    "viettel": Sector.TELECOM,
    "vinaphone": Sector.TELECOM,
    "mobifone": Sector.TELECOM,
    "isp_b": Sector.ISP,
    "isp_a": Sector.ISP,
    "facebook": Sector.PLATFORM,
    "google": Sector.PLATFORM,
    "vnnic": Sector.REGISTRAR,
    "sbv": Sector.SUPERVISOR,
}


def entry(participant_id: str, valid_from: date | None = None, valid_to: date | None = None) -> AliasEntry:
    return AliasEntry(participant_id, valid_from, valid_to)


DIRECTORY = Directory(
    by_alias={
        ("bin", "970436"): (entry("vcb"),),
        ("bin", "970414"): (entry("oceanbank", None, MERGED - timedelta(days=1)), entry("mbv", MERGED)),
        ("swift", "BFTVVNVX"): (entry("vcb"),),
        ("name", "vietcombank"): (entry("vcb"),),
        ("name", "oceanbank"): (entry("oceanbank", None, MERGED - timedelta(days=1)), entry("mbv", MERGED)),
        ("name", "momo"): (entry("momo"),),
        ("name", "viettel"): (entry("viettel"), entry("viettel_money")),
        ("name", "vinaphone"): (entry("vinaphone"),),
        ("name", "facebook"): (entry("facebook"),),
        ("name", "nganhangnhanuoc"): (entry("sbv"),),
        ("e164_prefix", "+848"): (entry("vinaphone"),),
        ("e164_prefix", "+8486"): (entry("viettel"),),
        ("e164_prefix", "+8489"): (entry("mobifone"),),
        ("mcc_mnc", "45202"): (entry("vinaphone"),),
        ("host", "facebook.com"): (entry("facebook"),),
        ("host", "gmail.com"): (entry("google"),),
        ("host", "sites.google.com"): (entry("google"),),
        ("tld", "vn"): (entry("vnnic"),),
    },
    participants={name: Member(name, sector) for name, sector in MEMBERS.items()},
)
BOTH_ISPS = [("isp_a", "sector"), ("isp_b", "sector")]


def recipients(target: RoutingTarget, measure: Measure | None = None, today: date = TODAY) -> list[tuple[str, str]]:
    found = routing.route(target, DIRECTORY, today, measure)
    return [(recipient.participant_id, recipient.why) for recipient in found.participants]


def unknown(target: RoutingTarget, directory: Directory = DIRECTORY) -> tuple[str, str]:
    with pytest.raises(UnknownInstitution) as raised:
        routing.route(target, directory, TODAY)
    return raised.value.field, raised.value.value


def account(institution: str | None, kind: TargetKind = TargetKind.ACCOUNT) -> RoutingTarget:
    return RoutingTarget(kind, "0071000000001", institution=institution)


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("970436", "bin"),
        ("BFTVVNVX", "swift"),
        ("bftvvnvx", "swift"),
        ("BFTVVNVX007", "swift"),
        ("Vietcombank", "name"),  # eleven letters, shaped like a SWIFT code
        (" Việt Com-Bank ", "name"),
    ],
)
def test_a_bank_is_found_by_its_bin_its_swift_code_or_its_short_name(named: str, why: str) -> None:
    assert recipients(account(named)) == [("vcb", why)]


@pytest.mark.parametrize("named", ["970414", "OceanBank"])
def test_a_merged_bank_is_its_successor_from_the_day_of_the_merger(named: str) -> None:
    assert recipients(account(named))[0][0] == "mbv"
    assert recipients(account(named), today=MERGED)[0][0] == "mbv"
    assert recipients(account(named), today=MERGED - timedelta(days=1))[0][0] == "oceanbank"


def test_of_two_valid_entries_the_younger_wins() -> None:
    entries = (entry("oceanbank"), entry("mbv", MERGED))
    for both in (entries, entries[::-1]):
        directory = replace(DIRECTORY, by_alias={("bin", "970414"): both})
        assert routing.route(account("970414"), directory, TODAY).participants == (Recipient("mbv", "bin"),)


def test_a_card_is_routed_by_its_first_six_digits_unless_the_institution_is_named() -> None:
    card = RoutingTarget(TargetKind.CARD, "9704360000000001")
    assert recipients(card) == [("vcb", "bin")]
    assert recipients(replace(card, institution="OceanBank")) == [("mbv", "name")]
    assert unknown(replace(card, value="4111110000000001")) == ("value", "411111")


def test_a_name_that_a_wallet_and_a_telecom_share_means_the_one_that_holds_money() -> None:
    assert recipients(account("Viettel", TargetKind.WALLET)) == [("viettel_money", "name")]
    assert recipients(account("MoMo", TargetKind.WALLET)) == [("momo", "name")]


@pytest.mark.parametrize("named", ["999999", "ZZZZVNVX", "No Such Bank", "Vinaphone", "Ngân hàng Nhà nước", "", None])
@pytest.mark.parametrize("kind", [TargetKind.ACCOUNT, TargetKind.WALLET])
def test_an_institution_that_nobody_knows_is_refused_naming_the_field(named: str | None, kind: TargetKind) -> None:
    assert unknown(account(named, kind)) == ("institution", named or "")


@pytest.mark.parametrize(
    ("number", "telecom"),
    [("+84860000001", "viettel"), ("+84890000001", "mobifone"), ("+84810000001", "vinaphone")],
)
def test_the_longest_known_prefix_names_the_telecom(number: str, telecom: str) -> None:
    assert recipients(RoutingTarget(TargetKind.PHONE, number)) == [(telecom, "e164_prefix")]


def test_a_number_of_no_known_prefix_is_refused_without_repeating_it() -> None:
    assert unknown(RoutingTarget(TargetKind.PHONE, "+84700000001")) == ("value", "+8470")


def test_a_sender_name_goes_to_every_telecom() -> None:
    sender = RoutingTarget(TargetKind.SMS_SENDER, "VNPOST")
    assert [name for name, _ in recipients(sender)] == ["mobifone", "viettel", "vinaphone"]


def test_a_domain_goes_to_every_isp_and_to_the_registrar_only_when_it_is_suspended() -> None:
    domain = RoutingTarget(TargetKind.DOMAIN, "login.example-scam.vn")
    assert recipients(domain, Measure.BLOCK) == BOTH_ISPS
    assert recipients(domain, Measure.SUSPEND) == [*BOTH_ISPS, ("vnnic", "tld")]
    assert recipients(replace(domain, value="example-scam.com"), Measure.SUSPEND) == BOTH_ISPS


@pytest.mark.parametrize("host", ["facebook.com", "m.facebook.com", "M.Facebook.COM.", "a.b.facebook.com"])
def test_a_url_on_a_known_host_goes_to_its_platform_too(host: str) -> None:
    assert recipients(RoutingTarget(TargetKind.URL, f"https://{host}/x", host=host)) == [
        *BOTH_ISPS,
        ("facebook", "host"),
    ]
    assert recipients(RoutingTarget(TargetKind.URL, f"https://{host}/x")) == [*BOTH_ISPS, ("facebook", "host")]


@pytest.mark.parametrize("host", ["notfacebook.com", "facebook.com.example.net", "google.com", "com"])
def test_a_host_that_only_looks_like_a_known_one_goes_to_the_isps_alone(host: str) -> None:
    assert recipients(RoutingTarget(TargetKind.URL, f"http://{host}/", host=host)) == BOTH_ISPS


def test_a_url_that_cannot_be_read_names_no_platform() -> None:
    assert unknown(RoutingTarget(TargetKind.CONTENT, "http://[oops/")) == ("platform", "")


def test_an_e_mail_address_goes_to_the_platform_of_its_host_and_an_unknown_host_is_refused() -> None:
    assert recipients(RoutingTarget(TargetKind.EMAIL, "made.up@GMAIL.com")) == [("google", "host")]
    assert unknown(RoutingTarget(TargetKind.EMAIL, "made.up@example.net")) == ("value", "example.net")


@pytest.mark.parametrize("kind", [TargetKind.SOCIAL_ACCOUNT, TargetKind.CONTENT])
def test_accounts_and_content_go_to_the_named_platform_or_that_of_the_url(kind: TargetKind) -> None:
    assert recipients(RoutingTarget(kind, "made.up.page", platform="Facebook")) == [("facebook", "name")]
    assert recipients(RoutingTarget(kind, "https://m.facebook.com/made.up")) == [("facebook", "host")]
    assert unknown(RoutingTarget(kind, "made.up.page", platform="Orkut")) == ("platform", "Orkut")
    assert unknown(RoutingTarget(kind, "https://example.net/made.up")) == ("platform", "example.net")


@pytest.mark.parametrize("status", ["closed", "merged"])
def test_a_closed_member_gets_nothing_and_an_unreachable_one_still_its_order(status: str) -> None:
    def with_vcb(status: str) -> Directory:
        return replace(DIRECTORY, participants={**DIRECTORY.participants, "vcb": Member("vcb", Sector.BANK, status)})

    assert unknown(account("970436"), with_vcb(status)) == ("institution", "970436")
    assert routing.route(account("970436"), with_vcb("suspended"), TODAY).participants == (Recipient("vcb", "bin"),)


def test_an_order_for_everybody_in_a_directory_of_nobody_is_refused() -> None:
    empty = Directory({}, {})
    assert unknown(RoutingTarget(TargetKind.SMS_SENDER, "VNPOST"), empty) == ("value", "VNPOST")
    assert unknown(RoutingTarget(TargetKind.DOMAIN, "example-scam.vn"), empty) == ("value", "example-scam.vn")


def test_a_participant_that_two_aliases_name_gets_one_order_for_the_first_reason() -> None:
    directory = Directory(
        {("tld", "vn"): (entry("vnnic"), entry("vnnic"))},
        {"vnnic": Member("vnnic", Sector.REGISTRAR), "isp_a": Member("isp_a", Sector.ISP)},
    )
    found = routing.route(RoutingTarget(TargetKind.DOMAIN, "x.vn"), directory, TODAY, Measure.SUSPEND)
    assert found.participants == (Recipient("isp_a", "sector"), Recipient("vnnic", "tld"))


@pytest.mark.parametrize(
    ("named", "why"),
    [("vinaphone", "id"), ("VinaPhone", "name"), ("452-02", "mcc_mnc"), ("45202", "mcc_mnc")],
)
def test_ported_to_is_understood_as_an_id_a_name_or_a_network_code(named: str, why: str) -> None:
    assert routing.ported_to(named, TargetKind.PHONE, DIRECTORY, TODAY) == Recipient("vinaphone", why)


@pytest.mark.parametrize("named", ["vcb", "452-99", "Nobody", "", "isp_a"])
def test_ported_to_somebody_who_cannot_hold_the_target_is_refused(named: str) -> None:
    with pytest.raises(UnknownInstitution) as raised:
        routing.ported_to(named, TargetKind.PHONE, DIRECTORY, TODAY)
    assert raised.value.field == "ported_to"


def test_a_folded_name_has_no_accents_spaces_or_punctuation() -> None:
    assert routing.fold("Ngân hàng Đông Á (DongA Bank)") == "nganhangdongadongabank"
    assert routing.fold("TPBank-ĐẶC") == "tpbankdac"


PREFIXES = st.dictionaries(st.from_regex(r"\+84[0-9]{1,5}", fullmatch=True), st.sampled_from(["viettel", "mobifone"]))
NUMBERS = st.from_regex(r"\+84[0-9]{9}", fullmatch=True)


@given(PREFIXES, NUMBERS)
def test_whatever_the_prefixes_the_longest_one_wins(prefixes: dict[str, str], number: str) -> None:
    directory = replace(
        DIRECTORY, by_alias={("e164_prefix", prefix): (entry(who),) for prefix, who in prefixes.items()}
    )
    fitting = [prefix for prefix in prefixes if number.startswith(prefix)]
    target = RoutingTarget(TargetKind.PHONE, number)
    if not fitting:
        assert unknown(target, directory) == ("value", number[:5])
    else:
        expected = Recipient(prefixes[max(fitting, key=len)], "e164_prefix")
        assert routing.route(target, directory, TODAY).participants == (expected,)


@given(
    st.sampled_from(TargetKind),
    st.text(max_size=30),
    st.none() | st.text(max_size=12) | st.sampled_from(["970436", "viettel"]),
    st.none() | st.text(max_size=20) | st.sampled_from(["facebook.com", "x.vn"]),
    st.sampled_from([None, *Measure]),
)
def test_any_target_is_routed_to_somebody_of_its_sectors_or_refused_naming_a_field(
    kind: TargetKind, value: str, named: str | None, host: str | None, measure: Measure | None
) -> None:
    target = RoutingTarget(kind, value, institution=named, platform=named, host=host)
    try:
        found = routing.route(target, DIRECTORY, TODAY, measure).participants
    except UnknownInstitution as error:
        assert error.field in {"institution", "value", "platform"}
        return
    names = [recipient.participant_id for recipient in found]
    assert names
    assert len(set(names)) == len(names)
    assert {DIRECTORY.participants[name].sector for name in names} <= routing.SECTORS[kind]


@given(st.text(max_size=40))
@example("𝑨")
@example("ẞ")
def test_folding_twice_is_folding_once(name: str) -> None:
    assert routing.fold(routing.fold(name)) == routing.fold(name)
