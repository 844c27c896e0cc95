"""The shipped haproxy configuration, started as it is: what it lets through, says by itself, and hides."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import journey_network
import pytest
import sqlalchemy as sa
from journey_network import AGENCY, free_port
from journey_processes import Process, until
from wire_servers import Authority

from adapters.base import DeliveryFailed
from adapters.sandbox.hub import Hub as Tokens
from adapters.transport import HubAnswer
from service.models import QueueItem
from service.web import addresses

CONFIGURATION = Path(__file__).parents[2] / "service" / "handbook" / "proxy" / "haproxy.cfg"
_QUEUE = sa.inspect(QueueItem).local_table
BANKS = {name: journey_network.BANKS[name] for name in ("vietcombank", "techcombank")}
RESTARTS = 20 if os.environ.get("HOATOC_FAULTS") == "1" else 1
pytestmark = pytest.mark.xdist_group("processes")


@dataclass
class Proxy:
    """A running haproxy with the shipped configuration; ``environment`` is all that an operator sets."""

    folder: Path
    nodes: tuple[str, str]
    more: dict[str, str] = field(default_factory=dict)
    tls: int = field(default_factory=free_port)
    plain: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        """Make its certificate and the authority of its clients."""
        self.authority, self.clients = Authority(self.folder, "server"), Authority(self.folder, "clients")
        certificate, key = (Path(name).read_text() for name in self.authority.issue("localhost"))
        pem, ca = self.folder / "hub.pem", self.folder / "clients.pem"
        pem.write_text(certificate + key)
        ca.write_text(self.clients.pem)
        self.environment = {
            "HOATOC_TLS_PEM": str(pem),
            "HOATOC_CLIENT_CA": str(ca),
            "HOATOC_BIND_TLS": f"127.0.0.1:{self.tls}",
            "HOATOC_BIND_PLAIN": f"127.0.0.1:{self.plain}",
            "HOATOC_NODE_1": self.nodes[0],
            "HOATOC_NODE_2": self.nodes[1],
            **self.more,
        }

    @property
    def address(self) -> str:
        """The public address."""
        return f"https://localhost:{self.tls}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        """Check the configuration, start it, and end it."""
        program = shutil.which("haproxy") or "/usr/sbin/haproxy"
        environment = {**os.environ, **self.environment}
        check = [program, "-c", "-f", str(CONFIGURATION)]
        done = await asyncio.to_thread(subprocess.run, check, env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and "warning" not in done.stderr.lower(), done.stdout + done.stderr
        log = (self.folder / "haproxy.log").open("wb")
        child = await asyncio.create_subprocess_exec(
            program, "-db", "-f", str(CONFIGURATION), env=environment, stdout=log, stderr=log
        )
        try:
            await until(self._listens, 20, "a listening proxy")
            yield self
        finally:
            log.close()
            child.send_signal(signal.SIGKILL)
            await child.wait()

    async def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.tls)
            writer.close()
            return True
        return False

    def client(self, certificate: tuple[str, str] | None = None) -> httpx.AsyncClient:
        """Return a client that trusts the proxy, with a certificate of its own if it has one."""
        context = ssl.create_default_context(cadata=self.authority.pem)
        if certificate:
            context.load_cert_chain(*certificate)
        return httpx.AsyncClient(base_url=self.address, verify=context, timeout=20, trust_env=False)

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a TLS connection to write to as one likes."""
        context = ssl.create_default_context(cadata=self.authority.pem)
        return await asyncio.open_connection("localhost", self.tls, ssl=context)


class Stub:
    """A node that is ready and keeps the heads that reached it."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.port = free_port()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Stub"]:
        """Answer 200 to everything."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", self.port)
        try:
            yield self
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            if " /readyz " not in head:
                self.heads.append(head)
            length = re.search(r"(?i)\r\ncontent-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def before_stub(folder: Path, **more: str) -> AsyncIterator[tuple[Proxy, Stub]]:
    """Run a proxy before one stub."""
    async with Stub().running() as stub:
        proxy = Proxy(folder, (f"127.0.0.1:{stub.port}", f"127.0.0.1:{free_port()}"), more)
        async with proxy.running():
            async with proxy.client() as http:

                async def is_served() -> bool:
                    return (await http.get("/v1/hello")).status_code == 200

                await until(is_served, 20, "a node that is up", every=0.2)
            stub.heads.clear()
            yield proxy, stub


SPOOFED = {
    "X-Forwarded-For": "198.51.100.66",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "http",
    "X_Forwarded_For": "198.51.100.67",
    "Forwarded": "for=198.51.100.68",
    "X-Real-IP": "198.51.100.69",
    "X-Client-Cert-Subject": "/O=evil",
    "X-Client-Cert-SHA256": "ab" * 32,
    "X-SSL-Client-Verify": "SUCCESS",
    "Proxy": "http://evil.example",
}


def lines(head: str) -> dict[str, list[str]]:
    """Return the headers of a head."""
    found: dict[str, list[str]] = {}
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        found.setdefault(name.lower(), []).append(value)
    return found


async def test_what_only_the_proxy_may_say_is_taken_from_nobody(tmp_path: Path) -> None:
    async with asyncio.timeout(60), before_stub(tmp_path) as (proxy, stub):
        async with proxy.client() as http:
            answer = await http.get("/v1/requests", headers={**SPOOFED, "DPoP": "kept"})
            assert answer.status_code == 200
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
        own = proxy.clients.issue("agency.example")
        async with proxy.client(own) as http:
            assert (await http.get("/v1/requests", headers=SPOOFED)).status_code == 200
    without, with_certificate = (lines(head) for head in stub.heads)
    assert without["x-forwarded-for"] == ["127.0.0.1"] == with_certificate["x-forwarded-for"]
    assert without["dpop"] == ["kept"]
    for name in SPOOFED:
        assert name.lower() in {"x-forwarded-for", "x-client-cert-subject", "x-client-cert-sha256"} or (
            name.lower() not in without and name.lower() not in with_certificate
        ), name
    assert "x-client-cert-subject" not in without and "x-client-cert-sha256" not in without
    assert with_certificate["x-client-cert-subject"] == ["/CN=agency.example"]
    (digest,) = with_certificate["x-client-cert-sha256"]
    assert len(digest) == 64 and digest.lower() != SPOOFED["X-Client-Cert-SHA256"]


async def test_a_foreign_certificate_plain_http_and_old_tls_are_refused(tmp_path: Path) -> None:
    async with asyncio.timeout(60), before_stub(tmp_path) as (proxy, stub):
        foreign = Authority(tmp_path, "foreign").issue("evil.example")
        with pytest.raises((httpx.HTTPError, ssl.SSLError)):
            async with proxy.client(foreign) as http:
                await http.get("/v1/requests")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{proxy.plain}", trust_env=False) as http:
            moved = await http.get("/docs?x=1")
            assert (moved.status_code, moved.headers["location"]) == (
                308,
                f"https://127.0.0.1:{proxy.plain}/docs?x=1",
            )
            assert (await http.post("/v1/requests", content=b"{}")).status_code == 403
        old = ssl.create_default_context(cadata=proxy.authority.pem)
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("localhost", proxy.tls, ssl=old)
        for path in (b"/metrics", b"/healthz", b"/readyz", b"/%6detrics", b"/health%7A", b"/%72%65adyz?x=1"):
            async with proxy.client() as http:
                # As it is written: the client's own reading of an address would undo the escapes.
                asked = httpx.URL(proxy.address).copy_with(raw_path=path)
                assert (await http.get(asked)).status_code == 404, path
    assert stub.heads == []


async def test_answers_a_paper_and_evidence_get_through_and_nothing_for_its_likeness(tmp_path: Path) -> None:
    async with asyncio.timeout(60), before_stub(tmp_path) as (proxy, stub), proxy.client() as http:
        large = {"/requests/new/paper": 8_388_608, "/requests/new/text": 262_144, "/audit/verify": 8_388_608}
        for path, size in large.items():
            assert (await http.post(path, content=b" " * size)).status_code == 200, path
        for path in ("/requests/newer/paper", "/v1/requests/new/paper", "/requests%2Fnew/paper", "/audit/verify/more"):
            assert (await http.post(path, content=b" " * 65_537)).status_code == 413, path
        assert len(stub.heads) == len(large)


async def test_slow_and_too_large_never_reach_a_node(tmp_path: Path) -> None:
    async with asyncio.timeout(60), before_stub(tmp_path, HOATOC_HEAD_WITHIN="300ms") as (proxy, stub):
        reader, writer = await proxy.raw()
        writer.write(b"GET /v1/requests HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        assert b" 408 " in await reader.readline()
        await reader.read()
        writer.close()
        reader, writer = await proxy.raw()
        writer.write(b"POST /v1/requests HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
        assert b" 408 " in await reader.readline()
        writer.close()
        async with proxy.client() as http:
            large = await http.post("/v1/requests", content=b" " * 65_537)
            assert (large.status_code, large.json()["code"]) == (413, "body.too_large")
            assert large.json()["title_vi"] == "Nội dung quá lớn"
            assert (await http.get("/v1/requests", headers={"X": "x" * 17_000})).status_code == 400
            many = {f"X-{number}": "1" for number in range(100)}
            assert (await http.get("/v1/requests", headers=many)).status_code == 400
    assert stub.heads == []


async def test_an_address_has_its_budget_and_an_organisation_another(tmp_path: Path) -> None:
    slow = {"HOATOC_PER_SECOND": "1000", "HOATOC_PER_MINUTE": "20"}
    async with asyncio.timeout(60), before_stub(tmp_path, **slow) as (proxy, stub):
        async with proxy.client() as http:
            answers = [await http.get("/v1/requests") for _ in range(30)]
            refused = [answer for answer in answers if answer.status_code == 429]
            assert refused and {answer.status_code for answer in answers} == {200, 429}
            assert refused[0].json()["code"] == "rate.exceeded" and refused[0].headers["retry-after"] == "1"
        async with proxy.client(proxy.clients.issue("agency.example", organisation="PC02")) as http:
            assert (await http.get("/v1/requests")).status_code == 200
        # A certificate that names no organisation counts for nothing: its address has no budget left.
        async with proxy.client(proxy.clients.issue("nobody.example")) as http:
            assert (await http.get("/v1/requests")).status_code == 429
    assert len(stub.heads) == 31 - len(refused)


class OverTls:
    """The way of a system to its hub over the proxy: what ``HubClient`` is on loopback."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def post(self, path: str, *, content: bytes, headers: dict[str, str]) -> HubAnswer:
        """POST to a path."""
        return await self._ask("POST", path, content, headers)

    async def get(self, path: str, *, headers: dict[str, str]) -> HubAnswer:
        """GET a path."""
        return await self._ask("GET", path, b"", headers)

    async def _ask(self, method: str, path: str, content: bytes, headers: dict[str, str]) -> HubAnswer:
        try:
            answer = await self._http.request(method, path, content=content, headers=headers)
        except httpx.HTTPError:
            raise DeliveryFailed("connect.failed") from None
        return HubAnswer(answer.status_code, answer.content)


async def test_nodes_are_restarted_one_after_the_other_and_no_call_fails(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """P23: SIGTERM under load; each call is answered, each node ends by itself, and no lease outlives it."""
    async with asyncio.timeout(120 + 60 * RESTARTS), journey_network.database_of("postgresql") as url:
        first = journey_network.settings_of(tmp_path, url, policy="vn-default", node="a", leave_within=3)
        first = first.model_copy(update={"proxies": ("127.0.0.1/32",)})
        second = first.model_copy(update={"node": "b", "port": free_port()})
        more = {"HOATOC_PER_SECOND": "1000", "HOATOC_PER_MINUTE": "100000"}
        proxy = Proxy(tmp_path, tuple(f"127.0.0.1:{each.port}" for each in (first, second)), more)  # type: ignore[arg-type]
        first, second = (each.model_copy(update={"issuer": proxy.address}) for each in (first, second))
        assert addresses.is_in("127.0.0.1", addresses.networks(first.proxies))
        answering = dict.fromkeys(BANKS, f"http://127.0.0.1:{second.port}")
        network = await journey_network.enroll(first, BANKS, answer_to=answering)
        nodes = [Process(each) for each in (first, second)]
        answers: Counter[int] = Counter()
        left_behind: list[str] = []
        async with network.playing(), nodes[0].running(), nodes[1].running(), proxy.running(), proxy.client() as http:
            police: Any = network.police(AGENCY, f"http://127.0.0.1:{first.port}")
            police.client = OverTls(http)
            police._tokens = Tokens(police.client, f"{AGENCY}-system", network.keys[AGENCY], proxy.address)

            async def file() -> None:
                bank = ("vietcombank", "techcombank")[answers.total() % 2]
                body = journey_network.freeze(f"999{uuid.uuid4().int % 10**10:010d}", bank)
                answer = await police.submit(body)
                answers[answer.status] += 1
                assert answer.status == 201, answer.body
                approved = await police.approve(json.loads(answer.body)["id"], body, f"{AGENCY}-approver")
                answers[approved.status] += 1
                assert approved.status == 201, approved.body

            async def serves() -> bool:
                return (await http.get("/oauth/jwks")).status_code == 200

            async def filing_while(work: asyncio.Task[Any]) -> Any:
                while not work.done():
                    await file()
                    await asyncio.sleep(0.12)  # an agency has twenty calls a second
                return await work

            await until(serves, 30, "a node that is up", every=0.2)
            await file()
            for restart in range(RESTARTS):
                node = nodes[restart % len(nodes)]
                assert await filing_while(asyncio.create_task(node.stop())) == 0, node.text
                left_behind += await _leased_to(network, node.settings.node)
                await node.start()
                await filing_while(asyncio.create_task(node.ready()))
                # Twice seen to be ready by the proxy, each half a second: before that the other one may not leave.
                await filing_while(asyncio.create_task(asyncio.sleep(3)))
            refused = await http.post(
                "/v1/requests", content=json.dumps({}), headers={"Content-Type": "application/json"}
            )
            assert refused.status_code == 401
        figures = {"restarts": RESTARTS, "calls": answers.total(), "failed": answers.total() - answers[201]}
        record_property("T-ROLL", json.dumps({**figures, "leases left behind": len(left_behind)}))
    assert set(answers) == {201} and answers.total() >= 10 * RESTARTS
    assert left_behind == []


async def _leased_to(network: journey_network.Network, node: str) -> list[str]:
    async with journey_network.reading(network.settings) as database, database.read() as conn:
        leased = sa.select(_QUEUE.c.id).where(_QUEUE.c.leased, _QUEUE.c.node == node)
        return [str(row) for row in (await conn.execute(leased)).scalars()]
