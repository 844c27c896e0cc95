"""The reviewer's page is kept like the code: every requirement has its row, every test that a row names exists."""

import ast
import functools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import i18n

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
BOOK = ROOT / "service" / "handbook"
PAGES = {"en": BOOK / "en" / "reviewer.md", "vi": BOOK / "vi" / "danh-gia.md"}
ASVS = BOOK / "en" / "asvs.md"
STATES = ("met", "partly", "not done", "not applicable")
# The levels of ASVS 5.0.0: the n-th figure of a section is the level of its n-th requirement.
LEVELS = """
V1.1 22 V1.2 1111122223 V1.3 112222222223 V1.4 222 V1.5 123 V2.1 122 V2.2 112 V2.3 12223 V2.4 23 V3.1 3 V3.2 113
V3.3 12223 V3.4 11222233 V3.5 11122333 V3.6 3 V3.7 22333 V4.1 12233 V4.2 23333 V4.3 22 V4.4 1222 V5.1 2 V5.2 112333
V5.3 113 V5.4 222 V6.1 122 V6.2 111111112222 V6.3 11223333 V6.4 112233 V6.5 22222333 V6.6 2223 V6.7 33 V6.8 2222
V7.1 222 V7.2 1111 V7.3 22 V7.4 11222 V7.5 223 V7.6 22 V8.1 1233 V8.2 1123 V8.3 133 V8.4 23 V9.1 111 V9.2 1222
V10.1 22 V10.2 223 V10.3 22223 V10.4 1111122222233333 V10.5 22222 V10.6 22 V10.7 222 V11.1 2233 V11.2 22233 V11.3 11233
V11.4 1222 V11.5 23 V11.6 23 V11.7 33 V12.1 12233 V12.2 11 V12.3 22223 V13.1 2333 V13.2 222223 V13.3 2233 V13.4 1222233
V14.1 22 V14.2 12223333 V14.3 122 V15.1 12233 V15.2 12233 V15.3 1222222 V15.4 3333 V16.1 2 V16.2 22222 V16.3 2222
V16.4 222 V16.5 2223 V17.1 23 V17.2 22223333 V17.3 22
"""
RISKS = [f"API{number}" for number in range(1, 11)]

_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")


def _requirements() -> dict[str, int]:
    words = LEVELS.split()
    return {
        f"{section}.{number}": int(level)
        for section, levels in zip(words[::2], words[1::2], strict=True)
        for number, level in enumerate(levels, 1)
    }


def _rows(page: Path) -> list[list[str]]:
    lines = page.read_text("utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"]


def _asvs() -> Iterator[tuple[list[str], list[str]]]:
    for cells in _rows(ASVS):
        if re.match(r"V\d", cells[0]):
            yield cells[0].split(", "), cells


@functools.cache
def _functions(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_table_of_levels_is_that_of_the_standard() -> None:
    assert Counter(_requirements().values()) == {1: 70, 2: 183, 3: 92}


def test_each_requirement_of_levels_1_and_2_has_one_row_and_no_row_is_made_up() -> None:
    levels = _requirements()
    named = Counter(name for names, _ in _asvs() for name in names)
    assert [name for name, level in levels.items() if level < 3 and named[name] != 1] == []
    assert [name for name, count in named.items() if name not in levels or count > 1] == []
    for names, cells in _asvs():
        assert cells[1] == ", ".join(sorted({str(levels[name]) for name in names})), names


def test_a_row_has_a_status_a_reason_and_its_tests() -> None:
    for names, cells in _asvs():
        assert len(cells) == 5 and all(cells), names
        assert cells[2] in STATES, names
        # Only what applies and is there can be shown.
        assert bool(_TEST.findall(cells[4])) == (cells[2] in {"met", "partly"}), names


def test_the_sums_of_the_page_are_those_of_its_rows() -> None:
    levels = _requirements()
    count = Counter(cells[2] for names, cells in _asvs() for name in names if levels[name] < 3)
    said = ", ".join(f"{count[state]} {state}" for state in STATES)
    claimed = sum(levels[name] == 3 for names, _ in _asvs() for name in names)
    text = ASVS.read_text("utf-8")
    assert f"levels 1 and 2: {said}." in text
    assert f"Of level 3, {claimed} are claimed." in text


@pytest.mark.parametrize("page", [ASVS, *PAGES.values()], ids=lambda page: str(page.name))
def test_each_test_that_is_named_exists(page: Path) -> None:
    named = set(_TEST.findall(page.read_text("utf-8")))
    assert len(named) > 15
    missing = [
        f"{path}::{function}"
        for path, function in sorted(named)
        if not (TESTS / path).is_file() or function not in _functions(TESTS / path)
    ]
    assert missing == []


@pytest.mark.parametrize("language", PAGES)
def test_each_risk_of_interfaces_has_its_row_and_its_tests(language: str) -> None:
    rows = {cells[0]: cells for cells in _rows(PAGES[language]) if cells[0].startswith("API")}
    assert list(rows) == RISKS
    assert all(_TEST.findall(cells[-1]) for cells in rows.values())


def test_both_languages_name_the_same_tests_in_the_same_order_and_have_the_same_chapters() -> None:
    english, vietnamese = (PAGES[language].read_text("utf-8") for language in ("en", "vi"))
    assert _TEST.findall(english) == _TEST.findall(vietnamese)
    assert len(re.findall(r"^## ", english, re.MULTILINE)) == len(re.findall(r"^## ", vietnamese, re.MULTILINE))
    assert re.findall(r"^\| (B\d) \|", english, re.MULTILINE) == [f"B{number}" for number in range(1, 10)]
    assert re.findall(r"^\| (B\d) \|", vietnamese, re.MULTILINE) == [f"B{number}" for number in range(1, 10)]


@pytest.mark.parametrize("language", PAGES)
def test_each_code_of_a_refusal_is_one_of_the_hubs(language: str) -> None:
    codes = {
        code for cells in _rows(PAGES[language]) if len(cells) == 4 for code in re.findall(r"`([a-z_.]+)`", cells[1])
    }
    codes = {code for code in codes if "." in code or code in {"unauthenticated", "not_found"}}
    assert len(codes) >= 18
    assert [code for code in codes if not i18n.has(f"errors.{code}.title")] == []
