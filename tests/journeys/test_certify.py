"""``hoatoc certify`` and ``hoatoc sandbox`` as real processes in each profile: a checklist, and a signed report."""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

import journey_network
import pytest
from journey_processes import Process, until

from service.security import certifications
from service.security.certifications import Read, ReportRefused
from service.settings import Settings
from workflows import conformance
from workflows.conformance import Profile, Verdict
from workflows.terms import Sector

pytestmark = pytest.mark.xdist_group("processes")
ID = "don-vi-thu"
CLIENT = f"{ID}-test"
# A line of the checklist: a mark, the verdict in words, and the code of the case.
CHECKED = re.compile(r"^([✓✗–]) .*?  ([a-z_]+\.[a-z_]+)  ", re.MULTILINE)
ROWS = re.compile(r'<td class="([a-z_]+)">.*?<code>([a-z_.]+)</code>')
MARKS = {Verdict.PASSED: "✓", Verdict.FAILED: "✗"}


@dataclass(frozen=True)
class Played:
    """Who is played for a profile, which mistake it makes the second time, and what that fails."""

    sector: Sector
    speaks: str
    mistake: str
    fails: tuple[str, ...]


PLAYED: dict[Profile, Played] = {
    Profile.BANK_WEBHOOK: Played(Sector.BANK, "webhook", "trusts_orders", ("order.forged", "order.altered")),
    Profile.BANK_ISO20022: Played(Sector.BANK, "iso20022", "reads_any_form", ("namespace.wrong",)),
    Profile.TELECOM_WEBHOOK: Played(Sector.ISP, "webhook", "reads_first_signature", ("secret.rotated",)),
    Profile.TELECOM_ETSI: Played(Sector.TELECOM, "etsi", "trusts_callers", ("caller.forged", "timestamp.old")),
    Profile.PULL: Played(Sector.WALLET, "pull", "forgets_ids", ("duplicate.once",)),
}


SECRETLESS = {Profile.BANK_ISO20022, Profile.PULL}


def commands(settings: Settings, profile: Profile, *manner: str) -> tuple[Process, Process, Process]:
    """A sandbox that only makes its keys, a certification, and the sandbox that it is about."""
    played, folder = PLAYED[profile], settings.data_dir / "player"
    port, hub = journey_network.free_port(), f"http://127.0.0.1:{settings.port}"
    who = ("sandbox", str(played.sector), "--speaks", played.speaks, "--id", ID, "--client", CLIENT)
    where = ("--folder", str(folder), "--port", str(port), "--hub", hub, "--issuer", hub)
    called = (
        *("--endpoint", f"https://localhost:{port}/hook", "--network", "127.0.0.1/32"),
        *("--ca", str(folder / "tls" / "authority.pem"), "--secret-file", str(folder / "secret")),
    )
    examined = (
        *("certify", "--profile", str(profile), "--id", ID, "--sector", str(played.sector)),
        *("--client-key", str(folder / "client.pub.jwk"), "--answer-key", str(folder / "answers.pub.jwk")),
        *(called if profile is not Profile.PULL else ()),
        *("--port", str(settings.port), "--quiet", "0.5", "--within", "60", "--wait", "120"),
        *("--report", str(folder / "report"), "--language", "vi"),
    )
    return (
        Process(settings, *who, *where, name="first"),
        Process(settings, *examined, name="certify"),
        Process(settings, *who, *where, *manner, name="player"),
    )


async def ran(settings: Settings, profile: Profile, *manner: str) -> tuple[int, str]:
    """Let a sandbox be certified; return the exit code and what was printed."""
    settings.data_dir.mkdir()
    first, certify, player = commands(settings, profile, *manner)
    if profile in SECRETLESS:
        # Nothing is agreed first: it plays at once, and asks until its hub is there.
        async with player.running(wait=False):
            await until(lambda: _told(player, "Ctrl-C"), 120, lambda: player.text)
            async with certify.running(wait=False):
                return await certify.ended(300), certify.text
    await first.start()
    assert await first.ended(120) == 0, first.text
    # The secret is made by the one that signs with it, and waits for the other.
    async with certify.running(wait=False):
        await until(lambda: _told(certify, CLIENT), 120, lambda: certify.text)
        async with player.running(wait=False):
            return await certify.ended(300), certify.text


async def _told(process: Process, text: str) -> bool:
    return text in process.text


async def read(settings: Settings, code: int) -> Read:
    """The signed report, as the command that verifies it sees it, and as the page beside it says it."""
    folder = settings.data_dir / "player" / "report"
    found = certifications.read((folder / "report.json").read_text())
    verify = Process(settings, "certify", "--verify", str(folder / "report.json"), name="verify")
    await verify.start()
    assert await verify.ended(120) == code, verify.text
    assert f"sha256: {found.sha256}" in verify.text

    page = (folder / "report.html").read_text()
    assert 'lang="vi"' in page and found.sha256 in page
    verdicts = [(each.case, each.verdict) for each in found.report.cases]
    assert [(case, verdict) for verdict, case in ROWS.findall(page)] == verdicts
    # Nothing of whom an order was about leaves the examination.
    usual, missing = conformance.TARGETS[found.report.sector]
    assert not any(target in page + found.report.model_dump_json() for target in (usual, missing))
    return found


@pytest.mark.parametrize("profile", Profile)
async def test_who_is_prompt_passes_and_a_mistake_is_named_in_a_report_that_is_signed(
    profile: Profile, tmp_path: Path
) -> None:
    played = PLAYED[profile]
    good, bad = (journey_network.settings_of(tmp_path / name, None) for name in ("good", "bad"))
    careless = ("--behaviour", "careless", "--mistake", played.mistake)
    (code, told), (other, named) = await asyncio.gather(ran(good, profile), ran(bad, profile, *careless))
    assert (code, other) == (0, 1), told + named

    passed, failed = await asyncio.gather(read(good, 0), read(bad, 1))
    wanted = conformance.cases(profile, played.sector)
    assert sorted(CHECKED.findall(told)) == sorted((MARKS[Verdict.PASSED], case) for case in wanted)
    assert [case for mark, case in CHECKED.findall(named) if mark != MARKS[Verdict.PASSED]] == list(played.fails)
    for found in (passed.report, failed.report):
        assert (found.hub, found.participant_id, found.profile) == (None, ID, profile)
        assert [each.case for each in found.cases] == list(wanted)
        # Each verdict stands on something that was seen.
        assert all(each.seen for each in found.cases)
    assert (passed.report.passed, failed.report.passed) == (True, False)
    assert [each.case for each in failed.report.cases if each.verdict is not Verdict.PASSED] == list(played.fails)

    text = (bad.data_dir / "player" / "report" / "report.json").read_text()
    with pytest.raises(ReportRefused, match="signature"):
        certifications.read(text.replace('"failed"', '"passed"'))
