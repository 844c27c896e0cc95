"""Files many takedown requests one after the other: a break files nothing twice, a full hub is waited for."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from adapters.base import DeliveryFailed
from adapters.transport import HubAnswer, HubClient
from service import clock
from service.cli import output, proving, tokens
from service.schemas.demands import MAX_TARGETS
from service.security.keyring import SigningKey
from service.security.signatures import Kind
from service.web.bodies import LARGEST_BODY

PATH = "/v1/requests"
# A hundred targets are a hundred orders in one transaction.
ANSWERED_WITHIN = 60.0
# A token ends in five minutes; a call that is under way should not meet its end.
_SPARE = timedelta(seconds=30)
# As often as that in a row a hub may say "later"; then it is not full but broken.
_PATIENCE = 20

pause = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Chunk:
    """One request of a list: its place from 1, its key, its body, and how many targets it has."""

    number: int
    key: str
    body: str
    targets: int


def chunks(template: dict[str, Any], digest: str, targets: Sequence[dict[str, Any]]) -> list[Chunk]:
    """Return the requests of a list: as many targets each as the contract and the size of a body allow.

    ``digest`` is the list's SHA-256. The same case, list and place give the same key, whenever and wherever.
    """
    made = []
    for number, part in enumerate(_parts(template, targets), 1):
        named = "\n".join((template["case_number"], digest, str(number)))
        key = f"import-{hashlib.sha256(named.encode()).hexdigest()}"
        made.append(Chunk(number, key, _body(template, part), len(part)))
    return made


def _parts(template: dict[str, Any], targets: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    room = LARGEST_BODY - len(_body(template, []).encode())
    part: list[dict[str, Any]] = []
    filled = 0
    for target in targets:
        size = len(_compact(target).encode()) + 1
        if part and (len(part) == MAX_TARGETS or filled + size > room):
            yield part
            part, filled = [], 0
        part.append(target)
        filled += size
    if part:
        yield part


def _body(template: dict[str, Any], targets: Sequence[dict[str, Any]]) -> str:
    return _compact({**template, "action": "takedown", "targets": list(targets)})


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@dataclass(slots=True)
class Filer:
    """Who files: a police system with its key, and the officer whose key signs each request."""

    caller: HubClient
    address: str
    client: str
    private: SigningKey
    officer_key: Path
    _token: str = ""
    _until: datetime | None = None

    async def file(self, chunk: Chunk, told: Callable[[str], None]) -> HubAnswer:
        """File one request and return the answer, whatever it is; wait as long as the hub says that it is full.

        Raises ``DeliveryFailed`` without an answer: whether it was filed is then unknown, and the same key finds out.
        """
        for _ in range(_PATIENCE):
            answer = await self._post(chunk)
            if answer.status not in (429, 503):
                return answer
            wait = answer.retry_after or 1.0
            told(f"request {chunk.number}: {answer.status}, waiting {wait:.0f} s")
            await pause(wait)
        return answer

    async def _post(self, chunk: Chunk) -> HubAnswer:
        now = clock.utc_now()
        if self._until is None or now >= self._until:
            granted = await tokens.ask(self.address, self.private, self.client)
            self._token = granted["access_token"]
            self._until = now + timedelta(seconds=int(granted["expires_in"])) - _SPARE
        content, issuer = chunk.body.encode(), tokens.issuer(self._token)
        headers = {
            **tokens.proven(self._token, self.private, "POST", PATH, content),
            "Content-Type": "application/json",
            "Idempotency-Key": chunk.key,
            proving.HEADER: proving.signed(chunk.body, self.officer_key, Kind.REQUEST, issuer),
        }
        return await self.caller.post(PATH, content=content, headers=headers)


async def file_all(filer: Filer, parts: Sequence[Chunk], told: Callable[[str], None]) -> list[dict[str, Any]]:
    """File the requests in their order and return what became of each; end the command at the first refusal."""
    filed: list[dict[str, Any]] = []
    for chunk in parts:
        try:
            answer = await filer.file(chunk, told)
        except DeliveryFailed as failed:
            raise _broken(len(filed), len(parts), f"the hub did not answer ({failed.code})") from None
        said = _json(answer)
        if answer.status != 201:
            fields = "".join(f"; {each['field']}: {each['message']}" for each in said.get("errors", []))
            what = f"{answer.status} {said.get('code', '')}: {said.get('detail', 'no answer of a hub')}{fields}"
            raise _broken(len(filed), len(parts), what)
        repeated = answer.headers.get("Idempotency-Replayed") == "true"
        one = {name: said[name] for name in ("id", "reference", "state")}
        filed.append({**one, "targets": chunk.targets, "repeated": repeated})
        held = " (held: the duty desk is called back before anything goes out)" * (said["state"] == "held_for_callback")
        again = ", filed before" * repeated
        told(f"{chunk.number}/{len(parts)} {said['reference']} {said['state']}, {chunk.targets} targets{again}{held}")
    return filed


def _json(answer: HubAnswer) -> dict[str, Any]:
    try:
        said = json.loads(answer.body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _broken(done: int, of: int, why: str) -> Exception:
    return output.fail(f"request {done + 1} of {of}: {why}; {done} are filed, the same command again goes on from here")
