"""Hostile lists and templates, by Hypothesis and by mutation: each line is a target or told, never a broken command."""

import json
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trust_sizes
import world as worlds
from command_line import Run, clean
from hypothesis import given
from hypothesis import strategies as st

from service.cli import target_lists
from service.cli.target_lists import Form
from workflows.terms import Measure, TargetKind

pytest_plugins = ["command_fixtures"]

MIB = 1024 * 1024
TEN = 10 * MIB
GOOD = {
    Form.PLAIN: "# made up\nlua-dao.com\nhttps://tra-thuong.example.com/1\n+84980000001\nlua.dao@thu-gia.com\ncom.vn\n",
    Form.CSV: "value;kind;platform;sha256;intimate\nlua-dao.com;domain;;;\nlua.dao;social_account;facebook;;\n"
    f"https://a.example.com/1;content;;{'ab' * 32};true\nlua-dao.com;;;;\n",
    Form.JSON_LINES: '{"kind": "sms_sender", "value": "VCB-THUONG"}\n{"value": "lua-dao.com"}\n{"value": 5}\n'
    '{"kind": "content", "value": "https://a.example.com/1", "sha256": "' + "ab" * 32 + '", "intimate": true}\n',
}
TEMPLATE = {name: value for name, value in worlds.takedown().items() if name != "targets"}
_BYTES = (
    *(b"\x00", b"\xff", b"\r", b"\n", b"\r\n\r\n", b'"', b'""', b";", b",", b"\\", b"\xef\xbb\xbf", b"\xed\xa0\x80"),
    *("\u2028".encode(), "\u202e".encode(), "ế".encode(), b"[" * 40, b"{" * 40, b"1" * 400, b"1e999", b"NaN", b"null"),
    *(b'"\\ud800"', b"xn--", b"xn--0.vn", b"..", b"://", b"@", b"+84", b"http://[::1", b"a" * 3_000, b"=1+1", b"%00"),
)
_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**70, 1.5, float("inf"), float("nan"), "", " ", "\x00", "\ud800", "x" * 5_000, "ế" * 300),
    *([], {}, [[]], {"": ""}, {"\ud800": 1}, "remove", "0001-01-01", "9999-12-31T23:59:59-14:00", "\u202e"),
)


def mutated(draw: random.Random, text: bytes) -> bytes:
    """Return a text with one to four things done to its bytes."""
    raw = bytearray(text)
    for _ in range(draw.choice((1, 1, 2, 4))):
        at = draw.randrange(len(raw) + 1)
        match draw.randrange(5):
            case 0:
                raw[at:at] = draw.choice(_BYTES)
            case 1:
                del raw[at : at + draw.choice((1, 3, 30))]
            case 2:
                raw[at : at + 1] = bytes([draw.randrange(256)])
            case 3:
                raw[at:at] = raw[: draw.randrange(len(raw) + 1)]
            case 4:
                raw[at : at + len(draw.choice(_BYTES))] = draw.choice(_BYTES)
    return bytes(raw)


def figure(record: Callable[..., None], what: str, n: int, wrong: list[str]) -> None:
    record(what, f"seed {trust_sizes.seed()}, N {n}, violations {len(wrong)}")


def tried(run: Run, *arguments: str) -> tuple[int, str]:
    """Run a command; return its exit code and what is wrong with how it ended: nothing, where it said why."""
    try:
        done = run(*arguments)
    except Exception as error:
        return 1, f"{type(error).__name__}: {error}"
    if done.exit_code == 0:
        return 0, ""
    *remarks, last = done.stderr.splitlines() or [""]
    is_told = done.exit_code == 1 and not done.stdout and last.startswith("error: ") and "Traceback" not in done.stderr
    is_told = is_told and all(line.startswith("line ") for line in remarks)
    return done.exit_code, "" if is_told else done.output[-500:]


@given(st.sampled_from(Form), st.text(), st.none() | st.sampled_from(TargetKind), st.none() | st.sampled_from(Measure))
def test_any_text_is_a_list_of_which_each_line_is_a_target_known_already_or_told(
    form: Form, text: str, kind: TargetKind | None, measure: Measure | None
) -> None:
    text = f"value\n{text}" if form is Form.CSV else text
    try:
        found = target_lists.read(text, form, kind, measure)
    except ValueError as error:
        assert form is Form.CSV and str(error).startswith("line ")
        return
    assert found.lines == len(found.targets) + found.duplicates + len(found.rejects)
    assert all(each.code and each.reason for each in found.rejects)
    # What was taken is canonical: read once more it is the same.
    again = target_lists.read("\n".join(map(json.dumps, found.targets)), Form.JSON_LINES, kind, measure)
    assert (again.targets, again.duplicates, again.rejects) == (found.targets, 0, [])


def test_a_mutated_list_is_read_or_refused_in_one_line(
    run: Run, tmp_path: Path, own_folder: Path, record_property: Callable[..., None]
) -> None:
    draw = random.Random(trust_sizes.seed())
    wrong: list[str] = []
    codes = set()
    wanted = trust_sizes.size(gate=300, full=20_000)
    template = tmp_path / "template.json"
    template.write_text(json.dumps(TEMPLATE), "utf-8")
    for number in range(wanted):
        form = draw.choice(list(Form))
        file = tmp_path / f"list.{form}"
        file.write_bytes(mutated(draw, GOOD[form].encode()))
        more = [] if number % 2 else ["--rejects", str(tmp_path / "rejects.csv")]
        code, fault = tried(
            run, "import", "targets", str(file), "--template", str(template), "--dry-run", "--json", *more
        )
        codes.add(code)
        if fault:
            wrong.append(f"{fault} of {file.read_bytes()!r}"[:1_000])
    figure(record_property, "import: mutated lists", wanted, wrong)
    assert wrong == [] and codes == {0, 1}
    assert not own_folder.exists(), "whoever only reads a list opens no hub"


def test_a_mutated_template_is_refused_before_anything_is_sent(
    run: Run, tmp_path: Path, own_folder: Path, record_property: Callable[..., None]
) -> None:
    draw = random.Random(trust_sizes.seed())
    wrong: list[str] = []
    codes = set()
    wanted = trust_sizes.size(gate=300, full=20_000)
    (tmp_path / "list.txt").write_text(GOOD[Form.PLAIN], "utf-8")
    file = tmp_path / "template.json"
    for number in range(wanted):
        body: dict[str, Any] = json.loads(json.dumps(TEMPLATE))
        holder = draw.choice([body, body, body["document"], body["contact"]])
        holder[draw.choice([*holder, "extra", "\ud800"])] = draw.choice(_VALUES)
        raw = json.dumps(body, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")
        file.write_bytes(mutated(draw, raw) if number % 3 == 0 else raw)
        code, fault = tried(run, "import", "targets", str(tmp_path / "list.txt"), "--template", str(file), "--dry-run")
        codes.add(code)
        if fault:
            wrong.append(f"{fault} of {file.read_bytes()!r}"[:1_000])
    figure(record_property, "import: mutated templates", wanted, wrong)
    assert wrong == [] and codes == {0, 1}
    assert not own_folder.exists()


@pytest.mark.parametrize("form", ["txt", "csv", "jsonl"])
@pytest.mark.parametrize(
    "content",
    [b"lua-dao.com\n", b"x", b"[", b'"', b"\n", b"\x00", b"\xff"],
    ids=["hosts", "one-line", "brackets", "quotes", "empty-lines", "nul", "no-utf-8"],
)
def test_ten_megabytes_are_refused_by_their_size_and_never_held(
    run: Run, tmp_path: Path, own_folder: Path, form: str, content: bytes
) -> None:
    file = tmp_path / f"list.{form}"
    file.write_bytes(b"value\n" + content * (TEN // len(content)))
    run("import", "targets", str(tmp_path / "none.txt"), "--dry-run")  # what is imported once is not counted
    tracemalloc.start()
    try:
        line = clean(run("import", "targets", str(file), "--dry-run"))
        piped = clean(run("import", "targets", "-", "--dry-run", input=file.read_bytes()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert f"larger than {target_lists.LARGEST:,} bytes" in line and str(file) in line
    assert f"- is larger than {target_lists.LARGEST:,} bytes" in piped
    assert peak < 4 * TEN
    assert not own_folder.exists()


def test_a_template_of_ten_megabytes_is_refused_by_its_size(run: Run, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("lua-dao.com\n", "utf-8")
    template = tmp_path / "template.json"
    for text in ("[" * TEN, json.dumps({**TEMPLATE, "case_number": "x" * TEN})):
        template.write_text(text, "utf-8")
        line = clean(run("import", "targets", str(tmp_path / "list.txt"), "--template", str(template), "--dry-run"))
        assert "template.json is larger than 65,536 bytes" in line


@pytest.mark.parametrize("form", list(Form))
def test_more_lines_than_a_list_has_end_the_reading(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_lists, "MOST_LINES", 5)
    line = '{"value": "lua-dao.com"}' if form is Form.JSON_LINES else "lua-dao.com"
    head = ["value"] if form is Form.CSV else []
    assert target_lists.read("\n".join([*head, *[line] * 5]), form).lines == 5
    with pytest.raises(ValueError, match="at most 5 lines; divide it"):
        target_lists.read("\n".join([*head, *[line] * 6]), form)
