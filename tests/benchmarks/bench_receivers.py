"""Participants' HTTPS servers in one process, as cheap as they can be: they take each call, write it down, answer 202.

In: the path of a plan in JSON: certificate and key, per port a name and a behaviour (``delay`` in seconds; ``hangs``),
where to write what was heard; and, where they answer each order as executed, the hub's address, its doors and their
keys.
"""

import asyncio
import contextlib
import json
import signal
import ssl
import sys
import time
from pathlib import Path
from typing import Any

from bench_line import Line
from joserfc.jwk import ECKey

from adapters.base import DeliveryFailed
from adapters.sandbox.hub import Hub as Tokens
from adapters.transport import HubClient
from service import clock
from service.security import proofs, signatures
from service.security.signatures import Kind

ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


class Receiver(asyncio.Protocol):
    """One connection to one participant."""

    def __init__(self, name: str, behaviour: dict[str, Any], heard: list[str], desk: "Desk | None") -> None:
        self._name, self._behaviour, self._heard, self._desk = name, behaviour, heard, desk
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole call."""
        self._buffer += data
        while True:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            length = int(_header(head, b"content-length"))
            if len(rest) < length:
                return
            body, self._buffer = rest[:length], rest[length:]
            self._heard.append(f"{time.time():.6f}\t{self._name}\t{_header(head, b'webhook-id').decode()}\n")
            if self._behaviour.get("hangs"):
                continue
            if self._desk is not None:
                self._desk.take(body)
            delay = self._behaviour.get("delay", 0)
            if delay:
                asyncio.get_running_loop().call_later(delay, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER)


class Desk:
    """Answers one participant's orders with "executed", signed, one after the other."""

    def __init__(self, name: str, plan: dict[str, Any], door: tuple[str, int]) -> None:
        self._hub, self._key, self._signer = plan["hub"], plan["keys"][name], ECKey.import_key(plan["signers"][name])
        self._tokens = Tokens(HubClient(self._hub), f"{name}-system", self._key, self._hub)
        self._line = Line(*door)
        self._host = self._hub.removeprefix("http://")
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._known: set[str] = set()

    def take(self, body: bytes) -> None:
        """Take an order to be answered, once however often it comes."""
        order_id = json.loads(body)["data"]["order_id"]
        if order_id not in self._known:
            self._known.add(order_id)
            self._waiting.put_nowait(order_id)

    async def answer_for_ever(self) -> None:
        """Answer what comes; what the hub does not take is asked for again a little later."""
        while True:
            order_id = await self._waiting.get()
            status = 0
            with contextlib.suppress(OSError, TimeoutError, DeliveryFailed):
                status, _ = await self._line.ask(await self._call(order_id))
            if status != 201:
                await asyncio.sleep(0.2)
                self._waiting.put_nowait(order_id)

    async def _call(self, order_id: str) -> bytes:
        path, content, at = f"/v1/orders/{order_id}/acknowledgements", b'{"outcome":"executed"}', clock.utc_now()
        token = await self._tokens.access_token()
        client: Any = ECKey.import_key(self._key).private_key
        signer: Any = self._signer.private_key
        proof = proofs.make(client, "POST", self._hub + path, token, content, at)
        signature = signatures.sign(
            signer, self._signer.thumbprint(), Kind.ANSWER, content, at=at, about=order_id, audience=self._hub
        )
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: DPoP {token}\r\nDPoP: {proof}\r\n"
            f"Hoatoc-Signature: {signature}\r\nIdempotency-Key: {order_id}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content


def _header(head: bytes, name: bytes) -> bytes:
    return head.lower().partition(b"\r\n" + name + b":")[2].split(b"\r\n", 1)[0].strip()


def _write(path: str, heard: list[str]) -> None:
    Path(path).write_text("".join(heard))


async def main(plan: dict[str, Any]) -> None:
    """Open all ports, say "ready", and write down what was heard until told to stop."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*plan["files"])
    loop, heard, stopped = asyncio.get_running_loop(), list[str](), asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stopped.set)
    answering = []
    for number, (port, behaviour) in enumerate(plan["ports"].items()):
        doors = plan.get("doors")
        desk = Desk(behaviour["name"], plan, doors[number % len(doors)]) if doors else None
        if desk is not None:
            answering.append(asyncio.create_task(desk.answer_for_ever()))

        def receiver(each: dict[str, Any] = behaviour, desk: Desk | None = desk) -> Receiver:
            return Receiver(each["name"], each, heard, desk)

        await loop.create_server(receiver, "127.0.0.1", int(port), ssl=context, backlog=512)
    print("ready", flush=True)
    await stopped.wait()
    for task in answering:
        task.cancel()
    _write(plan["heard"], heard)


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
