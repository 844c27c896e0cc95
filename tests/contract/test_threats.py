"""The threat table is kept like the code: every row is there, in both languages, and every test it names exists."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
BOOK = ROOT / "service" / "handbook"
THREATS = [f"T{number}" for number in range(1, 22)]
LANGUAGES = {"en": "not proven yet", "vi": "chưa chứng minh"}

_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")


def _rows(language: str, letter: str) -> dict[str, list[str]]:
    page = (BOOK / language / "threats.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    found = {cells[0]: cells for cells in rows if re.fullmatch(rf"{letter}\d+", cells[0])}
    assert len(found) == sum(bool(re.fullmatch(rf"{letter}\d+", cells[0])) for cells in rows), "a row is there twice"
    return found


def _named(cells: list[str]) -> list[tuple[str, str]]:
    return _TEST.findall(cells[-1])


@functools.cache
def _functions(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def _recording() -> set[str]:
    """The trust tests that measure a promise."""
    return {
        str(path.relative_to(TESTS))
        for path in (TESTS / "trust").glob("test_*.py")
        if path.name != "test_figures_trust.py" and "trust_sizes.figure(" in path.read_text("utf-8")
    }


def _sizes(path: Path) -> set[tuple[int, int]]:
    """Every (gate, full) that a file gives to ``trust_sizes.size``, by number or by a table of pairs."""
    tree = ast.parse(path.read_text("utf-8"))
    tables = {
        target.id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
        for target in node.targets
        if isinstance(target, ast.Name) and all(isinstance(value, ast.Tuple) for value in node.value.values)
        if all(isinstance(part, ast.Constant) for value in node.value.values for part in value.elts)  # type: ignore[attr-defined]
    }
    found: set[tuple[int, int]] = set()
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "trust_sizes.size"):
            continue
        given = {word.arg: word.value for word in node.keywords}
        match node.args, given:
            case [ast.Starred(value=ast.Subscript(value=ast.Name(id=name)))], _:
                found |= set(tables[name].values())
            case [], {"gate": ast.Constant(value=int() as gate), "full": ast.Constant(value=int() as full)}:
                found.add((gate, full))
    return found


def _numbers(cell: str) -> list[int]:
    return [int(re.sub(r"[,.]", "", number)) for number in re.findall(r"\d+(?:[,.]\d{3})*", cell)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sizes_of_a_promise_are_those_of_its_tests(language: str) -> None:
    """Each number of "at the gate" stands with its own number of ``make trust``, as one call of ``size`` has both."""
    for name, cells in _rows(language, "P").items():
        gate, full = map(_numbers, cells[2:4])
        assert gate and len(gate) == len(full), name
        known = set().union(*(_sizes(TESTS / path) for path, _ in _named(cells)))
        assert [pair for pair in zip(gate, full, strict=True) if pair not in known] == [], name


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_threat_has_its_row_and_each_row_its_tests_or_says_that_it_is_not_proven(language: str) -> None:
    rows = _rows(language, "T")
    assert list(rows) == THREATS
    for name, cells in rows.items():
        assert len(cells) == 7 and all(cells), name
        assert _named(cells) or LANGUAGES[language] in cells[-2], name


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("letter", ["T", "P"])
def test_each_test_that_a_row_names_exists(language: str, letter: str) -> None:
    missing = [
        f"{name}: {path}::{function}"
        for name, cells in _rows(language, letter).items()
        for path, function in _named(cells)
        if not (TESTS / path).is_file() or function not in _functions(TESTS / path)
    ]
    assert missing == []


@pytest.mark.parametrize("letter", ["T", "P"])
def test_both_languages_say_the_same_of_each_row(letter: str) -> None:
    english, vietnamese = (_rows(language, letter) for language in LANGUAGES)
    assert list(english) == list(vietnamese)
    for name, cells in english.items():
        assert _named(cells) == _named(vietnamese[name]), name
        if letter == "T":
            assert cells[2:4] == vietnamese[name][2:4], name


def test_each_promise_that_make_trust_must_measure_has_its_row_and_its_tests() -> None:
    wanted = re.search(r"^PROMISES := (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert wanted is not None
    rows = _rows("en", "P")
    assert list(rows) == wanted[1].split(",")
    for name, cells in rows.items():
        assert _named(cells), name
    named = {path for cells in rows.values() for path, _ in _named(cells)}
    assert _recording() - named == set(), "these measure a promise and stand in no row"
