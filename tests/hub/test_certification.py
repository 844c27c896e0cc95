"""The sandbox passes every case of every profile, and each mistake fails exactly the cases that are about it."""

import asyncio
import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

import certify_steps
import pytest
from wire_servers import Authority, says, serving

from adapters.base import DeliveryFailed
from adapters.sandbox.behaviour import (
    Behaviour,
    Careless,
    Hostile,
    Mistake,
    Prompt,
    Refusing,
    Silent,
    Trick,
)
from adapters.sandbox.tls import SandboxTls
from service.certification import joining, opening
from service.certification.bench import Bench
from service.certification.joining import Where
from service.security import client_keys
from workflows import conformance
from workflows.conformance import Profile, Verdict
from workflows.terms import RefusalCode, Sector

NOT_DELIVERED = {"delivery.taken"}
NOT_ANSWERED = {"answer.in_time"}
AT_ONCE = 5
# What each behaviour fails, where its profile has the case at all.
BEHAVIOURS: Mapping[str, tuple[Behaviour, set[str]]] = {
    "prompt": (Prompt(), set()),
    "silent": (Silent(), NOT_ANSWERED | {"answers.accepted"}),
    "refusing": (Refusing(RefusalCode.OTHER), {"order.executed"}),
    "redirect": (Hostile((Trick.REDIRECT,)), NOT_DELIVERED),
    "status": (Hostile((Trick.STATUS,)), NOT_DELIVERED),
    "endless": (Hostile((Trick.ENDLESS,)), NOT_DELIVERED),
    "garbage": (Hostile((Trick.GARBAGE,)), NOT_ANSWERED | {"answers.accepted"}),
    "forged": (Hostile((Trick.FORGED,)), NOT_ANSWERED | {"answers.accepted"}),
    "stranger": (Hostile((Trick.STRANGER,)), NOT_ANSWERED | {"answers.accepted"}),
}
FAILS: Mapping[Mistake, set[str]] = {
    Mistake.TRUSTS_CALLERS: {"caller.forged", "timestamp.old"},
    Mistake.IGNORES_LIFTS: {"lift.executed"},
    Mistake.TRUSTS_ORDERS: {"order.forged", "order.altered"},
    Mistake.TRUSTS_OLD_CALLS: {"timestamp.old"},
    Mistake.FORGETS_IDS: {"duplicate.once", "replay.once"},
    Mistake.REFUSES_REPEATED: {"duplicate.once"},
    Mistake.REFUSES_MEMBERS: {"member.unknown"},
    Mistake.REFUSES_TYPES: {"type.unknown"},
    Mistake.IGNORES_LATE: {"deadline.late"},
    Mistake.CLAIMS_ALL: {"amount.partial"},
    Mistake.FINDS_ANYTHING: {"target.missing"},
    Mistake.REFUSES_TRACES: {"trace.answered"},
    Mistake.READS_ANY_FORM: {"namespace.wrong", "field.unknown"},
    Mistake.KEEPS_KEYS: {"key.rotated"},
    Mistake.FORGETS_LIFTS: {"lift.first"},
    Mistake.READS_FIRST_SIGNATURE: {"secret.rotated"},
    Mistake.FORGETS_CURSOR: NOT_DELIVERED,
}
# Who does not look at all never sees what the other one gets wrong: such two are never made together.
HIDDEN = (
    (Mistake.TRUSTS_CALLERS, Mistake.READS_FIRST_SIGNATURE),
    (Mistake.IGNORES_LIFTS, Mistake.FORGETS_LIFTS),
    (Mistake.TRUSTS_ORDERS, Mistake.KEEPS_KEYS),
)


# A mistake that is made in no other form than these.
ONLY: Mapping[Mistake, set[Profile]] = {
    Mistake.FORGETS_CURSOR: {Profile.PULL},
    # Whoever is not called has no answer to refuse with.
    Mistake.REFUSES_REPEATED: set(Profile) - {Profile.PULL},
}
# A mistake after which nothing else can be seen there, and all that it fails: it is made by itself.
BLOCKING: Mapping[Profile, Mapping[Mistake, set[str]]] = {
    Profile.PULL: {
        Mistake.FORGETS_CURSOR: NOT_DELIVERED,
        # It never gets past the message: what the hub says afterwards is not read.
        Mistake.REFUSES_TYPES: {
            *("type.unknown", "lift.executed", "deadline.late", "target.missing", "trace.answered", "amount.partial"),
        },
    }
}


def applying(profile: Profile, sector: Sector) -> list[Mistake]:
    """The mistakes that can be made in a form, of which one of its cases is."""
    wanted = {str(case) for case in conformance.cases(profile, sector)}
    return [each for each, fails in FAILS.items() if fails & wanted and profile in ONLY.get(each, set(Profile))]


def groups(made: Collection[Mistake]) -> list[frozenset[Mistake]]:
    """Six sets of mistakes, each mistake in three of them and in no two the same three.

    So no mistake's sets are a part of another's: a case that a wrong mistake failed would fail in a set too many. Of
    two that hide one another, one is in just the sets in which the other is not.
    """
    codes = list(itertools.combinations(range(6), 3))
    own = {hider: codes[number] for number, (hider, _) in enumerate(HIDDEN)}
    own |= {hidden: codes[-1 - number] for number, (_, hidden) in enumerate(HIDDEN)}
    others = [mistake for mistake in made if mistake not in own]
    own |= dict(zip(others, codes[len(HIDDEN) : -len(HIDDEN)], strict=False))
    return [frozenset(each for each in made if number in own[each]) for number in range(6)]


def mistaken(profile: Profile, sector: Sector) -> list[frozenset[Mistake]]:
    """The sets of mistakes that are made in a form; what blocks the rest is made by itself."""
    blocking = BLOCKING.get(profile, {})
    beside = [each for each in applying(profile, sector) if each not in blocking]
    return [*groups(beside), *(frozenset({each}) for each in blocking)]


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while True:
            if seen():
                return
            await asyncio.sleep(0.05)


Played = str | frozenset[Mistake]


async def failures(
    bench: Bench, profile: Profile, sector: Sector, played: Played, number: int, tls: SandboxTls
) -> set[str]:
    behaviour = BEHAVIOURS[played][0] if isinstance(played, str) else Careless(played)
    name = f"member-{number}"
    async with certify_steps.examined(bench, profile, sector, behaviour, tls, name, number) as (exam, sandbox):
        results = await certify_steps.verdicts(exam)
        if played == "prompt":
            await exam.tidy()
            # Whatever was ordered is lifted again.
            await until(lambda: not sandbox.ledger.holds and not sandbox.ledger.blocked)
            assert {result.verdict for result in results} == {Verdict.PASSED}
    return {str(result.case) for result in results if result.verdict is Verdict.FAILED}


def expected(profile: Profile, played: Played) -> set[str]:
    if not isinstance(played, str):
        for blocking, fails in BLOCKING.get(profile, {}).items():
            if played == {blocking}:
                return fails
        return set().union(*(FAILS[mistake] for mistake in played))
    # An HI1 request is answered at once and in HI1: what is no such answer was not delivered.
    if profile is Profile.TELECOM_ETSI and played == "garbage":
        return NOT_DELIVERED
    return BEHAVIOURS[played][1]


# Where a form has code of its own for it, it is played in that form too.
FORM = ("prompt", "silent", "refusing", "forged", "stranger")
FORMS: Mapping[Profile, tuple[Sector, tuple[str, ...]]] = {
    Profile.BANK_WEBHOOK: (Sector.BANK, tuple(BEHAVIOURS)),
    Profile.BANK_ISO20022: (Sector.BANK, (*FORM, "endless")),
    Profile.TELECOM_WEBHOOK: (Sector.ISP, ("prompt", "silent", "refusing", "status")),
    Profile.TELECOM_ETSI: (Sector.TELECOM, (*FORM, "garbage", "status")),
    Profile.PULL: (Sector.WALLET, FORM),
}


@pytest.mark.parametrize("profile", Profile)
async def test_the_sandbox_passes_and_each_mistake_fails_exactly_the_cases_about_it(
    profile: Profile, tmp_path: Path
) -> None:
    sector, behaviours = FORMS[profile]
    # Those that wait longest begin first.
    played: list[Played] = [*reversed(mistaken(profile, sector)), *behaviours]
    wanted = {str(case) for case in conformance.cases(profile, sector)}
    tls, room = SandboxTls(tmp_path / "tls"), asyncio.Semaphore(AT_ONCE)
    (tmp_path / "hub").mkdir()

    async def one(bench: Bench, number: int) -> set[str]:
        async with room:
            return await failures(bench, profile, sector, played[number], number, tls)

    async with asyncio.timeout(400), opening.bench(tmp_path / "hub", "127.0.0.1", 0) as bench:
        found = await asyncio.gather(*(one(bench, number) for number in range(len(played))))
    seen = dict(zip(played, found, strict=True))
    assert seen == {each: expected(profile, each) & wanted for each in played}
    # A case that nothing fails here is one that nobody has seen work.
    assert set().union(*found) == wanted


async def test_nothing_of_the_machines_own_hub_reaches_a_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "CERTIFICATION": "required",
        "DRILL": "true",
        "DATABASE_URL": "postgresql+asyncpg://nobody@127.0.0.1:1/real",
        "SMTP_HOST": "relay.example",
        "PKCS11_MODULE": "/nowhere/module.so",
        "PKCS11_TOKEN": "hoatoc",
        "PKCS11_PIN_FILE": "/nowhere/pin",
    }.items():
        monkeypatch.setenv(f"HOATOC_{name}", value)
    (tmp_path / "hub").mkdir()
    async with opening.bench(tmp_path / "hub", "127.0.0.1", 0) as bench:
        settings = bench.hub.settings
        # Else no endpoint would be approved there, and nobody would ever be certified.
        assert not settings.certification_required
        assert (settings.drill, settings.embedded, settings.smtp_host) == (False, True, None)
        assert (settings.pkcs11_module, settings.data_dir) == (None, tmp_path / "hub")


async def test_who_lets_in_only_the_hubs_certificate_is_examined_with_it(tmp_path: Path) -> None:
    """Its key stays where the machine's own hub has it."""
    servers, clients = Authority(tmp_path, "servers of the bank"), Authority(tmp_path, "clients of the bank")
    shown = client_keys.pair(tmp_path / "keys", clients.certify(client_keys.make(tmp_path / "keys", "hub.example")))
    asking, *_ = certify_steps.applicant(Profile.BANK_WEBHOOK, Sector.BANK, "bank-mtls")
    (tmp_path / "hub").mkdir()
    async with (
        opening.bench(tmp_path / "hub", "127.0.0.1", 0) as bench,
        serving(says("200 OK"), servers.issue("localhost"), client_ca=clients.pem) as heard,
    ):
        where = Where(f"https://localhost:{heard.port}/", "127.0.0.1/32", servers.pem, client_cert=shown)
        candidate = await joining.join(bench, joining.at(asking, where))
        assert candidate.endpoint is not None
        await bench.wire.post(candidate.endpoint.url, content=b"{}", headers={}, endpoint=candidate.endpoint)
        with pytest.raises(DeliveryFailed):
            stranger = replace(candidate.endpoint, id="stranger", client_cert=None)
            await bench.wire.post(stranger.url, content=b"{}", headers={}, endpoint=stranger)
        [lent] = bench.hub.settings.keys_dir.glob("client-*")
        assert lent.is_symlink()
    assert heard.bodies == [b"{}"]


@pytest.mark.parametrize("profile", Profile)
def test_every_mistake_of_a_form_is_made_in_three_sets_and_hides_none(profile: Profile) -> None:
    sector, _ = FORMS[profile]
    blocking = BLOCKING.get(profile, {})
    beside = set(applying(profile, sector)) - blocking.keys()
    made = groups(beside)
    codes = {mistake: {number for number, group in enumerate(made) if mistake in group} for mistake in beside}
    assert {len(code) for code in codes.values()} == {3}
    assert len({frozenset(code) for code in codes.values()}) == len(beside)
    assert not any(codes.get(one, set()) & codes.get(other, set()) for one, other in HIDDEN)


def test_every_mistake_is_made_in_some_form() -> None:
    made = {each for profile, (sector, _) in FORMS.items() for each in applying(profile, sector)}
    assert made == set(Mistake)
