"""The command that plays a participant: what it makes, what it prints for the operator, and what it refuses."""

import shlex
from pathlib import Path

import pytest
from command_line import Run, clean

from service.cli.playing import Kind, Manner, Spoken

pytest_plugins = ["command_fixtures"]


def printed(run: Run, folder: Path, *arguments: str) -> list[str]:
    """The lines that the operator has to run, of a participant that has no secret yet."""
    told = run("sandbox", *arguments, "--folder", str(folder))
    assert told.exit_code == 0, told.output
    assert "--secret" in told.stderr
    return told.stdout.splitlines()


@pytest.mark.parametrize(("kind", "speaks"), [("bank", "webhook"), ("telecom", "etsi")])
def test_what_it_prints_enrols_it(
    kind: str, speaks: str, ready: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOATOC_PROFILE", "demo")
    lines = printed(ready, tmp_path / "my player", kind, "--speaks", speaks)
    assert len(lines) == 3
    for line in lines:
        name, *arguments = shlex.split(line)
        made = ready(*arguments)
        assert (name, made.exit_code) == ("hoatoc", 0), made.output
    assert "secret: whsec_" in made.stdout and f"channel: {speaks}" in made.stdout
    # A second start makes nothing anew.
    keys = {path: path.read_bytes() for path in (tmp_path / "my player").rglob("*") if path.is_file()}
    assert printed(ready, tmp_path / "my player", kind, "--speaks", speaks) == lines
    assert {path: path.read_bytes() for path in keys} == keys
    assert {path.stat().st_mode & 0o777 for path in keys if path.suffix == ".jwk" and ".pub" not in path.name} == {
        0o400
    }


@pytest.mark.parametrize(
    "arguments",
    [("telecom", "--speaks", "iso20022"), ("bank", "--speaks", "etsi"), ("isp", "--speaks", "iso20022")],
)
def test_a_form_that_has_no_words_for_its_orders_is_refused(
    arguments: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "player"
    assert "webhook, pull or" in clean(run("sandbox", *arguments, "--folder", str(folder)))
    assert not folder.exists()


def test_the_line_for_the_operator_declares_batches(run: Run, tmp_path: Path) -> None:
    lines = printed(run, tmp_path / "player", "bank", "--batch")
    assert [line.endswith(" --batch") for line in lines] == [False, False, True]


@pytest.mark.parametrize(("how", "speaks"), [("--batch", "pull"), ("--batch", "iso20022"), ("--stream", "webhook")])
def test_batches_are_a_webhooks_and_a_stream_is_an_inboxs(how: str, speaks: str, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "player"
    told = run("sandbox", "bank", "--speaks", speaks, how, "--folder", str(folder))
    assert told.exit_code == 1 and "--speaks" in told.stderr and not folder.exists()


def test_a_hub_elsewhere_is_refused(run: Run, tmp_path: Path) -> None:
    elsewhere = ("--hub", "http://203.0.113.7:8470", "--folder", str(tmp_path / "player"))
    told = run("sandbox", "wallet", "--speaks", "pull", *elsewhere)
    assert told.exit_code == 1 and "loopback" in told.stderr


def test_it_plays_what_was_asked_for() -> None:
    assert [str(each) for each in Kind] == ["bank", "wallet", "telecom", "isp", "platform"]
    assert [str(each) for each in Spoken] == ["webhook", "pull", "iso20022", "etsi"]
    manners = ["prompt", "slow", "partial", "refusing", "ported", "silent", "flapping", "hostile", "careless"]
    assert [str(each) for each in Manner] == manners
