"""Real TLS servers on loopback, with certificates made on the spot."""

import asyncio
import contextlib
import ipaddress
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters.base import Endpoint
from workflows.terms import Channel

_FROM, _TO = datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC)

# The one participant that these tests speak to.
NAME = "bank.example"

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def to_loopback(name: str, port: int) -> Sequence[str]:
    """Resolve every name to this machine."""
    return ["127.0.0.1"]


class Authority:
    """A certificate authority for one test."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.pem = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def own_files(self) -> tuple[str, str]:
        """Return the files of the authority's own certificate and key."""
        return self._files(f"own.{self.id}", self.pem.encode(), self._key)

    def issue(
        self, *names: str, since: datetime = _FROM, until: datetime = _TO, organisation: str | None = None
    ) -> tuple[str, str]:
        """Return the files of a certificate for the names (or addresses) and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        called = {NameOID.COMMON_NAME: names[0], NameOID.ORGANIZATION_NAME: organisation}
        subject = x509.Name([x509.NameAttribute(kind, name) for kind, name in called.items() if name])
        builder = self._builder(subject, key.public_key(), since, until)
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        made = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        return self._files(f"{names[0]}.{self.id}", made, key)

    def certify(self, request: str) -> str:
        """Return the certificate for a request, both as PEM text."""
        asked = x509.load_pem_x509_csr(request.encode())
        made = self._builder(asked.subject, asked.public_key()).sign(self._key, hashes.SHA256())  # type: ignore[arg-type]
        return made.public_bytes(serialization.Encoding.PEM).decode()

    def _files(self, name: str, certificate: bytes, key: ec.EllipticCurvePrivateKey) -> tuple[str, str]:
        paths = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        paths[0].write_bytes(certificate)
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return str(paths[0]), str(paths[1])

    @property
    def id(self) -> str:
        return self._name.rfc4514_string().replace(" ", "_")

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, since: datetime = _FROM, until: datetime = _TO
    ) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(issuer_name=self._name, subject_name=subject, public_key=key)
        return builder.serial_number(x509.random_serial_number()).not_valid_before(since).not_valid_after(until)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@dataclass
class Heard:
    """What a server heard: connections, server names asked for, and whole requests."""

    port: int = 0
    connections: int = 0
    names: list[str | None] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        """Return a header of the last request."""
        for line in self.heads[-1].split("\r\n")[1:]:
            key, _, value = line.partition(": ")
            if key.lower() == name.lower():
                return value
        return None


def says(status_line: str, *headers: str, body: bytes = b"") -> Answer:
    """Return an answer with a status line, headers and a body of known length."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        head = "\r\n".join([f"HTTP/1.1 {status_line}", f"Content-Length: {len(body)}", *headers, "", ""])
        writer.write(head.encode() + body)
        await writer.drain()

    return answer


@contextlib.asynccontextmanager
async def serving(
    answer: Answer,
    files: tuple[str, str] | None,
    client_ca: str | None = None,
    newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
) -> AsyncIterator[Heard]:
    """Serve on a free port of 127.0.0.1: with TLS up to ``newest`` if there are certificate files, else plain TCP."""
    heard = Heard()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                heard.heads.append(head)
                length = int(heard.header("content-length") or 0)
                heard.bodies.append(await reader.readexactly(length))
                await answer(writer)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=_context(files, client_ca, heard, newest))
    heard.port = server.sockets[0].getsockname()[1]
    try:
        yield heard
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _context(
    files: tuple[str, str] | None, client_ca: str | None, heard: Heard, newest: ssl.TLSVersion
) -> ssl.SSLContext | None:
    if files is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    if newest < ssl.TLSVersion.TLSv1_2 and newest is not ssl.TLSVersion.MAXIMUM_SUPPORTED:
        # Old versions are spoken by a library that was told to forget its own caution.
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = newest
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_ca)

    def note(_socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        heard.names.append(name)

    context.sni_callback = note
    return context


def endpoint(
    url: str,
    *,
    ca_pem: str | None = None,
    network: str | None = "127.0.0.0/8",
    port: int | None = None,
    secrets: tuple[str, ...] = (),
    client_cert: tuple[str, str] | None = None,
    timeout: float = 5.0,
    channel: Channel = Channel.WEBHOOK,
    id: str = "endpoint-1",
) -> Endpoint:
    """Return an endpoint of the one participant that these tests speak to; its port is the URL's unless it is given.

    ``client_cert`` is the files of a certificate and its key, as an ``Authority`` issues them.
    """
    named = port or (int(found[1]) if (found := re.search(r":(\d+)(/|$)", url)) else 443)
    shown = None if client_cert is None else (Path(client_cert[0]).read_text(), client_cert[1])
    return Endpoint(id, channel, url, network, named, ca_pem, secrets, shown, timeout)
