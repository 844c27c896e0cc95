"""P16: the hub cannot be steered to any address but the registered one, and every registered one works."""

import random
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import canaries
import egress_runs as runs
import pytest
import trust_sizes
from canaries import NAME, Site
from egress_runs import Tally

from adapters.transport import Transport

Record = Callable[[str, object], None]


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    async with canaries.site(tmp_path, monkeypatch) as made:
        yield made


def judge(record_property: Record, site: Site, what: str, tally: Tally) -> None:
    """Record the figure, then assert: every vector ended as it must, and no canary heard of any."""
    hits = site.hits.total()
    figure = trust_sizes.figure(
        "P16", f"T-SSRF {what}", n=tally.tried, violations=len(tally.wrong) + hits, registered_reached=tally.worked
    )
    record_property(*figure)
    assert not site.hits
    assert not tally.wrong, "\n".join(tally.wrong[:40])


async def test_no_spelling_of_an_address_leads_to_a_canary(site: Site, record_property: Record) -> None:
    tally = await runs.urls(site)
    assert tally.tried >= 400
    judge(record_property, site, "spellings of an address", tally)


async def test_of_the_answers_for_a_name_only_the_registered_address_is_used(
    site: Site, record_property: Record
) -> None:
    judge(record_property, site, "answers of a resolver", await runs.answers(site))


async def test_a_name_that_is_bound_anew_between_two_calls_leads_nowhere_else(
    site: Site, record_property: Record
) -> None:
    judge(record_property, site, "rebinding between calls", await runs.rebindings(site))


async def test_between_check_and_connect_no_resolver_is_asked(
    site: Site, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        """The system's own resolver, whose first answer is the registered address and whose next ones are a canary."""
        asked.append(host)
        return real("127.0.0.1" if len(asked) % 2 else "127.0.0.2", port, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    tally = Tally()
    for _ in range(10):
        asked.clear()
        transport = Transport(allow_loopback=True)
        found = await canaries.post(transport, site.endpoint(f"https://{NAME}:{site.port}/"))
        tally.note(asked[:], "reached", found if asked == [NAME] else "asked again")
        await transport.aclose()
    judge(record_property, site, "rebinding between check and connect", tally)


async def test_no_answer_of_a_participant_sends_the_hub_on(site: Site, record_property: Record) -> None:
    judge(record_property, site, "redirects and their like", await runs.replies(site))


async def test_no_variable_of_the_environment_leads_elsewhere(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    judge(record_property, site, "proxy variables", await runs.variables(site, tmp_path, monkeypatch))


async def test_every_registered_private_address_works_and_none_beside_it(
    site: Site, tmp_path: Path, record_property: Record
) -> None:
    tally = await runs.private(site, tmp_path)
    judge(record_property, site, "registered private addresses", tally)
    # By name and by address, at each address within.
    assert tally.worked == 2 * sum(len(within) for _, within, _ in runs.spellings.PRIVATE)


async def test_spellings_made_by_chance_lead_nowhere_either(site: Site, record_property: Record) -> None:
    draw = random.Random(trust_sizes.seed())
    tally = await runs.variations(site, draw, trust_sizes.size(gate=300, full=5_000))
    judge(record_property, site, "spellings made by chance", tally)


def test_what_is_not_registrable_is_refused_at_the_registry_too(record_property: Record) -> None:
    tally = runs.registrations()
    figure = trust_sizes.figure("P16", "T-SSRF at the registry", n=tally.tried, violations=len(tally.wrong))
    record_property(*figure)
    assert not tally.wrong, "\n".join(tally.wrong[:40])
