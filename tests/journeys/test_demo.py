"""The two commands that a stranger tries first: the whole demonstration, and the one that keeps running."""

import asyncio
import contextlib
import json
import os
import re
import shlex
import signal
import socket
import sys
from pathlib import Path

import journey_network
import journey_processes
import pytest
from journey_network import Police
from journey_processes import Process, until

from service.settings import Settings

SEEN = (
    "Vietcombank holds all of it",
    "Techcombank holds 60.000.000 ₫",
    "MoMo holds it",
    "Viettel: not mine; VinaPhone blocked it",
    "Vietcombank let go",
    "both answers are HT-",
    "403 authority.",
    "Techcombank holds all of it now",
    "the hold on the wallet ended and MoMo confirmed the lift",
    "99 domains blocked, one refused as legitimate",
    "rungs 1, 2 and 3 fired; the third called the State Bank of Vietnam",
    "the evidence holds, with public keys alone: ",
    "another account in it is found: ",
)
FIRST_SCENE = ("Vietcombank holds all of it", "Techcombank holds all of it now", "rungs 1, 2 and 3 fired")
PLAYED_WITHIN = 180.0


def settings_of(folder: Path) -> Settings:
    """The settings of a stranger: nothing but a folder and a port."""
    return Settings(data_dir=folder, port=journey_network.free_port(), log_level="warning")


@pytest.mark.xdist_group("processes")
async def test_the_demonstration_ends_well_only_after_each_step_was_seen(tmp_path: Path) -> None:
    demo = Process(settings_of(tmp_path), "demo")
    async with asyncio.timeout(PLAYED_WITHIN + 60), demo.running(wait=False):
        assert await demo.ended(PLAYED_WITHIN) == 0, demo.text[-4000:]
    seen = [line.split("✓ ", 1)[1] for line in demo.text.splitlines() if "✓ " in line]
    assert [step for step in SEEN if not any(line.startswith(step) for line in seen)] == []
    assert len(seen) == len(SEEN)
    assert "✗" not in demo.text
    assert "every step was seen" in demo.text
    for told in ("Leo thang bậc 3", "Escalat"):
        assert told in demo.text, f"the timelines in both languages: {told!r} is missing"


@pytest.mark.xdist_group("processes")
async def test_a_hub_that_keeps_running_stops_whole_and_goes_on_with_its_data(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    async with asyncio.timeout(2 * PLAYED_WITHIN):
        first = Process(settings, "demo", "--keep-running", name="first")
        async with first.running(wait=False):
            await _says(first, "running;")
            assert all(step in first.text for step in FIRST_SCENE), first.text
            assert re.search(rf"timelines: +{settings.address}/\n", first.text)
            link = _found(rf"sign in \(once\): +({settings.address}/\S+)", first.text)
            assert await _status(link) in (200, 303), "the sign-in link"
            command = shlex.split(_found(r"^ +(\S*hoatoc submit .+)$", first.text))
            filed = await _run(command, settings)
            assert "reference: HT-" in filed and f"timeline: {settings.address}/requests/" in filed
            await _stops_whole(first, settings)
        second = Process(settings, "demo", "--keep-running", name="second")
        async with second.running(wait=False):
            await _says(second, "going on with the data of the last start")
            await _says(second, "running;")
            police = Police(settings.address, "pc02-79-system", json.loads(_police_key(tmp_path).read_text()), {})
            kept = (await police.read("/v1/requests?limit=50"))["items"]
            assert sorted(item["action"] for item in kept) == ["freeze"] * 4
            assert _found(r"reference: (HT-\S+)", filed) in {item["reference"] for item in kept}
            await _stops_whole(second, settings)


@pytest.mark.xdist_group("processes")
async def test_a_hub_whose_port_is_taken_says_so_before_it_writes_anything(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with socket.create_server((settings.host, settings.port)):
        demo = Process(settings, "demo", "--keep-running")
        async with asyncio.timeout(PLAYED_WITHIN), demo.running(wait=False):
            assert await demo.ended(PLAYED_WITHIN) == 1
    assert f"port {settings.port}" in demo.text and "HOATOC_PORT" in demo.text
    assert not (settings.data_dir / "run").exists()


async def _says(process: Process, line: str) -> None:
    async def said() -> bool:
        assert process.child is not None and process.child.returncode is None, process.text[-4000:]
        return line in process.text

    await until(said, PLAYED_WITHIN, lambda: f"{line!r}:\n{process.text[-4000:]}")


async def _stops_whole(process: Process, settings: Settings) -> None:
    """Ctrl-C: exit code 0, no child left, nobody listens any more."""
    children = _descendants(process.pid)
    kept = json.loads((settings.data_dir / "run" / "network.json").read_text())
    ports = [settings.port, *(member["port"] for member in kept["members"] + kept["desks"])]
    assert len(children) == 1, "the hub is a process of its own"
    assert all(_listens(port) for port in ports)
    assert await process.stop(signal.SIGINT) == 0, process.text[-4000:]
    assert "Traceback" not in process.text
    assert [pid for pid in children if _lives(pid)] == []
    assert [port for port in ports if _listens(port)] == []


def _descendants(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found += [int(folder.name), *_descendants(int(folder.name))]
    return found


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def _run(command: list[str], settings: Settings) -> str:
    # The printed command names the installed script; run here from this very source.
    done = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service.cli", *command[1:]),
        env={**os.environ, **journey_processes.environment(settings)},
        cwd=journey_processes.ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await asyncio.wait_for(done.communicate(), 60)
    assert done.returncode == 0, error.decode()
    return out.decode()


async def _status(url: str) -> int:
    _, _, rest = url.partition("://")
    address, _, path = rest.partition("/")
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
    line = await asyncio.wait_for(reader.readline(), 20)
    writer.close()
    return int(line.split()[1])


def _police_key(folder: Path) -> Path:
    return folder / "run" / "police.jwk"


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    assert match, f"{pattern!r} is not in:\n{text}"
    return match[1]
