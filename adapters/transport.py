"""The one HTTP client: total deadline, byte cap, no redirects, TLS only, and only to the registered address."""

import asyncio
import contextlib
import functools
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from adapters import addresses, authorities, targets
from adapters.base import DeliveryFailed, Endpoint, Receipt
from adapters.connections import Kept
from adapters.targets import Target, UrlRefused

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

# The whole call at most, the connection, the answer, and what is kept of it.
LONGEST_CALL = 30.0
CONNECT_WITHIN = 2.0
LARGEST_ANSWER = 64 * 1024
ANSWER_HEAD = 2 * 1024
CONNECTIONS_PER_ENDPOINT = 8
# Below the five seconds after which most servers hang up, so that a kept connection is rarely a dead one.
KEPT_FOR = 4.0
# The hub counts its five seconds from its answer; a busy sandbox hears of that answer, and of the end, later.
_KEPT_FOR_THE_HUB = 2.0
_HEADERS = {"User-Agent": "hoatoc", "Accept": "application/json", "Accept-Encoding": "identity"}
_url = functools.lru_cache(4096)(httpx.URL)


@dataclass(slots=True, eq=False)
class _Line:
    """The kept connections to one endpoint, for as long as its definition stays the same."""

    definition: tuple[object, ...]
    kept: Kept
    in_flight: int = 0
    retired: bool = False


@dataclass(slots=True)
class Transport:
    """Sends to registered endpoints, and to nothing else.

    ``allow_loopback`` is for the demo profile; ``own_networks`` are the hub's subnets, refused even if registered, as
    are this machine's own addresses (``is_own``). ``resolve`` turns a name into addresses.
    """

    allow_loopback: bool = False
    own_networks: Sequence[str] = ()
    resolve: Resolve = addresses.system_resolve
    is_own: Callable[[addresses.Address], bool] = addresses.is_own
    _lines: dict[str, _Line] = field(default_factory=dict)

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
        """POST ``content`` and return the receipt of a 2xx; any other ending raises ``DeliveryFailed``.

        ``url`` must have the host and port of the endpoint's own. The whole call, with the look-up of the name, takes
        at most ``endpoint.timeout`` seconds (never above 30).
        """
        return await self._call("POST", url, content, headers, endpoint)

    async def get(self, url: str, *, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
        """GET what lies at the endpoint's host, as ``post`` does: what an identity provider publishes of itself."""
        return await self._call("GET", url, b"", headers, endpoint)

    async def _call(
        self, method: str, url: str, content: bytes, headers: Mapping[str, str], endpoint: Endpoint
    ) -> Receipt:
        began = time.monotonic()
        try:
            async with asyncio.timeout(min(endpoint.timeout, LONGEST_CALL)):
                target = _parse(url)
                address = await self._registered_address(target, endpoint)
                async with self._line(target, endpoint) as kept:
                    status, body = await _exchange(method, kept, target, address, content, headers)
        except httpx.ConnectTimeout:
            raise DeliveryFailed("connect.timeout") from None
        except (TimeoutError, httpx.TimeoutException):
            raise DeliveryFailed("answer.timeout") from None
        except httpx.ConnectError as error:
            raise DeliveryFailed("tls" if authorities.is_fault_of_tls(error) else "connect.failed") from None
        except (httpx.HTTPError, OSError) as error:
            # TLS 1.3 servers refuse a missing client certificate only after the handshake, on the first read.
            raise DeliveryFailed("tls" if authorities.is_fault_of_tls(error) else "connection.broken") from None
        return Receipt(status, time.monotonic() - began, body[:ANSWER_HEAD], f"{address}:{target.port}", body)

    async def aclose(self) -> None:
        """Close the kept connections."""
        lines, self._lines = list(self._lines.values()), {}
        for line in lines:
            await line.kept.aclose()

    async def _registered_address(self, target: Target, endpoint: Endpoint) -> addresses.Address:
        registered = _parse(endpoint.url)
        if (target.host, target.port) != (registered.host, registered.port) or target.port != endpoint.port:
            raise DeliveryFailed("address.not_registered")
        try:
            candidates = await self.resolve(target.host, target.port)
        except (OSError, UnicodeError):
            raise DeliveryFailed("name.unresolved") from None
        # Resolved once: the address that is checked here is the address that is connected to.
        address = addresses.first_registered(
            candidates, endpoint.network, allow_loopback=self.allow_loopback, own_networks=self.own_networks
        )
        if address is None or (self.is_own(address) and not address.is_loopback):
            raise DeliveryFailed("address.not_registered")
        return address

    @contextlib.asynccontextmanager
    async def _line(self, target: Target, endpoint: Endpoint) -> AsyncIterator[Kept]:
        # A kept connection was verified for a name under an authority: another definition needs other connections.
        definition = (target.host, target.port, endpoint.network, endpoint.ca_pem, endpoint.client_cert)
        former = self._lines.get(endpoint.id)
        if former is not None and former.definition == definition:
            line = former
            line.in_flight += 1
        else:
            kept = Kept(authorities.context(endpoint), CONNECTIONS_PER_ENDPOINT, KEPT_FOR)
            line = self._lines[endpoint.id] = _Line(definition, kept, in_flight=1)
            if former is not None:
                former.retired = True
                await _close_if_unused(former)
        try:
            yield line.kept
        finally:
            line.in_flight -= 1
            await _close_if_unused(line)


async def _close_if_unused(line: _Line) -> None:
    if line.retired and line.in_flight == 0:
        await line.kept.aclose()


def _parse(url: str) -> Target:
    try:
        return targets.parse(url)
    except UrlRefused as refused:
        raise DeliveryFailed(refused.reason) from None


def _client() -> httpx.AsyncClient:
    # Not httpx's own pool: it loses a place for good to each call that is broken off while it waits for one (ADR 0075).
    return httpx.AsyncClient(
        transport=Kept(None, CONNECTIONS_PER_ENDPOINT, _KEPT_FOR_THE_HUB),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(None, connect=CONNECT_WITHIN),
        headers=_HEADERS,
    )


async def _exchange(
    method: str,
    kept: Kept,
    target: Target,
    address: addresses.Address,
    content: bytes,
    headers: Mapping[str, str],
) -> tuple[int, bytes]:
    url = _url(f"https://{targets.bracketed(str(address))}:{target.port}{target.path}")
    # No client of httpx stands in between: it would only be told not to follow, keep cookies or ask the environment.
    request = httpx.Request(
        method,
        url,
        headers={**_HEADERS, **headers, "Host": target.authority},
        content=content,
        extensions={"sni_hostname": target.host, "timeout": {"connect": CONNECT_WITHIN}},
    )
    response = await kept.handle_async_request(request)
    try:
        body, fault = await _read(response)
    finally:
        await response.aclose()
    status = response.status_code
    if response.is_success and fault is None:
        return status, body
    # What the status says matters more than a fault of the answer's body.
    code = fault if response.is_success and fault else f"http.{status}"
    raise DeliveryFailed(
        "http.redirect" if 300 <= status < 400 else code,
        retry_after=_retry_after(response.headers.get("Retry-After", "")),
        status=status,
        body_head=body[:ANSWER_HEAD],
    )


async def _read(response: httpx.Response, largest: int = LARGEST_ANSWER) -> tuple[bytes, str | None]:
    """Return the answer's body and what is wrong with it; stops reading at 64 KiB and never decompresses."""
    if response.headers.get("Content-Encoding", "").strip():
        return b"", "answer.encoded"
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > largest:
            return bytes(body[:largest]), "answer.too_large"
    return bytes(body), None


def _retry_after(value: str) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for (RFC 9110, 10.2.3), or ``None`` if it is unreadable."""
    if re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        return float(value)
    try:
        instant = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        # Numbers beyond any calendar are no ValueError.
        return None
    # "-0000" gives a naive value; HTTP dates are GMT.
    return max(0.0, instant.replace(tzinfo=instant.tzinfo or UTC).timestamp() - time.time())


@dataclass(frozen=True, slots=True)
class HubAnswer:
    """What the hub answered: the status, the body, as much of it as the client may read, and the headers."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=httpx.Headers)

    @property
    def retry_after(self) -> float | None:
        """The seconds that it asks to wait, or ``None`` where it asks for nothing readable."""
        return _retry_after(self.headers.get("Retry-After", ""))


class HubClient:
    """The way of a sandbox participant to its hub: plain HTTP, and therefore to a loopback address only."""

    def __init__(self, hub_url: str, timeout: float = 10.0, largest: int = LARGEST_ANSWER) -> None:
        """Take the hub's base URL with a literal loopback address or ``localhost``; raises ``ValueError`` otherwise.

        ``largest`` is how many bytes of an answer are read: whole timelines are longer than acknowledgements.
        """
        self._base = httpx.URL(hub_url)
        if self._base.scheme != "http" or not addresses.is_loopback(self._base.host):
            raise ValueError("a sandbox speaks plain HTTP to a loopback address only")
        self._timeout = timeout
        self._largest = largest
        self._client = _client()

    async def post(self, path: str, *, content: bytes, headers: Mapping[str, str]) -> HubAnswer:
        """POST to a path of the hub and return any answer; raises ``DeliveryFailed`` if there was none in time."""
        return await self._ask("POST", path, content, headers)

    async def get(self, path: str, *, headers: Mapping[str, str]) -> HubAnswer:
        """GET a path of the hub and return any answer; raises as ``post``."""
        return await self._ask("GET", path, b"", headers)

    async def events(self, path: str, *, headers: Mapping[str, str]) -> AsyncIterator[str]:
        """GET server-sent events and yield the data of each; raises ``DeliveryFailed``, for a long silence too."""
        url = self._base.copy_with(raw_path=path.encode("ascii"))
        try:
            async with self._client.stream("GET", url, headers=dict(headers)) as response:
                if response.status_code != 200:
                    raise DeliveryFailed(f"http.{response.status_code}", status=response.status_code)
                lines = response.aiter_lines()
                while True:
                    async with asyncio.timeout(self._timeout):
                        line = await anext(lines)
                    if line.startswith("data: "):
                        yield line.removeprefix("data: ")
        except StopAsyncIteration:
            return
        except (TimeoutError, httpx.HTTPError, OSError):
            raise DeliveryFailed("connect.failed") from None

    async def _ask(self, method: str, path: str, content: bytes, headers: Mapping[str, str]) -> HubAnswer:
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream(
                    method, self._base.copy_with(raw_path=path.encode("ascii")), content=content, headers=dict(headers)
                ) as response,
            ):
                body, fault = await _read(response, self._largest)
        except (TimeoutError, httpx.HTTPError, OSError):
            raise DeliveryFailed("connect.failed") from None
        if fault is not None:
            raise DeliveryFailed(fault)
        return HubAnswer(response.status_code, body, response.headers)

    async def aclose(self) -> None:
        """Close the kept connections."""
        await self._client.aclose()
