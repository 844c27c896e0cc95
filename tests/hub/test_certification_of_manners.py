"""Each manner of the command, with the command's own defaults, is certified: in which forms it fails which cases."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import certify_steps
import pytest

from adapters.sandbox.tls import SandboxTls
from service.certification import opening
from service.certification.bench import Bench
from service.cli.playing import Manner
from workflows import conformance
from workflows.conformance import Profile, Verdict
from workflows.terms import Sector

AT_ONCE = 5
SECTORS: Mapping[Profile, Sector] = {
    Profile.BANK_WEBHOOK: Sector.BANK,
    Profile.BANK_ISO20022: Sector.BANK,
    Profile.TELECOM_WEBHOOK: Sector.PLATFORM,
    Profile.TELECOM_ETSI: Sector.TELECOM,
    Profile.PULL: Sector.WALLET,
}
NOT_TAKEN, NOT_EXECUTED = {"delivery.taken"}, {"order.executed"}
UNANSWERED = {"answer.in_time", "answers.accepted"}
# What each manner fails; of the careless each mistake is told apart elsewhere. What rests on a case that failed is not
# reached: nobody is certified by it.
FAILS: Mapping[Manner, set[str]] = {
    Manner.PROMPT: set(),
    # It says "received" in time, and nothing that ends an order until long after.
    Manner.SLOW: {"answer.in_time"},
    # It holds half of what was asked; half a block there is not.
    Manner.PARTIAL: NOT_EXECUTED,
    Manner.REFUSING: NOT_EXECUTED,
    Manner.PORTED: NOT_EXECUTED,
    Manner.SILENT: UNANSWERED,
    Manner.FLAPPING: NOT_TAKEN,
    # Its first trick is a redirect.
    Manner.HOSTILE: NOT_TAKEN,
}
ELSE: Mapping[tuple[Profile, Manner], set[str]] = {
    (Profile.TELECOM_WEBHOOK, Manner.PARTIAL): set(),
    (Profile.TELECOM_ETSI, Manner.PARTIAL): set(),
    # A page that was left comes again, and a reader of an inbox can do nothing but lie.
    (Profile.PULL, Manner.FLAPPING): set(),
    (Profile.PULL, Manner.HOSTILE): UNANSWERED,
}


@pytest.mark.parametrize("profile", Profile)
async def test_each_manner_fails_exactly_these_cases(profile: Profile, tmp_path: Path) -> None:
    sector, tls, room = SECTORS[profile], SandboxTls(tmp_path / "tls"), asyncio.Semaphore(AT_ONCE)
    wanted = {str(case) for case in conformance.cases(profile, sector)}
    (tmp_path / "hub").mkdir()

    async def failures(bench: Bench, number: int, manner: Manner) -> set[str]:
        behaviour, name = certify_steps.treated(manner, sector), f"member-{number}"
        async with (
            room,
            certify_steps.examined(bench, profile, sector, behaviour, tls, name, number) as (exam, _),
        ):
            results = await certify_steps.verdicts(exam)
        failed = {str(result.case) for result in results if result.verdict is Verdict.FAILED}
        verdicts = {result.case: result.verdict for result in results}
        assert conformance.is_passed(profile, sector, verdicts) == (not failed)
        return failed

    async with asyncio.timeout(400), opening.bench(tmp_path / "hub", "127.0.0.1", 0) as bench:
        found = await asyncio.gather(*(failures(bench, number, manner) for number, manner in enumerate(FAILS)))
    expected = {manner: ELSE.get((profile, manner), FAILS[manner]) & wanted for manner in FAILS}
    assert dict(zip(FAILS, found, strict=True)) == expected


def test_no_other_manner_is_left_out() -> None:
    assert FAILS.keys() == set(Manner) - {Manner.CARELESS}
