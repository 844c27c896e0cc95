"""What is shipped is known: locked by hash, in a valid bill of materials, twice the same, compared with advisories."""

import json
import re
import tomllib
import zipfile
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from typer.testing import CliRunner, Result

from service import cli, clock
from service.supply import advisories, bom, installed, lock, parts, release
from service.supply.parts import Part

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = Path(__file__).parent / "osv_sample"
TODAY = date(2026, 11, 29)
JOSE = Part("PyPI", "python-jose", "3.3.0")
ECDSA = Part("PyPI", "ecdsa", "0.19.2")


def _check(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["advisories", "check", *arguments], catch_exceptions=False)


def _affected(*events: dict[str, str], versions: tuple[str, ...] = ()) -> dict[str, object]:
    return {"ranges": [{"type": "ECOSYSTEM", "events": list(events)}], "versions": list(versions)}


# --- the lock ---------------------------------------------------------------------------------------------------------


def test_every_package_is_locked_to_one_version_and_its_hashes_in_both_files() -> None:
    run, everything = (lock.parse((ROOT / "requirements" / f"{name}.txt").read_text()) for name in ("run", "test"))
    assert len(run) > 40
    assert len({pin.name for pin in everything}) == len(everything)
    # What is tested is what runs.
    tested = {pin.name: (pin.version, pin.hashes) for pin in everything}
    assert {pin.name: (pin.version, pin.hashes) for pin in run}.items() <= tested.items()


@pytest.mark.parametrize(
    "line",
    [
        "h11==0.16.0",
        "h11>=0.16.0 --hash=sha256:" + "0" * 64,
        "--extra-index-url x",
        "h11 @ file:x",
        "h11==1 --hash=md5:0",
    ],
)
def test_a_line_that_pip_would_take_more_loosely_is_no_lock(line: str) -> None:
    with pytest.raises(lock.LockUnfit):
        lock.parse(f"{line}\n")


def test_what_is_installed_is_what_is_locked_and_a_difference_is_named() -> None:
    assert installed.differing(lock.pins()) == []
    h11 = next(pin for pin in lock.pins() if pin.name == "h11")
    stranger = replace(h11, name="not-installed-anywhere")
    found = installed.differing([replace(h11, version="0.1"), stranger, replace(stranger, marker="os_name == 'none'")])
    assert found == [f"h11: {h11.version}, locked 0.1", f"not-installed-anywhere: missing, locked {h11.version}"]


def test_an_installed_file_that_was_changed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    (h11,) = (pin for pin in lock.pins() if pin.name == "h11")
    assert installed.altered([h11]) == []
    honest = Path.read_bytes

    def one_byte_more(path: Path) -> bytes:
        return honest(path) + (b"#" if path.name == "_readers.py" else b"")

    monkeypatch.setattr("importlib.metadata.PackagePath.read_binary", lambda file: one_byte_more(Path(file.locate())))
    assert installed.altered([h11]) == ["h11/_readers.py"]


def test_the_token_library_is_pinned_to_one_version() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (jose,) = (line for line in declared if line.startswith("python-jose"))
    (pin,) = (pin for pin in lock.pins() if pin.name == "python-jose")
    assert jose == f"python-jose[cryptography]=={pin.version}"


def test_the_image_installs_by_hash_only_and_copies_what_a_release_has() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "pip install --require-hashes --only-binary :all: -r requirements/run.txt" in text
    copied = set(re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE))
    named = {name for line in copied for name in line.split()}
    assert named <= {*release.SHIPPED}
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert named <= let_through, "the builder does not get what the image copies"


# --- the bill of materials --------------------------------------------------------------------------------------------


def test_the_bill_of_materials_is_valid_and_lists_everything_that_is_shipped() -> None:
    written = bom.dumps(bom.document(1_700_000_000, "0" * 40))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written.decode()) is None
    listed = json.loads(written)
    packages = {component["purl"] for component in listed["components"] if component["type"] == "library"}
    assert packages == {part.purl for part in parts.shipped()}
    assert all(component["hashes"] for component in listed["components"] if component["purl"].startswith("pkg:pypi"))
    known = {component["bom-ref"] for component in listed["components"]}
    edges = {entry["ref"]: set(entry["dependsOn"]) for entry in listed["dependencies"]}
    assert set().union(*edges.values()) <= known
    (jose,) = (targets for ref, targets in edges.items() if ref.startswith("pkg:pypi/python-jose@"))
    assert {ref.partition("@")[0] for ref in jose} >= {"pkg:pypi/ecdsa", "pkg:pypi/cryptography"}
    # Each package is there for a reason: something needs it.
    reached, todo = set(), [listed["metadata"]["component"]["bom-ref"]]
    while todo:
        reached |= set(more := edges.get(todo.pop(), set()) - reached)
        todo += more
    assert {ref for ref in edges if ref.startswith("pkg:pypi")} <= reached


def test_the_known_advisory_that_does_not_touch_us_is_in_the_bill_with_its_reason() -> None:
    (known,) = bom.document(0, "0" * 40)["vulnerabilities"]
    assert known["id"] == "CVE-2024-23342"
    assert (known["analysis"]["state"], known["analysis"]["justification"]) == ("not_affected", "code_not_reachable")
    assert known["affects"][0]["ref"].startswith("pkg:pypi/ecdsa@")


def test_two_builds_give_the_same_bytes_and_another_tree_gives_others(tmp_path: Path) -> None:
    first, second = (bom.dumps(bom.document(1_700_000_000, "a" * 40)) for _ in range(2))
    assert first == second
    assert json.loads(first)["serialNumber"] != bom.document(1_700_000_000, "b" * 40)["serialNumber"]
    names = release.files()
    assert {"service/app.py", "alembic/env.py", "requirements/run.txt", "service/supply/written_off.toml"} <= {*names}
    assert [name for name in names if name.startswith("tests/") or name.endswith((".pyc", ".jwk", ".key"))] == []
    packed = release.archive(names, 1_700_000_000)
    assert packed == release.archive(list(reversed(names)), 1_700_000_000)
    (tmp_path / "a.txt").write_text("one")
    one = release.archive(["a.txt"], 0, tmp_path)
    (tmp_path / "a.txt").chmod(0o600)
    assert one == release.archive(["a.txt"], 0, tmp_path), "modes and owners of the builder leak into the build"


def test_a_wheel_that_the_lock_does_not_know_stops_the_build() -> None:
    (h11,) = (pin for pin in lock.pins() if pin.name == "h11")
    wheel = f"h11-{h11.version}-py3-none-any.whl"
    good = bom.document(0, "", {wheel: h11.hashes[0]})
    (component,) = (each for each in good["components"] if each["name"] == "h11")
    assert [each["content"] for each in component["hashes"]] == [h11.hashes[0]]
    with pytest.raises(bom.NotAsLocked):
        bom.document(0, "", {wheel: "0" * 64})


# --- advisories -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "in_it", "out_of_it"),
    [
        ([{"introduced": "0"}, {"fixed": "3.4.0"}], ("0.1", "3.3.0", "3.4.0rc1"), ("3.4.0", "3.4", "4")),
        ([{"introduced": "0"}, {"last_affected": "3.3.0"}], ("3.3.0", "3.3"), ("3.3.0.post1", "3.3.1", "10.0")),
        ([{"introduced": "2.0"}, {"fixed": "2.10"}], ("2.0", "2.9"), ("1.9", "2.10", "2.11")),
        ([{"fixed": "2"}, {"introduced": "1"}, {"introduced": "3"}], ("1.5", "3", "99"), ("0.9", "2", "2.5")),
        ([{"introduced": "0"}], ("0", "0.0.1.dev1", "999"), ()),
        ([{"introduced": "1"}, {"limit": "2"}], ("1.9",), ("2.0",)),
    ],
)
def test_a_version_is_in_a_range_as_python_orders_versions(
    events: list[dict[str, str]], in_it: tuple[str, ...], out_of_it: tuple[str, ...]
) -> None:
    assert [version for version in in_it if not advisories.affects(_affected(*events), version)] == []
    assert [version for version in out_of_it if advisories.affects(_affected(*events), version)] == []


def test_a_listed_version_is_affected_and_a_bound_that_cannot_be_compared_raises_the_alarm() -> None:
    assert advisories.affects(_affected(versions=("1.0.1",)), "1.0.1")
    assert not advisories.affects(_affected(versions=("1.0.1",)), "1.0.2")
    assert advisories.affects(_affected({"introduced": "not a version"}), "1.0")
    assert not advisories.affects({"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}, "1.0")


def test_an_old_token_library_is_found_and_the_locked_one_is_not() -> None:
    copy, written_off = advisories.load(SAMPLE), advisories.exceptions()
    found = advisories.findings(copy, [JOSE, ECDSA], written_off, TODAY)
    assert [(each.aliases[0], bool(each.written_off)) for each in found] == [
        ("CVE-2024-33663", False),
        ("CVE-2024-33664", False),
        ("CVE-2024-23342", True),
    ]
    ours = advisories.findings(copy, parts.shipped(), written_off, TODAY)
    assert [(each.part.name, bool(each.written_off)) for each in ours] == [("ecdsa", True)]


def test_an_exception_counts_for_its_package_and_until_its_day_only() -> None:
    copy, (known,) = advisories.load(SAMPLE), advisories.exceptions()

    def is_open(exception: advisories.WrittenOff, today: date = TODAY) -> bool:
        (found,) = advisories.findings(copy, [ECDSA], [exception], today)
        return not found.written_off

    assert not is_open(known)
    assert not is_open(known, known.review_by)
    assert is_open(known, known.review_by + timedelta(days=1))
    assert is_open(replace(known, package="python-jose"))
    assert is_open(replace(known, id="CVE-2024-33663"))
    assert is_open(known, known.since - timedelta(days=1))


def test_every_exception_has_a_reason_and_is_judged_again_within_half_a_year() -> None:
    shipped = {part.name for part in parts.shipped()}
    for each in advisories.exceptions():
        assert each.package in shipped and len(each.reason) > 80, each.id
        assert timedelta(0) < each.review_by - each.since <= timedelta(days=183), each.id


def test_a_withdrawn_advisory_is_none_and_a_name_is_compared_as_python_writes_names() -> None:
    record = {
        "id": "X-1",
        "affected": [{"package": {"ecosystem": "PyPI", "name": "Python_Jose"}, "versions": ["3.3.0"]}],
    }
    copy = advisories.Copy((record,), TODAY)
    assert [each.id for each in advisories.findings(copy, [JOSE], (), TODAY)] == ["X-1"]
    withdrawn = advisories.Copy(({**record, "withdrawn": "2026-01-01T00:00:00Z"},), TODAY)
    assert advisories.findings(withdrawn, [JOSE], (), TODAY) == ()
    elsewhere = {
        **record,
        "affected": [{**record["affected"][0], "package": {"ecosystem": "npm", "name": "python-jose"}}],
    }
    assert advisories.findings(advisories.Copy((elsewhere,), TODAY), [JOSE], (), TODAY) == ()


def test_the_empty_copy_that_is_shipped_says_that_nothing_was_compared() -> None:
    result = _check()
    assert result.exit_code == 2
    assert "0 advisories" in result.stderr and "THE COPY IS EMPTY: nothing was compared" in result.stderr


def test_a_copy_is_read_from_a_folder_or_a_zip_and_says_its_day(tmp_path: Path) -> None:
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in SAMPLE.glob("GHSA-*.json"):
            file.write(path, path.name)
    result = _check("--database", str(SAMPLE), "--json")
    assert result.exit_code == 0
    assert [row["state"] for row in json.loads(result.stdout)] == ["written off"]
    assert "copy of 2026-11-20: 3 advisories" in result.stderr
    # A zip as OSV gives it has no day of its own: the newest change in it tells.
    zipped = _check("--database", str(archive))
    assert zipped.exit_code == 0 and "copy of 2024-09-03: 3 advisories" in zipped.stderr
    assert "older than 30 days" in zipped.stderr


def test_an_open_advisory_ends_with_1(tmp_path: Path) -> None:
    (pin,) = (pin for pin in lock.pins() if pin.name == "starlette")
    affected = {
        "package": {"ecosystem": "PyPI", "name": "starlette"},
        **_affected({"introduced": "0"}, {"fixed": "99"}),
    }
    (tmp_path / "one.json").write_text(json.dumps({"id": "MADE-UP-1", "summary": "Made up", "affected": [affected]}))
    result = _check("--database", str(tmp_path))
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].split("\t")[:5] == ["open", "MADE-UP-1", "starlette", pin.version, "99"]
    assert "of no known day" in result.stderr and "older than 30 days" in result.stderr


def test_a_copy_about_other_languages_says_so_and_one_that_lacks_one_of_ours_too(tmp_path: Path) -> None:
    def about(ecosystem: str) -> None:
        affected = {"package": {"ecosystem": ecosystem, "name": "made-up"}, "versions": ["1"]}
        record = {"id": f"MADE-UP-{ecosystem}", "affected": [affected], "modified": f"{clock.utc_now():%Y-%m-%d}"}
        (tmp_path / f"{ecosystem}.json").write_text(json.dumps(record))

    about("Go")
    foreign = _check("--database", str(tmp_path))
    assert foreign.exit_code == 2 and "1 advisories (0 about PyPI, 0 about npm)" in foreign.stderr
    assert "THE COPY HAS NOTHING ABOUT OUR PARTS: nothing was compared" in foreign.stderr
    about("PyPI")
    half = _check("--database", str(tmp_path))
    assert half.exit_code == 0 and "warning: the copy has nothing about npm" in half.stderr
    about("npm")
    assert "has nothing about" not in _check("--database", str(tmp_path)).stderr


@pytest.mark.parametrize(
    ("name", "content"), [("a.json", "{"), ("a.json", "[]"), ("database.json", '{"copied_at": "x"}')]
)
def test_a_copy_that_cannot_be_read_is_no_copy(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    result = _check("--database", str(tmp_path))
    assert result.exit_code == 1 and result.stderr.startswith("error: ")


def test_a_file_that_is_no_zip_is_no_copy(tmp_path: Path) -> None:
    (tmp_path / "all.zip").write_text("nothing")
    assert "neither a folder nor a zip" in _check("--database", str(tmp_path / "all.zip")).stderr
    assert "No such file" in _check("--database", str(tmp_path / "none.zip")).stderr
