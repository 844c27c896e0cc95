"""The demonstration: a hub in a process of its own, seven sandbox participants, and a scene that files over HTTP."""

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from service import clock
from service.demo import cast, hub_process, network, police
from service.demo.network import Network
from service.demo.police import Police
from service.demo.scene import NotSeen, Scene
from service.demo.telling import Teller
from service.security import keyfile
from service.security.keyring import SigningKey
from service.settings import Settings

POLICY = "demo-seconds"


async def run(settings: Settings, *, keep_running: bool) -> int:
    """Play the scene; return 0 only if each step was seen. ``keep_running`` plays the first part and stays."""
    tell = Teller()
    try:
        # Before the data of the last performance go: they may be those of one that runs.
        hub_process.check_port(settings)
    except hub_process.HubDied as taken:
        tell.say(f"✗ {taken}", "bold red")
        return 1
    folder = settings.data_dir / ("run" if keep_running else "demo")
    if not keep_running:
        _forget(folder)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = settings.model_copy(
        update={"data_dir": folder.resolve(), "profile": "demo", "policy": POLICY, "database_url": None}
    )
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    played = asyncio.create_task(_play(chosen, tell, keep_running=keep_running))
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({played, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not played.done():
        tell.say("stopping …")
        played.cancel()
    try:
        return await played
    except asyncio.CancelledError:
        tell.say("stopped")
        # Ctrl-C is how ``make run`` is meant to end; a scene that was cut short was not seen.
        return 0 if keep_running else 130
    except (NotSeen, hub_process.HubDied) as failed:
        tell.say(f"✗ {failed}", "bold red")
        return 1


async def _play(settings: Settings, tell: Teller, *, keep_running: bool) -> int:
    found, link = await network.prepare(settings, tell.say)
    participants = network.sandboxes(found, settings, tell.event)
    started = []
    try:
        async with hub_process.running(settings):
            tell.say(f"the hub is ready at {settings.address}")
            for participant in participants:
                await participant.start()
                started.append(participant)
            await _scene(settings, tell, found, link, keep_running=keep_running)
        return 0
    finally:
        for participant in started:
            await participant.stop()


async def _scene(settings: Settings, tell: Teller, found: Network, link: str, *, keep_running: bool) -> None:
    police_system = Police(settings.address, found.police_key, found.officer_keys)
    scene = Scene(police_system, tell, settings)
    try:
        if not keep_running:
            await scene.play()
            await scene.timelines()
            tell.say("every step was seen", "bold green")
            return
        _invite(settings, tell, found, link)
        if not found.filed:
            await scene.first_scene()
            found.filed = True
            found.save(settings.data_dir / "network.json")
            for name, request_id in scene.ids.items():
                tell.say(f"{name}: {settings.address}/requests/{request_id}")
        else:
            tell.say("going on with the data of the last start")
        tell.say("running; Ctrl-C stops everything", "bold green")
        await asyncio.Event().wait()
    finally:
        await police_system.close()


def _invite(settings: Settings, tell: Teller, found: Network, link: str) -> None:
    """Print how to look at it, and a ready command that files a request of one's own."""
    key, officer_key = settings.data_dir / "police.jwk", settings.data_dir / "officer.jwk"
    body = settings.data_dir / "my-request.json"
    _write_key(key, found.police_key)
    _write_key(officer_key, found.officer_keys[police.MAKER])
    wanted = police.freeze("9990000055555", "Techcombank", amount=20_000_000, legal_basis="emergency")
    body.write_text(json.dumps(wanted, ensure_ascii=False, indent=2))
    hoatoc = Path(sys.executable).with_name("hoatoc")
    tell.console.print()
    tell.say(f"timelines:            {settings.address}/", "bold")
    tell.say(f"sign in (once):       {settings.address}{link}", "bold")
    tell.say(f"API reference:        {settings.address}/docs")
    tell.say("the clocks of this demonstration run in seconds: a limit of 10 minutes is one of 6 s here")
    tell.say("file one of your own: an emergency hold by one officer; unreviewed for 10 s, it lifts itself", "bold")
    tell.console.print(
        f"  {_short(hoatoc)} submit {_short(body)} --client {cast.POLICE_CLIENT} --key {_short(key)}"
        f" --officer-key {_short(officer_key)} --hub {settings.address}",
        soft_wrap=True,
    )


def _write_key(path: Path, key: Mapping[str, Any]) -> None:
    if path.exists():
        return
    now = clock.utc_now()
    private = ECKey.import_key(dict(key)).private_key
    assert private is not None, "the demo keeps the whole key"
    keyfile.save(SigningKey.of(private, not_before=now, not_after=now + timedelta(days=365)), path)


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _forget(folder: Path) -> None:
    """Remove the last performance: the demonstration always begins with an empty hub."""
    if not folder.exists():
        return
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
