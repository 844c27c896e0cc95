"""The table of the security mutants fits the tree: each is found once, and each names tests that there are."""

import ast
from pathlib import Path

import pytest
from mutants import apply

ROOT = Path(__file__).resolve().parents[2]
MUTANTS = apply.table()


def _functions(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_no_two_mutants_have_one_name() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_tree_and_names_tests_that_there_are(mutant: apply.Mutant) -> None:
    assert mutant.applied(ROOT) != (ROOT / mutant.file).read_text("utf-8")
    assert mutant.tests
    for test in mutant.tests:
        path, _, function = test.partition("::")
        assert not function or function.partition("[")[0] in _functions(ROOT / path), test


def test_a_mutant_that_is_not_found_exactly_once_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\ny = 1\n")
    for old in ("= 1", "= 2"):
        with pytest.raises(apply.WrongTable):
            apply.Mutant("probe", "P0", "a.py", old, "= 3", ("tests",)).applied(tmp_path)
    with pytest.raises(apply.WrongTable):
        apply.Mutant("probe", "P0", "a.py", "x = 1", "x = (", ("tests",)).applied(tmp_path)


def test_what_a_mutant_does_to_its_tests_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "rule.py").write_text("ANSWER = 42\n")
    (tmp_path / "test_rule.py").write_text(
        "import rule, pytest\n\n"
        "@pytest.fixture\ndef set_up():\n    assert rule.ANSWER\n\n"
        "def test_answer(set_up):\n    assert rule.ANSWER >= 42\n"
    )
    told = {
        new: apply.judge(apply.Mutant("probe", "P0", "rule.py", "42", new, ("test_rule.py",)), tmp_path)
        for new in ("41", "43", "0", "boom")
    }
    assert told["41"].caught_by == "test_rule.py::test_answer"
    assert {new: verdict.remark for new, verdict in told.items() if verdict.caught_by is None} == {
        "43": "survived",
        "0": "broke the set-up only",
        "boom": "pytest ended with 2",
    }
    assert (tmp_path / "rule.py").read_text() == "ANSWER = 42\n"
