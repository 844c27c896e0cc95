"""Participants' HTTPS servers in one process, as cheap as they can be: they take each call, write it down, answer 202.

In: the path of a plan in JSON: certificate and key, per port a name and a behaviour (``delay`` in seconds; ``hangs``),
and where to write what was heard.
"""

import asyncio
import json
import signal
import ssl
import sys
import time
from pathlib import Path
from typing import Any

ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


class Receiver(asyncio.Protocol):
    """One connection to one participant."""

    def __init__(self, name: str, behaviour: dict[str, Any], heard: list[str]) -> None:
        self._name, self._behaviour, self._heard = name, behaviour, heard
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
            self._buffer = rest[length:]
            self._heard.append(f"{time.time():.6f}\t{self._name}\t{_header(head, b'webhook-id').decode()}\n")
            if self._behaviour.get("hangs"):
                continue
            delay = self._behaviour.get("delay", 0)
            if delay:
                asyncio.get_running_loop().call_later(delay, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER)


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
    for port, behaviour in plan["ports"].items():
        await loop.create_server(
            lambda each=behaviour: Receiver(each["name"], each, heard), "127.0.0.1", int(port), ssl=context, backlog=512
        )
    print("ready", flush=True)
    await stopped.wait()
    _write(plan["heard"], heard)


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
