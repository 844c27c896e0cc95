"""The transport against real TLS servers on loopback: what it sends, and all that it refuses."""

import asyncio
import contextlib
import gzip
import socket
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import wire_servers
from wire_servers import NAME, Authority, endpoint, says, serving, to_loopback

from adapters import connections
from adapters import transport as transports
from adapters.base import DeliveryFailed, Endpoint, Receipt
from adapters.transport import LARGEST_ANSWER, Transport


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "test authority")


async def post(transport: Transport, to: Endpoint, content: bytes = b"{}") -> Receipt:
    # A broken deadline must turn a test red, not hang it.
    async with asyncio.timeout(10):
        return await transport.post(to.url, content=content, headers={"Content-Type": "application/json"}, endpoint=to)


async def failure(transport: Transport, to: Endpoint) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        await post(transport, to)
    return caught.value


def bank(heard: wire_servers.Heard, authority: Authority, timeout: float = 5.0) -> Endpoint:
    return endpoint(f"https://{NAME}:{heard.port}/hook?v=1", ca_pem=authority.pem, timeout=timeout)


async def test_a_2xx_brings_a_receipt_and_the_registered_name_reaches_the_server(
    authority: Authority, transport: Transport
) -> None:
    async with serving(says("202 Accepted", body=b"taken"), authority.issue(NAME)) as heard:
        receipt = await post(transport, bank(heard, authority), b'{"a":1}')
    assert (receipt.status, receipt.body_head) == (202, b"taken")
    assert receipt.answered_by == f"127.0.0.1:{heard.port}"
    assert 0 < receipt.latency < 5
    assert heard.heads[0].startswith("POST /hook?v=1 HTTP/1.1\r\n")
    assert heard.header("host") == f"{NAME}:{heard.port}"
    assert heard.names == [NAME]
    assert heard.bodies == [b'{"a":1}']
    assert heard.header("accept-encoding") == "identity"


async def test_a_redirect_is_never_followed(authority: Authority, transport: Transport) -> None:
    files = authority.issue(NAME, "127.0.0.1")
    async with serving(says("200 OK"), files) as elsewhere:
        location = f"Location: https://127.0.0.1:{elsewhere.port}/"
        async with serving(says("307 Temporary Redirect", location), files) as heard:
            failed = await failure(transport, bank(heard, authority))
    assert (failed.code, failed.status, failed.retryable) == ("http.redirect", 307, True)
    assert (len(heard.bodies), elsewhere.connections) == (1, 0)


async def test_a_certificate_of_another_authority_is_refused(
    authority: Authority, transport: Transport, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other authority")
    async with serving(says("200 OK"), other.issue(NAME)) as heard:
        failed = await failure(transport, bank(heard, authority))
    assert failed.code == "tls"
    assert heard.bodies == []


async def test_without_its_own_authority_nothing_is_sent_whomever_the_system_trusts(
    authority: Authority, transport: Transport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "system.pem").write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    async with serving(says("200 OK"), authority.issue(NAME)) as heard:
        failed = await failure(transport, endpoint(f"https://{NAME}:{heard.port}/"))
    assert (failed.code, failed.retryable, heard.connections) == ("tls.configuration", True, 0)


async def test_a_certificate_for_another_name_is_refused(authority: Authority, transport: Transport) -> None:
    # It would be right for the address; only the registered name counts.
    async with serving(says("200 OK"), authority.issue("other.example", "127.0.0.1")) as heard:
        failed = await failure(transport, bank(heard, authority))
    assert failed.code == "tls"
    assert heard.bodies == []


async def test_a_replaced_authority_counts_at_once_although_a_connection_is_kept(
    authority: Authority, transport: Transport, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other authority")
    async with serving(says("200 OK"), authority.issue(NAME)) as heard:
        await post(transport, bank(heard, authority))
        await post(transport, bank(heard, authority))
        failed = await failure(transport, bank(heard, other))
    assert failed.code == "tls"
    assert (len(heard.bodies), len(heard.names)) == (2, 2)


async def test_a_changed_endpoint_does_not_cut_a_call_that_is_under_way(
    authority: Authority, transport: Transport
) -> None:
    arrived, go = asyncio.Event(), asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await go.wait()
        await says("200 OK")(writer)

    async with (
        serving(answer, authority.issue(NAME)) as heard,
        serving(says("200 OK"), authority.issue("b.example")) as b,
    ):
        under_way = asyncio.create_task(post(transport, bank(heard, authority)))
        async with asyncio.timeout(5):
            await arrived.wait()
        await post(transport, endpoint(f"https://b.example:{b.port}/", ca_pem=authority.pem))
        go.set()
        assert (await under_way).status == 200


async def test_an_answer_of_64_kib_is_read_and_its_head_kept(authority: Authority, transport: Transport) -> None:
    async with serving(says("200 OK", body=b"x" * 65536), authority.issue(NAME)) as heard:
        receipt = await post(transport, bank(heard, authority))
    assert receipt.body_head == b"x" * 2048


async def test_an_endless_answer_is_cut_after_64_kib(
    authority: Authority, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    chunks = httpx.Response.aiter_raw

    async def counted(self: httpx.Response) -> AsyncIterator[bytes]:
        async for chunk in chunks(self):
            read.append(len(chunk))
            yield chunk

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 16384)
            await writer.drain()

    monkeypatch.setattr(httpx.Response, "aiter_raw", counted)
    async with serving(answer, authority.issue(NAME)) as heard:
        failed = await failure(transport, bank(heard, authority))
    assert (failed.code, failed.status, failed.retryable) == ("answer.too_large", 200, True)
    # Read on until one byte too many has come, in whatever pieces it comes, and then no more. What fits into the
    # sockets' buffers may be on its way.
    assert sum(read[:-1]) <= LARGEST_ANSWER < sum(read)


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"], ids=["head", "body"])
async def test_a_slow_drip_is_cut_by_the_deadline_over_the_whole_call(
    begin: bytes, authority: Authority, transport: Transport
) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        for byte in b"HTTP/1.1 200 OK and so on, a byte at a time, for ever and ever":
            writer.write(bytes([byte]))
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.05)

    began = time.monotonic()
    async with serving(answer, authority.issue(NAME)) as heard:
        failed = await failure(transport, bank(heard, authority, timeout=0.3))
    assert (failed.code, failed.retryable) == ("answer.timeout", True)
    assert 0.3 <= time.monotonic() - began < 1.5


async def test_a_slow_look_up_of_the_name_is_inside_the_deadline(authority: Authority) -> None:
    async def never(name: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    failed = await failure(Transport(resolve=never), endpoint(f"https://{NAME}/", timeout=0.1))
    assert failed.code == "answer.timeout"


async def test_a_server_that_accepts_and_never_greets_is_given_up_early(
    authority: Authority, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transports, "CONNECT_WITHIN", 0.2)
    async with serving(says("200 OK"), files=None) as heard:
        # Plain TCP that waits for a blank line: the TLS greeting is never answered.
        failed = await failure(transport, bank(heard, authority))
    assert (failed.code, heard.connections) == ("connect.timeout", 1)


async def test_a_compressed_answer_is_refused_unread(authority: Authority, transport: Transport) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    async with serving(says("200 OK", "Content-Encoding: gzip", body=bomb), authority.issue(NAME)) as heard:
        failed = await failure(transport, bank(heard, authority))
    assert (failed.code, failed.status, failed.body_head) == ("answer.encoded", 200, b"")


NO_DATES = (
    "Wed, 21 Oct 2026 07:28:00 +99999999999999999999",
    "Wed, 21 Oct 99999999999999999999 07:28:00 GMT",
    "Wed, 21 Oct 2026 99999999999:28:00 GMT",
)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0", 0.0), ("soon", None), ("-5", None), ("1e9", None), *((date, None) for date in NO_DATES)],
)
async def test_retry_after_is_handed_on_in_seconds(
    value: str, seconds: float | None, authority: Authority, transport: Transport
) -> None:
    answer = says("429 Too Many Requests", f"Retry-After: {value}", body=b"slow down")
    async with serving(answer, authority.issue(NAME)) as heard:
        failed = await failure(transport, bank(heard, authority))
    assert (failed.code, failed.status, failed.retryable) == ("http.429", 429, True)
    assert (failed.retry_after, failed.body_head) == (seconds, b"slow down")


@pytest.mark.parametrize(("ahead", "least", "most"), [(100, 90, 100), (-100, 0, 0)])
async def test_retry_after_may_be_a_date(
    ahead: int, least: float, most: float, authority: Authority, transport: Transport
) -> None:
    instant = format_datetime(datetime.fromtimestamp(time.time(), UTC) + timedelta(seconds=ahead), usegmt=True)
    answer = says("503 Service Unavailable", f"Retry-After: {instant}")
    async with serving(answer, authority.issue(NAME)) as heard:
        failed = await failure(transport, bank(heard, authority))
    assert failed.retry_after is not None
    assert least <= failed.retry_after <= most


async def test_gone_is_a_failure_of_its_own_and_still_retried(authority: Authority, transport: Transport) -> None:
    async with serving(says("410 Gone"), authority.issue(NAME)) as heard:
        failed = await failure(transport, bank(heard, authority))
    assert (failed.code, failed.status, failed.retryable) == ("http.410", 410, True)


async def test_a_connection_reset_before_the_answer_is_a_failure(authority: Authority, transport: Transport) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with serving(answer, authority.issue(NAME)) as heard:
        failed = await failure(transport, bank(heard, authority))
    assert (failed.code, failed.retryable, len(heard.bodies)) == ("connection.broken", True, 1)


async def test_garbage_instead_of_http_is_a_failure(authority: Authority, transport: Transport) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await writer.drain()

    async with serving(answer, authority.issue(NAME)) as heard:
        assert (await failure(transport, bank(heard, authority))).code == "connection.broken"


async def test_a_closed_port_is_a_failure(authority: Authority, transport: Transport) -> None:
    async with serving(says("200 OK"), authority.issue(NAME)) as heard:
        pass
    assert (await failure(transport, bank(heard, authority))).code == "connect.failed"


async def test_a_name_that_nobody_knows_is_a_failure() -> None:
    async def unknown(name: str, port: int) -> Sequence[str]:
        raise OSError("unknown")

    assert (await failure(Transport(resolve=unknown), endpoint(f"https://{NAME}/"))).code == "name.unresolved"


@pytest.mark.parametrize(
    ("network", "shift_port", "allow_loopback", "own_networks"),
    [
        ("10.0.0.0/8", 0, True, ()),
        (None, 0, True, ()),
        ("127.0.0.0/8", 1, True, ()),
        ("127.0.0.0/8", 0, False, ()),
        ("127.0.0.0/8", 0, True, ("127.0.0.0/30",)),
    ],
    ids=["outside the network", "no network", "another port", "loopback outside the demo", "the hub's own subnet"],
)
async def test_an_address_that_is_not_registered_is_refused_and_not_connected_to(
    network: str | None, shift_port: int, allow_loopback: bool, own_networks: tuple[str, ...], authority: Authority
) -> None:
    transport = Transport(allow_loopback=allow_loopback, own_networks=own_networks, resolve=to_loopback)
    async with serving(says("200 OK"), authority.issue(NAME)) as heard:
        url = f"https://{NAME}:{heard.port}/"
        to = endpoint(url, ca_pem=authority.pem, network=network, port=heard.port + shift_port)
        failed = await failure(transport, to)
    assert (failed.code, failed.retryable, heard.connections) == ("address.not_registered", True, 0)


async def test_the_name_is_resolved_once_and_the_first_registered_address_is_used(authority: Authority) -> None:
    asked: list[str] = []

    async def rebinding(name: str, port: int) -> Sequence[str]:
        asked.append(name)
        return ["10.1.2.3", "::1", "127.0.0.1", "127.0.0.2"] if len(asked) == 1 else ["10.1.2.3"]

    transport = Transport(allow_loopback=True, resolve=rebinding)
    async with serving(says("200 OK"), authority.issue(NAME)) as heard:
        receipt = await post(transport, bank(heard, authority))
        await transport.aclose()
    assert receipt.answered_by == f"127.0.0.1:{heard.port}"
    assert asked == [NAME]


async def test_the_systems_resolver_finds_loopback_and_a_literal_address_needs_none(authority: Authority) -> None:
    transport = Transport(allow_loopback=True)
    async with serving(says("200 OK"), authority.issue("localhost", "127.0.0.1")) as heard:
        for host in ("localhost", "127.0.0.1"):
            receipt = await post(transport, endpoint(f"https://{host}:{heard.port}/", ca_pem=authority.pem))
            assert receipt.answered_by == f"127.0.0.1:{heard.port}"
        await transport.aclose()


async def test_proxy_variables_are_ignored(
    authority: Authority, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(says("200 OK"), files=None) as proxy, serving(says("200 OK"), authority.issue(NAME)) as heard:
        for variable in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        await post(transport, bank(heard, authority))
    assert (proxy.connections, len(heard.bodies)) == (0, 1)


async def test_session_keys_are_not_written_where_a_variable_says(
    authority: Authority, transport: Transport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    async with serving(says("200 OK"), authority.issue(NAME)) as heard:
        await post(transport, bank(heard, authority))
    assert not (tmp_path / "keys").exists()


async def test_a_participants_cookies_are_not_kept(authority: Authority, transport: Transport) -> None:
    async with serving(says("200 OK", "Set-Cookie: a=b; Path=/"), authority.issue(NAME)) as heard:
        await post(transport, bank(heard, authority))
        await post(transport, bank(heard, authority))
    assert heard.header("cookie") is None


async def test_plain_http_is_refused(transport: Transport) -> None:
    async with serving(says("200 OK"), files=None) as heard:
        failed = await failure(transport, endpoint(f"http://127.0.0.1:{heard.port}/"))
    assert (failed.code, heard.connections) == ("url.not_tls", 0)


@pytest.mark.parametrize("url", ["https://", "https://user:word@bank.example/", "https://bank.example:port/"])
async def test_a_malformed_url_is_refused(url: str, transport: Transport) -> None:
    assert (await failure(transport, endpoint(url))).code == "url.malformed"


async def test_an_unreadable_authority_is_named_as_such(transport: Transport) -> None:
    failed = await failure(transport, endpoint(f"https://{NAME}/", ca_pem="nothing"))
    assert (failed.code, failed.retryable) == ("tls.configuration", True)


async def test_a_missing_client_certificate_is_told_apart_where_the_server_says_so(
    authority: Authority, transport: Transport
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(NAME))
    context.load_verify_locations(cadata=authority.pem)
    context.verify_mode = ssl.CERT_REQUIRED

    def refuse_one(listener: socket.socket) -> None:
        listener.settimeout(5)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(5)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            session = context.wrap_bio(incoming, outgoing, server_side=True)
            with contextlib.suppress(ssl.SSLCertVerificationError, ssl.SSLError):
                while True:
                    try:
                        session.do_handshake()
                    except ssl.SSLWantReadError:
                        connection.sendall(outgoing.read())
                        if not incoming.write(connection.recv(65536)):
                            break
            # The alert leaves before the connection is closed in good order: no reset overtakes it.
            connection.sendall(outgoing.read())
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        refusing = asyncio.create_task(asyncio.to_thread(refuse_one, listener))
        url = f"https://{NAME}:{listener.getsockname()[1]}/"
        failed = await failure(transport, endpoint(url, ca_pem=authority.pem))
        await refusing
    assert failed.code == "tls"


async def test_what_a_server_says_unasked_is_no_answer_to_the_next_call(
    authority: Authority, transport: Transport
) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        # The second one, forged ahead, would be taken for the answer to whatever is sent next.
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with serving(answer, authority.issue(NAME)) as heard:
        statuses = [(await post(transport, bank(heard, authority))).status for _ in range(3)]
    assert (statuses, heard.connections) == ([202, 202, 202], 3)


async def test_what_announces_an_answer_is_none(authority: Authority, transport: Transport) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        await says("202 Accepted")(writer)

    async with serving(answer, authority.issue(NAME)) as heard:
        assert (await post(transport, bank(heard, authority))).status == 202


async def test_an_endless_head_is_cut(authority: Authority, transport: Transport) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-More: " + b"x" * 4096 + b"\r\n")
            await writer.drain()

    async with serving(answer, authority.issue(NAME)) as heard:
        assert (await failure(transport, bank(heard, authority))).code == "connection.broken"


async def test_no_endpoint_has_more_than_eight_connections_and_they_are_used_again(
    authority: Authority, transport: Transport
) -> None:
    async with serving(says("200 OK"), authority.issue(NAME)) as heard:
        for _ in range(2):
            await asyncio.gather(*(post(transport, bank(heard, authority)) for _ in range(20)))
    assert len(heard.bodies) == 40
    assert heard.connections <= transports.CONNECTIONS_PER_ENDPOINT


class Wire(asyncio.Transport):
    """What a connection writes to; it notes whether it is to be read from."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = True
        self.taken = b""

    def write(self, data: Any) -> None:
        """Take it and say nothing."""
        self.taken += data

    def pause_reading(self) -> None:
        """Read no further."""
        self.is_read = False

    def resume_reading(self) -> None:
        """Read on."""
        self.is_read = True


async def test_a_connection_that_is_not_read_from_any_more_carries_no_other_call() -> None:
    wire, connection = Wire(), connections._Connection(connections._Peer("127.0.0.1", 443, "bank.example"))
    connection.connection_made(wire)
    headers = [(b"Host", b"bank.example"), (b"Content-Length", b"0")]
    asked = asyncio.create_task(connection.ask(b"POST", b"/", headers, b""))
    await asyncio.sleep(0)
    # Whole, and more than is taken at once: nothing of it is waited for, so nothing lets it be read on.
    chunks = b"1\r\na\r\n" * 20_000
    connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert (await asked)[0] == 200
    assert sum([len(part) async for part in connection.body()]) == 20_000
    assert not wire.is_read and not connection.is_free_again()


async def test_who_hung_up_right_after_the_greeting_is_not_written_to() -> None:
    wire, connection = Wire(), connections._Connection(connections._Peer("127.0.0.1", 443, "bank.example"))
    connection.connection_made(wire)
    connection.connection_lost(None)
    with pytest.raises(ConnectionAbortedError):
        await connection.ask(b"POST", b"/", [(b"Host", b"bank.example"), (b"Content-Length", b"0")], b"")
    assert wire.taken == b""
