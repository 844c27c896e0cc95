"""What participants' systems called at the certifying hub's doors, and how that was answered: codes and digests."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LARGEST = 64 * 1024
_ACKNOWLEDGEMENTS, _STANDARDS = "/acknowledgements", ("/v1/iso20022", "/v1/etsi")
# A token that ended, a lock, a busy hub: whoever says it again is understood.
_PASSES = frozenset({401, 408, 425, 429})


@dataclass(frozen=True, slots=True)
class Call:
    """One call and when it began: ``code`` is why it was refused, ``sha256`` the digest of its body."""

    at: datetime
    client_id: str
    path: str
    status: int
    code: str | None
    sha256: str

    @property
    def is_answer(self) -> bool:
        """Tell whether it meant to answer an order."""
        return self.path.endswith(_ACKNOWLEDGEMENTS) or self.path in _STANDARDS

    @property
    def is_refused(self) -> bool:
        """Tell whether the hub will never take it as it is."""
        return self.code is not None and self.status < 500 and self.status not in _PASSES


class Calls:
    """An ASGI layer in front of the hub that remembers the calls that change something."""

    def __init__(self) -> None:
        self._made: list[Call] = []
        self.app: ASGIApp | None = None

    def of(self, client_id: str) -> list[Call]:
        """Return the answers that a client system sent, in their order."""
        return [call for call in self._made if call.client_id == client_id and call.is_answer]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a call, and remember it once it is answered."""
        assert self.app is not None, "the layer stands in front of a hub"
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        at = datetime.fromtimestamp(time.time(), UTC)
        digest, said, status = hashlib.sha256(), bytearray(), 0

        async def hear() -> Message:
            message = await receive()
            digest.update(message.get("body", b""))
            return message

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif len(said) < _LARGEST:
                said.extend(message.get("body", b""))
            await send(message)

        await self.app(scope, hear, tell)
        path, code = scope["path"], _code(status, bytes(said))
        self._made.append(Call(at, _client(scope), path, status, code, digest.hexdigest()))


def _client(scope: Scope) -> str:
    """Return whose token a call shows; whether the token is good is the hub's to say."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            part = value.decode("latin-1").partition(".")[2].partition(".")[0]
            try:
                return str(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["client_id"])
            except (ValueError, KeyError, TypeError):
                return ""
    return ""


def _code(status: int, said: bytes) -> str | None:
    """Return the code of a refusal: a problem's, or an ErrorInformation's; None where nothing was refused."""
    try:
        answer = json.loads(said)
    except ValueError:
        answer = {}
    if status >= 400:
        return str(answer.get("code", f"http.{status}")) if isinstance(answer, dict) else f"http.{status}"
    found = next(_errors(answer), None)
    return None if found is None else f"hi1.{found}"


def _errors(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(wrong := node.get("ErrorInformation"), dict):
            yield str(wrong.get("ErrorCode"))
        for each in node.values():
            yield from _errors(each)
    elif isinstance(node, list):
        for each in node:
            yield from _errors(each)
