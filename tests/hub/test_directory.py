"""The shipped directory: complete, unambiguous, each bank and number range leads to the right participant."""

import csv
import re
from collections import Counter, defaultdict
from datetime import date
from importlib import resources
from pathlib import Path

import pytest

from service import directory
from workflows import routing, terms

TODAY = date(2026, 11, 23)
DATA = resources.files("service.directory") / "data"
MONEY = frozenset({terms.Sector.BANK, terms.Sector.WALLET})

# Every key of the public list that is not a participant of its own, and who answers for it.
ANSWERED_BY_ANOTHER = {
    "oceanbank": "mbv",
    "lienvietpostbank": "lpbank",
    "dongabank": "vikki",
    "cbbank": "vcbneo",
    "cake": "vpbank",
    "ubank": "vpbank",
    "timo": "banviet",
    "liobank": "ocb",
}
OPERATORS = {
    "Viettel": "viettel",
    "Vinaphone": "vinaphone",
    "MobiFone": "mobifone",
    "Vietnamobile": "vietnamobile",
    "G-Mobile": "gmobile",
    "Reddi": "wintel",
    "Indochina Telecom": "itel",
}

PARTICIPANTS = {row.id: row for row in directory.participants()}
ALIASES = list(directory.aliases())
LIST = list(csv.DictReader((DATA / "banks.csv").read_text(encoding="utf-8").splitlines()))
PREFIXES = list(csv.DictReader((DATA / "carrier_prefixes.csv").read_text(encoding="utf-8").splitlines()))


def as_routing_sees_it() -> routing.Directory:
    by_alias: dict[tuple[str, str], tuple[routing.AliasEntry, ...]] = {}
    for alias in ALIASES:
        entry = routing.AliasEntry(alias.participant_id, alias.valid_from, alias.valid_to)
        by_alias[alias.scheme, alias.value] = (*by_alias.get((alias.scheme, alias.value), ()), entry)
    return routing.Directory(by_alias, {row.id: routing.Member(row.id, row.sector) for row in PARTICIPANTS.values()})


DIRECTORY = as_routing_sees_it()


def recipients(target: routing.RoutingTarget, measure: terms.Measure | None = None, today: date = TODAY) -> set[str]:
    return {recipient.participant_id for recipient in routing.route(target, DIRECTORY, today, measure).participants}


def account_at(institution: str, today: date = TODAY) -> set[str]:
    made_up = routing.RoutingTarget(terms.TargetKind.ACCOUNT, "000111", institution=institution)
    return recipients(made_up, today=today)


def answering(row: dict[str, str]) -> str:
    return ANSWERED_BY_ANOTHER.get(row["key"], row["key"])


def test_the_directory_is_as_large_as_its_sources() -> None:
    assert Counter(row.sector for row in PARTICIPANTS.values()) == {
        terms.Sector.AGENCY: 4 + 3 * 34 + 3321,
        terms.Sector.BANK: 54,
        terms.Sector.WALLET: 15,
        terms.Sector.TELECOM: 10,
        terms.Sector.ISP: 11,
        terms.Sector.PLATFORM: 25,
        terms.Sector.REGISTRAR: 13,
        terms.Sector.SUPERVISOR: 5,
        terms.Sector.HUB: 1,
    }
    assert len(LIST) == 62
    assert len(PREFIXES) == 30
    assert Counter(unit.code == unit.province_code for unit in directory.units()) == {True: 34, False: 3321}


def test_no_id_comes_twice_and_each_is_a_slug() -> None:
    ids = [row.id for row in directory.participants()]
    assert len(ids) == len(set(ids))
    assert [slug for slug in ids if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug)] == []


def test_every_parent_and_supervisor_stands_before_the_row_that_names_it() -> None:
    seen: dict[str, terms.Sector] = {}
    for row in directory.participants():
        if row.parent_id is not None:
            assert seen[row.parent_id] is row.sector
        if row.supervisor_id is not None:
            assert seen[row.supervisor_id] is terms.Sector.SUPERVISOR
        seen[row.id] = row.sector


def test_every_sector_that_receives_orders_has_a_supervisor_and_no_other_has() -> None:
    unsupervised = {terms.Sector.AGENCY, terms.Sector.SUPERVISOR, terms.Sector.HUB}
    for row in PARTICIPANTS.values():
        assert (row.supervisor_id is None) == (row.sector in unsupervised), row.id
        assert row.supervisor_id == directory.supervisors_by_sector().get(row.sector)


def test_only_the_rows_of_the_public_list_need_no_confirmation() -> None:
    listed = {row["key"] for row in LIST} - set(ANSWERED_BY_ANOTHER)
    assert {row.id for row in PARTICIPANTS.values() if not row.to_be_confirmed} == listed


def test_every_name_is_filled_in() -> None:
    for row in PARTICIPANTS.values():
        assert row.name_vi and row.name_en and row.short_name, row.id


def test_every_alias_leads_to_a_participant_and_comes_once() -> None:
    assert {alias.participant_id for alias in ALIASES} <= set(PARTICIPANTS)
    keys = [(alias.participant_id, alias.scheme, alias.value) for alias in ALIASES]
    assert len(keys) == len(set(keys))


def test_every_alias_has_the_form_of_its_scheme() -> None:
    forms = {
        "bin": r"\d{6}",
        "swift": r"[A-Z]{4}VN[A-Z0-9]{2}",
        "name": r"[a-z0-9]+",
        "e164_prefix": r"\+84\d{1,4}",
        "mcc_mnc": r"452\d{2}",
        "host": r"[a-z0-9-]+(\.[a-z0-9-]+)+",
        "tld": r"[a-z]+",
    }
    for alias in ALIASES:
        assert re.fullmatch(forms[alias.scheme], alias.value), alias


def test_an_identifier_has_one_owner_only() -> None:
    owners = defaultdict(set)
    for alias in ALIASES:
        owners[alias.scheme, alias.value].add(alias.participant_id)
    assert {key: ids for key, ids in owners.items() if len(ids) > 1} == {}


def test_each_scheme_belongs_to_the_sectors_that_it_is_for() -> None:
    sectors = {
        "bin": MONEY,
        "swift": {terms.Sector.BANK},
        "e164_prefix": {terms.Sector.TELECOM},
        "mcc_mnc": {terms.Sector.TELECOM},
        "host": {terms.Sector.PLATFORM},
        "tld": {terms.Sector.REGISTRAR},
    }
    for alias in ALIASES:
        if alias.scheme in sectors:
            assert PARTICIPANTS[alias.participant_id].sector in sectors[alias.scheme], alias


def test_police_supervisors_and_the_hub_have_no_name_that_an_order_could_be_addressed_to() -> None:
    named = {PARTICIPANTS[alias.participant_id].sector for alias in ALIASES if alias.scheme == "name"}
    assert named.isdisjoint({terms.Sector.AGENCY, terms.Sector.SUPERVISOR, terms.Sector.HUB})


def test_the_police_of_a_ward_stand_below_their_province() -> None:
    ward = PARTICIPANTS["ca-xa-00004"]
    assert (ward.name_vi, ward.level, ward.province_code) == ("Công an phường Ba Đình", "ward", "01")
    assert ward.parent_id == "ca-tinh-01"
    province = PARTICIPANTS["ca-tinh-79"]
    assert (province.name_vi, province.level) == ("Công an thành phố Hồ Chí Minh", "province")
    assert PARTICIPANTS["pa05-79"].parent_id == PARTICIPANTS["pc02-79"].parent_id == "ca-tinh-79"
    assert province.parent_id == PARTICIPANTS["bca-a05"].parent_id == "bo-cong-an"
    assert PARTICIPANTS["bo-cong-an"].level == "central"


def test_every_agency_has_a_level_and_nobody_else() -> None:
    for row in PARTICIPANTS.values():
        assert (row.level is not None) == (row.sector is terms.Sector.AGENCY), row.id
        assert (row.province_code is not None) == (row.level in {"ward", "province"}), row.id


def test_the_calendar_covers_the_years_of_its_holidays() -> None:
    assert directory.calendar_range() == (date(2026, 1, 1), date(2027, 12, 31))
    assert len(directory.holidays()) == 29
    assert date(2027, 2, 6) in directory.holidays()
    assert directory.workdays() == {date(2014, 12, 27), date(2019, 1, 5), date(2025, 4, 26), date(2026, 8, 22)}
    assert directory.holidays().isdisjoint(directory.workdays())


def test_the_scam_hosts_are_two_hundred_bare_names_under_a_warning() -> None:
    hosts = directory.scam_hosts_sample()
    assert len(hosts) == len(set(hosts)) == 200
    assert [host for host in hosts if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", host)] == []
    assert "never resolve" in (DATA / "scam_hosts_sample.txt").read_text(encoding="utf-8").splitlines()[1]


def test_no_data_file_carries_a_telephone_or_account_number() -> None:
    for file in DATA.iterdir():
        text = re.sub(r"\d{4}-\d{2}-\d{2}", "", file.read_text(encoding="utf-8"))
        assert re.findall(r"\d{7,}|(?:\d[ .-]?){9,}", text) == [], file.name


def test_each_copied_data_set_has_its_licence() -> None:
    notice = (Path(__file__).parents[2] / "NOTICE").read_text(encoding="utf-8")
    licences = resources.files("service.directory") / "licences"
    for file in licences.iterdir():
        assert f"licences/{file.name}" in notice
    for file in DATA.iterdir():
        assert file.name in notice


def test_the_public_list_has_a_bin_for_all_but_one_and_a_vietnamese_swift_code_for_most() -> None:
    assert [row["key"] for row in LIST if not row["bin"]] == ["bidc"]
    assert len({row["bin"] for row in LIST if row["bin"]}) == 58
    assert {row["key"] for row in LIST if row["swift"] and row["swift"][4:6] != "VN"} == {"mbv", "oceanbank"}


@pytest.mark.parametrize("row", LIST, ids=lambda row: row["key"])
def test_each_institution_is_found_by_bin_swift_and_every_name(row: dict[str, str]) -> None:
    expected = {answering(row)}
    for name in ("key", "code", "short_name", "name_vi"):
        assert account_at(row[name]) == expected, name
    if row["bin"]:
        assert account_at(row["bin"]) == expected
    if row["swift"][4:6] == "VN":
        assert account_at(row["swift"]) == expected
        assert account_at(row["swift"] + "XXX") == expected


def test_a_swift_code_of_another_country_leads_nowhere() -> None:
    with pytest.raises(routing.UnknownInstitution):
        account_at("OCBKUS3M")
    assert account_at("OJBAVNVX") == {"mbv"}


def test_no_dead_name_and_no_digital_brand_is_a_participant() -> None:
    assert set(PARTICIPANTS).isdisjoint(ANSWERED_BY_ANOTHER)
    assert set(ANSWERED_BY_ANOTHER.values()) <= set(PARTICIPANTS)


@pytest.mark.parametrize(
    ("dead", "bin_code", "successor"),
    [
        ("oceanbank", "970414", "mbv"),
        ("lienvietpostbank", "970449", "lpbank"),
        ("dongabank", "970406", "vikki"),
        ("cbbank", "970444", "vcbneo"),
    ],
)
def test_the_name_of_a_merged_bank_means_its_successor_from_a_day_on(dead: str, bin_code: str, successor: str) -> None:
    (alias,) = [alias for alias in ALIASES if alias.scheme == "name" and alias.value == dead]
    assert alias.valid_from is not None
    assert account_at(dead) == account_at(dead, today=alias.valid_from) == {successor}
    with pytest.raises(routing.UnknownInstitution):
        account_at(dead, today=date(2020, 1, 1))
    assert account_at(bin_code) == account_at(bin_code, today=date(2020, 1, 1)) == {successor}


@pytest.mark.parametrize("row", PREFIXES, ids=lambda row: row["national_prefix"])
def test_each_number_range_leads_to_the_operator_that_holds_it(row: dict[str, str]) -> None:
    made_up = row["e164_prefix"].ljust(12, "2")
    target = routing.RoutingTarget(terms.TargetKind.PHONE, made_up)
    assert recipients(target) == {OPERATORS[row["operator"]]}


@pytest.mark.parametrize(
    ("named", "telecom"),
    [
        ("45201", "mobifone"),
        ("452-02", "vinaphone"),
        ("452-04", "viettel"),
        ("452-05", "vietnamobile"),
        ("452-07", "gmobile"),
        ("452-08", "itel"),
        ("452-09", "wintel"),
        ("Viettel", "viettel"),
        ("VNPT", "vinaphone"),
        ("Wintel", "wintel"),
        ("vnsky", "vnsky"),
    ],
)
def test_a_number_can_be_ported_to_each_operator_by_code_or_name(named: str, telecom: str) -> None:
    assert routing.ported_to(named, terms.TargetKind.PHONE, DIRECTORY, TODAY).participant_id == telecom


@pytest.mark.parametrize("network", ["452-03", "452-06"])
def test_a_network_that_no_longer_operates_leads_nowhere(network: str) -> None:
    with pytest.raises(routing.UnknownInstitution):
        routing.ported_to(network, terms.TargetKind.PHONE, DIRECTORY, TODAY)


@pytest.mark.parametrize(
    ("address", "platform"),
    [("made.up@gmail.com", "google"), ("made.up@outlook.com", "microsoft"), ("made.up@yahoo.com.vn", "yahoo")],
)
def test_a_mailbox_leads_to_the_platform_of_its_host(address: str, platform: str) -> None:
    assert recipients(routing.RoutingTarget(terms.TargetKind.EMAIL, address)) == {platform}


def test_a_domain_leads_to_all_isps_and_a_suspension_under_vn_also_to_the_registry() -> None:
    isps = {row.id for row in PARTICIPANTS.values() if row.sector is terms.Sector.ISP}
    made_up = routing.RoutingTarget(terms.TargetKind.DOMAIN, "made-up.example.vn")
    assert recipients(made_up, terms.Measure.BLOCK) == isps
    assert recipients(made_up, terms.Measure.SUSPEND) == isps | {"vnnic"}


@pytest.mark.parametrize(
    "name", ["Facebook", "Instagram", "YouTube", "TikTok", "Zalo", "Telegram", "Twitter", "Shopee"]
)
def test_the_platforms_that_people_name_are_found(name: str) -> None:
    target = routing.RoutingTarget(terms.TargetKind.SOCIAL_ACCOUNT, "made.up", platform=name)
    (platform,) = recipients(target)
    assert PARTICIPANTS[platform].sector is terms.Sector.PLATFORM
