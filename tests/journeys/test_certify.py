"""``hoatoc certify`` and ``hoatoc sandbox`` as two real processes: a checklist, and a report that is signed."""

import json
from pathlib import Path

import journey_network
import pytest
from journey_processes import Process, until

from service.security import certifications
from service.security.certifications import ReportRefused
from service.settings import Settings

pytestmark = pytest.mark.xdist_group("processes")


def commands(settings: Settings, folder: Path, *manner: str) -> tuple[Process, Process, Process]:
    """A sandbox that only makes its keys, a certification, and the sandbox that it is about."""
    port, hub = journey_network.free_port(), f"http://127.0.0.1:{settings.port}"
    who = ("sandbox", "bank", "--id", "ngan-hang-thu", "--client", "ngan-hang-thu-test", "--folder", str(folder))
    where = ("--port", str(port), "--hub", hub, "--issuer", hub)
    examined = (
        *("certify", "--profile", "bank-webhook", "--id", "ngan-hang-thu"),
        *("--client-key", str(folder / "client.pub.jwk"), "--answer-key", str(folder / "answers.pub.jwk")),
        *("--endpoint", f"https://localhost:{port}/hook", "--network", "127.0.0.1/32"),
        *("--ca", str(folder / "tls" / "authority.pem"), "--secret-file", str(folder / "secret")),
        *("--port", str(settings.port), "--quiet", "0.5", "--within", "15", "--wait", "60"),
        *("--report", str(folder / "report"), "--language", "vi"),
    )
    made = Process(settings, *who, name="first")
    return made, Process(settings, *examined, name="certify"), Process(settings, *who, *where, *manner, name="player")


async def ran(settings: Settings, folder: Path, *manner: str) -> tuple[int, str]:
    """Let a sandbox be certified; return the exit code and what was printed."""
    first, certify, player = commands(settings, folder, *manner)
    await first.start()
    assert await first.ended() == 0, first.text
    # The secret is made by the one that signs with it, and waits for the other.
    async with certify.running(wait=False):
        await until(lambda: _told(certify), 60, lambda: certify.text)
        async with player.running(wait=False):
            return await certify.ended(120), certify.text


async def _told(certify: Process) -> bool:
    return "ngan-hang-thu-test" in certify.text


async def test_a_prompt_bank_passes_and_its_report_is_signed(tmp_path: Path) -> None:
    settings = journey_network.settings_of(tmp_path, None)
    folder = tmp_path / "bank"
    code, told = await ran(settings, folder)
    assert code == 0, told
    report = json.loads((folder / "report" / "report.json").read_text())["report"]
    assert (report["passed"], report["hub"], report["participant_id"]) == (True, None, "ngan-hang-thu")
    assert told.count("✓") == len(report["cases"])
    # Nothing of whom an order was about leaves the examination.
    page = (folder / "report" / "report.html").read_text()
    assert "9990000000001" not in page + told + json.dumps(report) and 'lang="vi"' in page

    text = (folder / "report" / "report.json").read_text()
    assert certifications.read(text).report.passed
    with pytest.raises(ReportRefused, match="signature"):
        certifications.read(text.replace("ngan-hang-thu", "ngan-hang-khac"))
