"""Mutual TLS and the authorities of each endpoint, against real TLS servers: who is let in, and who is believed."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from wire_servers import NAME, Authority, Heard, endpoint, says, serving

from adapters.base import DeliveryFailed, Endpoint
from adapters.transport import Transport

PAST = datetime(2021, 1, 1, tzinfo=UTC)
FUTURE = datetime(2119, 1, 1, tzinfo=UTC)


@pytest.fixture
def servers(tmp_path: Path) -> Authority:
    """The authority of the bank's server."""
    return Authority(tmp_path, "servers of the bank")


@pytest.fixture
def clients(tmp_path: Path) -> Authority:
    """The authority of those whom the bank lets in."""
    return Authority(tmp_path, "clients of the bank")


async def ending(transport: Transport, to: Endpoint) -> str:
    """Send a message; return ``reached`` or the code of the failure."""
    try:
        await transport.post(to.url, content=b"{}", headers={}, endpoint=to)
    except DeliveryFailed as failed:
        return failed.code
    return "reached"


def bank(heard: Heard, authority: Authority, shown: tuple[str, str] | None = None, id: str = "bank") -> Endpoint:
    return endpoint(f"https://{NAME}:{heard.port}/", ca_pem=authority.pem, client_cert=shown, id=id)


async def test_the_certificate_of_its_authority_is_let_in(
    transport: Transport, servers: Authority, clients: Authority
) -> None:
    async with serving(says("200 OK"), servers.issue(NAME), client_ca=clients.pem) as heard:
        assert await ending(transport, bank(heard, servers, clients.issue("hub.example"))) == "reached"
    assert heard.bodies == [b"{}"]


@pytest.mark.parametrize("kind", ["none", "another authority's", "self-signed", "expired", "not yet valid"])
async def test_every_other_client_certificate_is_refused_and_nothing_was_said(
    transport: Transport, servers: Authority, clients: Authority, tmp_path: Path, kind: str
) -> None:
    shown = {
        "none": lambda: None,
        "another authority's": lambda: Authority(tmp_path, "clients of another bank").issue("hub.example"),
        "self-signed": lambda: Authority(tmp_path, "hub.example").own_files(),
        "expired": lambda: clients.issue("hub.example", until=PAST),
        "not yet valid": lambda: clients.issue("hub.example", since=FUTURE),
    }[kind]()
    async with serving(says("200 OK"), servers.issue(NAME), client_ca=clients.pem) as heard:
        # TLS 1.3 tells a refusal after the handshake; where the reset overtakes it, the connection just breaks.
        assert await ending(transport, bank(heard, servers, shown)) in {"tls", "connection.broken"}
    assert heard.bodies == []


async def test_a_certificate_is_shown_to_the_endpoint_that_it_was_approved_for_and_to_no_other(
    transport: Transport, servers: Authority, clients: Authority
) -> None:
    shown = clients.issue("hub.example")
    async with (
        serving(says("200 OK"), servers.issue(NAME), client_ca=clients.pem) as a,
        serving(says("200 OK"), servers.issue(NAME), client_ca=clients.pem) as b,
    ):
        assert await ending(transport, bank(a, servers, shown, id="a")) == "reached"
        assert await ending(transport, bank(b, servers, id="b")) in {"tls", "connection.broken"}
        # The very address of "a", under another endpoint: neither its certificate nor its connection is lent.
        assert await ending(transport, bank(a, servers, id="b")) in {"tls", "connection.broken"}
    assert (len(a.bodies), len(b.bodies)) == (1, 0)


@pytest.mark.parametrize(
    "kind", ["another endpoint's authority", "another name", "expired", "not yet valid", "its own"]
)
async def test_a_server_that_its_endpoints_authority_does_not_vouch_for_is_not_believed(
    transport: Transport, servers: Authority, tmp_path: Path, kind: str
) -> None:
    other = Authority(tmp_path, "servers of another bank")
    files = {
        "another endpoint's authority": lambda: other.issue(NAME),
        "another name": lambda: servers.issue("other.example", "127.0.0.1"),
        "expired": lambda: servers.issue(NAME, until=PAST),
        "not yet valid": lambda: servers.issue(NAME, since=FUTURE),
        "its own": lambda: Authority(tmp_path, NAME).own_files(),
    }[kind]()
    async with serving(says("200 OK"), files) as heard:
        assert await ending(transport, bank(heard, servers)) == "tls"
        if kind == "another endpoint's authority":
            assert await ending(transport, bank(heard, other, id="another")) == "reached"
            # A connection that is kept for the other endpoint, at the same address, is not one for this.
            assert await ending(transport, bank(heard, servers)) == "tls"
    assert len(heard.bodies) == (kind == "another endpoint's authority")


async def test_two_endpoints_at_one_address_have_a_connection_each(transport: Transport, servers: Authority) -> None:
    async with serving(says("200 OK"), servers.issue(NAME)) as heard:
        for id in ("a", "b", "a", "b"):
            assert await ending(transport, bank(heard, servers, id=id)) == "reached"
    assert (heard.connections, len(heard.bodies)) == (2, 4)


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        (ssl.TLSVersion.TLSv1, "tls"),
        (ssl.TLSVersion.TLSv1_1, "tls"),
        (ssl.TLSVersion.TLSv1_2, "reached"),
        (ssl.TLSVersion.TLSv1_3, "reached"),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_nothing_older_than_tls_1_2_is_spoken(
    transport: Transport, servers: Authority, newest: ssl.TLSVersion, expected: str
) -> None:
    async with serving(says("200 OK"), servers.issue(NAME), newest=newest) as heard:
        assert await ending(transport, bank(heard, servers)) == expected
    assert len(heard.bodies) == (expected == "reached")


async def test_a_key_that_is_missing_broken_or_another_certificates_is_a_configuration_and_nothing_is_sent(
    transport: Transport, servers: Authority, clients: Authority, tmp_path: Path
) -> None:
    certificate, _ = clients.issue("hub.example")
    _, other_key = clients.issue("other.example")
    (tmp_path / "broken.key").write_text("no key")
    async with serving(says("200 OK"), servers.issue(NAME), client_ca=clients.pem) as heard:
        for key in (str(tmp_path / "missing.key"), str(tmp_path / "broken.key"), other_key):
            assert await ending(transport, bank(heard, servers, (certificate, key))) == "tls.configuration"
    assert heard.connections == 0
