"""What every adapter shares: a message goes out, a receipt comes back, or ``DeliveryFailed`` says why not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from workflows.terms import Channel, DispatchKind


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to send.

    ``id`` is ``msg_`` + 32 hex digits and stays the same over all retries, so that a receiver can tell a repetition.
    ``type`` is a CloudEvents type (``vn.hoatoc.order.freeze``), ``subject`` the id of the order or request,
    ``occurred_at`` an aware UTC instant, ``sequence`` rises per participant and target. ``body`` is plain JSON data.
    ``signature`` is the hub's detached JWS over an order's body, the same at every attempt.
    """

    id: str
    type: str
    kind: DispatchKind
    subject: str
    occurred_at: datetime
    sequence: int
    body: Mapping[str, Any]
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a participant receives, exactly as it was registered.

    ``url`` is ``https://…`` for a webhook and ``mailto:…`` for e-mail. ``network`` is the CIDR that the address must
    lie in, ``port`` the port of the URL, ``ca_pem`` the only certificate authorities to trust, as PEM text: nothing is
    sent over HTTPS where one of the three is missing. ``secrets`` are the signing secrets, newest first.
    ``client_cert`` is the hub's certificate for this participant, as PEM text, and the file of its key. ``timeout`` is
    in seconds, for the whole call. ``bin`` and ``bic`` are how banks call the participant, where the registry knows.
    """

    id: str
    channel: Channel
    url: str
    network: str | None = None
    port: int | None = None
    ca_pem: str | None = None
    secrets: tuple[str, ...] = ()
    client_cert: tuple[str, str] | None = None
    timeout: float = 10.0
    bin: str | None = None
    bic: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receiver has it: status, seconds it took, the head of its answer (2 KiB), and which address answered.

    ``body`` is the whole answer (at most 64 KiB), for an adapter that must read it; only the head is kept.
    """

    status: int
    latency: float
    body_head: bytes
    answered_by: str
    body: bytes = b""


class DeliveryFailed(Exception):
    """The receiver does not have it, or did not say so.

    ``code`` is stable (``tls``, ``connect.timeout``, ``http.503`` …). ``retryable`` is false only where another attempt
    can bring nothing: the message itself cannot travel, or a mail relay rejected the address for good.
    ``retry_after`` is the receiver's wish in seconds. ``body_head`` may hold personal data that the receiver echoed:
    it is for the attempt's record, never for a log line.
    """

    def __init__(
        self,
        code: str,
        *,
        retryable: bool = True,
        retry_after: float | None = None,
        status: int | None = None,
        body_head: bytes = b"",
    ) -> None:
        super().__init__(code)
        self.code = code
        self.retryable = retryable
        self.retry_after = retry_after
        self.status = status
        self.body_head = body_head


class Transport(Protocol):
    """The way out over HTTP, as ``adapters.transport.Transport`` provides it."""

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
        """Send ``content`` to the endpoint; raise ``DeliveryFailed`` unless a 2xx came back in time."""
        ...


class Adapter(Protocol):
    """One wire format."""

    async def send(self, message: Message, endpoint: Endpoint, transport: Transport) -> Receipt:
        """Translate the message and send it; raise ``DeliveryFailed`` if the receiver does not have it afterwards."""
        ...


@runtime_checkable
class BatchAdapter(Adapter, Protocol):
    """A wire format that carries several messages in one call."""

    def batches(self, messages: Sequence[Message]) -> Sequence[Sequence[Message]]:
        """Divide messages, in their order, into what fits into one call each; what fits into none stands alone."""
        ...

    async def send_batch(self, messages: Sequence[Message], endpoint: Endpoint, transport: Transport) -> Receipt:
        """Send what ``batches`` put together; raise ``DeliveryFailed`` if the receiver does not have all of it."""
        ...
