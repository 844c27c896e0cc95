"""T-FUZZ and T-SLOW (P22) at a real process: raw bytes and slow clients cost it no 5xx, no memory, no honest caller."""

import asyncio
import contextlib
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import journey_network
import pytest
import trust_sizes
from front_servers import POST, Line, Served
from journey_processes import Process
from test_fuzz_trust import read_problem

from service import clock
from service.web.connections import Gate

pytestmark = pytest.mark.xdist_group("processes")

MOST_MEMORY = 512 * 1024  # KiB
AT_ONCE = 20
HONEST_CALLS = 200
HELLO = b"GET /oauth/jwks HTTP/1.1\r\nHost: hub.test\r\nConnection: close\r\n\r\n"
SEEDS = (
    HELLO,
    b"GET /v1/requests?limit=5 HTTP/1.1\r\nHost: hub.test\r\nAuthorization: DPoP e30.e30.e30\r\nDPoP: e30\r\n\r\n",
    b"POST /v1/requests HTTP/1.1\r\nHost: hub.test\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n"
    b'{"amount":NaN}',
    b"POST /oauth/token HTTP/1.1\r\nHost: hub.test\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n1d\r\ngrant_type=client_credentials\r\n0\r\n\r\n",
    POST + b"Content-Length: 70000\r\n\r\n" + b"[" * 60_000,
    POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    b"GET / HTTP/1.1\r\nHost: hub.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
    b"POST /sign-in/made-up HTTP/1.0\r\nContent-Length: 0\r\n\r\n",
)
LETTERS = (
    b"\r\n",
    b"\n",
    b"\x00",
    b" ",
    b":",
    b"\xff",
    b"HTTP/1.1",
    b"Content-Length: 5\r\n",
    b"chunked",
    b"\r\n\r\n",
    b"%00",
)


def packet(draw: random.Random) -> bytes:
    """Return bytes that somebody might send to a web server: a good call with a few changes, or no call at all."""
    if draw.random() < 0.15:
        return draw.randbytes(draw.choice((1, 20, 500, 20_000)))
    raw = bytearray(draw.choice(SEEDS))
    for _ in range(draw.randrange(5)):
        at = draw.randrange(min(len(raw), 300) + 1)
        match draw.randrange(4):
            case 0:
                raw[at:at] = draw.choice(LETTERS)
            case 1:
                del raw[at : at + draw.randrange(1, 20)]
            case 2:
                raw[at : at + 1] = draw.randbytes(1)
            case 3:
                raw[at:at] = draw.choice((b"x" * 20_000, b"X: 1\r\n" * 100, draw.choice(SEEDS)))
    return bytes(raw)


def judged(raw: bytes, statuses: Counter[int]) -> list[str]:
    """Return what is wrong with the answers in what came back."""
    wrong = []
    for head, body in re.findall(rb"HTTP/1\.1 (\d{3} .*?\r\n\r\n)(.*?)(?=HTTP/1\.1 \d{3} |\Z)", raw, re.DOTALL):
        status = int(head[:3])
        statuses[status] += 1
        if status >= 500:
            wrong.append(f"{status}: {body[:200]!r}")
        elif status >= 400 and b"text/html" not in head and body:
            if b"application/problem+json" not in head:
                wrong.append(f"{status} is no problem: {head[:200]!r}")
            else:
                wrong += [f"{status}: {fault}" for fault in read_problem(body)[1:]]
    return wrong


def memory(pid: int) -> int:
    """Return the most memory that a process ever had, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1])


async def test_raw_bytes_and_slow_clients_at_a_real_process(
    tmp_path: Path, record_property: Callable[..., None]
) -> None:
    draw = random.Random(trust_sizes.seed())
    packets = trust_sizes.size(gate=1_000, full=12_000)
    slow = trust_sizes.size(gate=200, full=1_000)
    settings = journey_network.settings_of(tmp_path, None, policy="vn-default", address_per_second=100_000)
    await journey_network.enroll(settings, {})
    statuses: Counter[int] = Counter()
    wrong: list[str] = []
    process = Process(settings)
    async with process.running():
        served = Served(settings.port, Gate(), None)

        async def attack(many: list[bytes]) -> None:
            for each in many:
                line = await served.connect(f"127.0.0.{draw.randrange(2, 250)}")
                with contextlib.suppress(ConnectionError):
                    await line.send(each)
                    line.writer.write_eof()
                wrong.extend(f"{fault} for {each[:300]!r}" for fault in judged(await line.rest(), statuses))
                line.close()

        made = [packet(draw) for _ in range(packets)]
        await asyncio.gather(*(attack(made[at::AT_ONCE]) for at in range(AT_ONCE)))
        record_property(
            *trust_sizes.figure("P22", "T-FUZZ: raw bytes", n=packets, violations=len(wrong), answers=statuses.total())
        )
        alone = await honest(served)
        lines: list[Line] = []
        for number in range(slow):
            lines.append(await served.connect(f"127.0.1.{1 + number % 250}"))
            await lines[-1].send(b"GET /oauth/jwks HTTP/1.1\r\nX-Slow: " if number % 2 else POST[:40])
        among = await honest(served)
        failed = [status for status, _ in alone + among if status != 200]
        ratio = p99(among) / p99(alone)
        for line in lines:
            line.close()
        used = memory(process.pid)
        record_property(
            *trust_sizes.figure(
                "P22",
                "T-SLOW: slow clients",
                n=slow,
                violations=len(failed) + (used > MOST_MEMORY),
                honest=len(alone + among),
                p99_ms_alone=round(p99(alone) * 1_000, 1),
                p99_ms_among=round(p99(among) * 1_000, 1),
                ratio=round(ratio, 2),
                memory_mb=used // 1024,
            )
        )
        assert await process.stop() == 0, process.text
    assert wrong == []
    assert {200, 400, 401, 404, 413, 415, 431} <= statuses.keys(), statuses
    assert failed == []
    assert used <= MOST_MEMORY
    assert "Traceback" not in process.text


async def honest(served: Served) -> list[tuple[int, float]]:
    """Return status and seconds of honest calls, one after the other, each on a connection of its own."""
    found = []
    for _ in range(HONEST_CALLS):
        began = clock.monotonic()
        found.append(((await served.ask(HELLO)).status, clock.monotonic() - began))
    return found


def p99(calls: list[tuple[int, float]]) -> float:
    """Return the 99th percentile of the seconds."""
    return sorted(seconds for _, seconds in calls)[len(calls) * 99 // 100]
