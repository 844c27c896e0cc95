"""A list of targets is read into canonical ones, whatever its form; what is wrong is told by its line and reason."""

import json
from typing import Any

import pytest

from service.cli import bulk_filing, target_lists
from service.cli.target_lists import Form, TargetList
from service.web.bodies import LARGEST_BODY
from workflows.terms import Measure, TargetKind


def values(found: TargetList) -> list[tuple[str, str]]:
    return [(each["kind"], each["value"]) for each in found.targets]


def rejects(found: TargetList) -> list[tuple[int, str, str]]:
    return [(each.line, each.code, each.text) for each in found.rejects]


PLAIN = """\
# made up
Khuyen-Mai.XYZ
https://tra-thuong.example.com/dang-nhap
+84980000001
lua.dao@thu-gia.com

khuyen-mai.xyz.
ngân-hàng-giả.vn
tra-thuong.example.com/dang-nhap
0980000001
com.vn
"""


def test_a_plain_list_is_recognised_line_by_line() -> None:
    found = target_lists.read(PLAIN.replace("\n", "\r\n"), Form.PLAIN)
    idn = "ngân-hàng-giả.vn".encode("idna").decode()
    assert values(found)[:4] == [
        ("domain", "khuyen-mai.xyz"),
        ("url", "https://tra-thuong.example.com/dang-nhap"),
        ("phone", "+84980000001"),
        ("email", "lua.dao@thu-gia.com"),
    ]
    assert ("domain", idn) in values(found)
    assert (found.lines, found.duplicates) == (9, 1)
    assert rejects(found) == [
        (9, "target.domain", "tra-thuong.example.com/dang-nhap"),
        (10, "field.pattern", "0980000001"),
        (11, "target.public_suffix", "com.vn"),
    ]
    assert found.lines == len(found.targets) + found.duplicates + len(found.rejects)


def test_an_international_name_and_its_ascii_form_are_one_target() -> None:
    ascii_name = "ngân-hàng.vn".encode("idna").decode()
    found = target_lists.read(f"NGÂN-HÀNG.vn\n{ascii_name}\nngân-hàng.vn.\n", Form.PLAIN)
    assert (values(found), found.duplicates) == ([("domain", ascii_name)], 2)


def test_a_kind_is_forced_on_lines_that_name_none() -> None:
    found = target_lists.read("VCB-THUONG\nvcb-thuong.com\n", Form.PLAIN, TargetKind.SMS_SENDER)
    assert values(found) == [("sms_sender", "VCB-THUONG")]
    assert rejects(found) == [(2, "field.pattern", "vcb-thuong.com")]
    named = target_lists.read(
        '{"value": "x1.com"}\n{"kind": "domain", "value": "x2.com"}', Form.JSON_LINES, TargetKind.URL
    )
    assert (values(named), [each.line for each in named.rejects]) == ([("domain", "x2.com")], [1])


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_csv_names_kinds_in_a_column(delimiter: str) -> None:
    rows = [
        ("value", "Kind", "platform", "sha256", "intimate"),
        ("lua-dao-1.com", "domain", "", "", ""),
        ("lua.dao.1", "social_account", "facebook", "", ""),
        ("lua-dao-1.com", "", "", "", ""),
        ("https://a.example.com/1", "content", "", "ab" * 32, "true"),
        ("https://a.example.com/2", "content", "", "no", "true"),
        ("lua-dao-2.com", "account", "", "", ""),
        ("lua-dao-3.com", "domain", "facebook", "", ""),
        ("", "", "", "", ""),
        ("lua-dao-4.com", "domain", "", "", "", "more"),
    ]
    found = target_lists.read("\n".join(delimiter.join(row) for row in rows), Form.CSV)
    assert found.targets == [
        {"kind": "domain", "value": "lua-dao-1.com"},
        {"kind": "social_account", "value": "lua.dao.1", "platform": "facebook"},
        {"kind": "content", "value": "https://a.example.com/1", "sha256": "ab" * 32, "intimate": True},
    ]
    assert (found.lines, found.duplicates) == (8, 1)
    assert [(line, code) for line, code, _ in rejects(found)] == [
        (6, "field.pattern"),
        (7, "field.not_in_list"),
        (8, "field.unknown"),
        (10, "field.unknown"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lua-dao.com\n", "first line"),
        ("value,note\na.com,x\n", "first line"),
        ('value\n"a.com\n', "line 2"),
        ("", "first"),
    ],
)
def test_a_csv_that_cannot_be_read_as_a_whole_is_refused_as_a_whole(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        target_lists.read(text, Form.CSV)


def test_json_lines_are_read_as_strictly_as_a_body() -> None:
    lines: list[Any] = [
        '{"kind": "sms_sender", "value": "VCB-THUONG"}',
        '{"value": "lua-dao.com", "value": "khac.com"}',
        '{"value": ',
        '{"value": 5}',
        '["lua-dao.com"]',
        '{"kind": "domain", "value": "lua-dao.com", "note": "x"}',
    ]
    found = target_lists.read("\n".join(lines), Form.JSON_LINES)
    assert values(found) == [("sms_sender", "VCB-THUONG")]
    assert [line for line, *_ in rejects(found)] == [2, 3, 4, 5, 6]
    assert all(each.reason and each.code for each in found.rejects)


def test_a_measure_that_is_not_for_a_target_rejects_it_before_the_hub_does() -> None:
    found = target_lists.read("lua-dao.com\nhttps://lua-dao.com/1\n", Form.PLAIN, measure=Measure.REMOVE)
    assert values(found) == [("url", "https://lua-dao.com/1")]
    assert rejects(found) == [(1, "measure.not_for_target", "lua-dao.com")]


def test_the_form_is_known_by_the_name() -> None:
    names = ("list.CSV", "list.jsonl", "list.ndjson", "list.txt", "-")
    forms = [target_lists.form_of(name) for name in names]
    assert forms == [Form.CSV, Form.JSON_LINES, Form.JSON_LINES, Form.PLAIN, Form.PLAIN]


def test_chunks_keep_to_the_contract_and_are_the_same_whenever_they_are_made() -> None:
    template = {"case_number": "01/2026/CA"}
    names = [{"kind": "domain", "value": f"lua-dao-{number}.com"} for number in range(250)]
    made = bulk_filing.chunks(template, "ab" * 32, names)
    assert [chunk.targets for chunk in made] == [100, 100, 50]
    assert [each for chunk in made for each in json.loads(chunk.body)["targets"]] == names
    assert made == bulk_filing.chunks(template, "ab" * 32, names)
    others = [
        bulk_filing.chunks({"case_number": "02/2026/CA"}, "ab" * 32, names),
        bulk_filing.chunks(template, "cd" * 32, names),
    ]
    assert len({chunk.key for part in (made, *others) for chunk in part}) == 9
    # A hundred of the longest addresses are more than a body may have.
    long = [{"kind": "url", "value": f"https://lua-dao.com/{number:02000}"} for number in range(100)]
    large = bulk_filing.chunks(template, "ab" * 32, long)
    assert sum(chunk.targets for chunk in large) == 100 and len(large) > 1
    assert max(len(chunk.body.encode()) for chunk in large) <= LARGEST_BODY
