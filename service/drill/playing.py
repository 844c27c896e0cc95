"""Plays a scenario at a running drill's hub over HTTP: the police file and approve, sandboxes answer."""

import asyncio
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

from adapters.base import DeliveryFailed
from adapters.sandbox.participant import Sandbox
from adapters.sandbox.tls import SandboxTls
from adapters.transport import HubClient
from service.demo.police import Police
from service.drill import cast as casting
from service.drill.cast import Cast
from service.drill.scenarios import Scenario
from service.settings import Settings
from workflows.terms import Channel, Sector

OnEvent = Callable[[str, dict[str, Any]], None]


class NotPlayed(Exception):
    """The scenario cannot be played; the message says why."""


async def play(
    settings: Settings, hub_url: str, scenario: Scenario, cast: Cast, on_event: OnEvent, stop: asyncio.Event
) -> list[Mapping[str, Any]]:
    """File the scenario, let the players answer until ``stop``, and return what was filed: id and reference each.

    ``hub_url`` is the hub's plain address on this machine, whatever its issuer is. Whoever takes part with an exercise
    system of its own is not played. Raises ``NotPlayed`` where the hub does not answer or is no drill's, or refuses
    what is filed.
    """
    await _is_drill(hub_url)
    tls = SandboxTls(settings.data_dir / "tls")
    police = Police(
        hub_url,
        cast.police_key,
        cast.officer_keys,
        client=casting.POLICE_CLIENT,
        approver=casting.APPROVER,
        issuer=settings.address,
    )
    players = [
        _sandbox(player, hub_url, settings.address, scenario, tls, on_event) for player in _played(cast, scenario.roles)
    ]
    started: list[Sandbox] = []
    try:
        for player in players:
            await player.start()
            started.append(player)
        filed = [await _file(police, demand) for demand in scenario.demands()]
        for request in filed:
            on_event("filed", {"participant": cast.agency, **request})
        await stop.wait()
        return filed
    finally:
        await police.close()
        for player in started:
            await player.stop()


def _played(cast: Cast, roles: Collection[str]) -> list[casting.Player]:
    return [player for player in cast.players if player.id in roles]


def _sandbox(
    player: casting.Player, hub_url: str, issuer: str, scenario: Scenario, tls: SandboxTls, on_event: OnEvent
) -> Sandbox:
    return Sandbox(
        player.id,
        Sector(player.sector),
        scenario.roles[player.id].behaviour,
        0,
        hub_url,
        casting.client_of(player.id),
        player.client_key,
        "",
        tls,
        on_event,
        issuer=issuer,
        signing_key=player.answer_key,
        speaks=Channel.PULL,
    )


async def _is_drill(address: str) -> None:
    """Ask the hub itself, before anything is filed: what it says of itself must be that it is a drill's."""
    try:
        client = HubClient(address, timeout=30.0)
    except ValueError as wrong:
        raise NotPlayed(f"{wrong}: --hub") from None
    try:
        answer = await client.get("/healthz", headers={})
    except DeliveryFailed as failed:
        raise NotPlayed(f"no hub answers at {address} ({failed.code}): hoatoc serve") from None
    finally:
        await client.aclose()
    if answer.status != 200 or json.loads(answer.body).get("drill") is not True:
        raise NotPlayed(f"the hub at {address} is no drill's: nothing was filed")


async def _file(police: Police, demand: Mapping[str, Any]) -> Mapping[str, Any]:
    answer = await police.submit(demand)
    if answer.status != 201:
        raise NotPlayed(f"the hub refused a request: {answer.status} {json.loads(answer.body).get('code')}")
    filed: Mapping[str, Any] = json.loads(answer.body)
    approved = await police.approve(filed["id"])
    if approved.status >= 300:
        raise NotPlayed(f"the hub refused an approval: {approved.status} {json.loads(approved.body).get('code')}")
    return {"id": filed["id"], "reference": filed["reference"]}
