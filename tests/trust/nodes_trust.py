"""Two nodes of one hub on one database, as the trust tests attack them: calls as they are on the wire, sent again."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import world as worlds
from apis import Api, System, prove
from builders import make_hub

from service import app as application
from service.engine.hub import Hub
from service.security.keyring import SigningKey
from service.web.limits import Limits

CONTACTS = f"/v1/participants/{worlds.AGENCY}/contacts"
CONTACT = {"name": "Trực ban mẫu", "reached_by": {"channel": "email", "address": "duty@example.vn"}}
# What a refused call may leave behind: the fact that it was refused.
KEPT = frozenset({"audit_entries", "audit_heads"})


@dataclass(frozen=True)
class Wired:
    """One call as it is on the wire; whoever captured it can send it again, or change it first."""

    method: str
    path: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Nodes:
    """Node A, which the fixtures made, node B on the same database, and what is started later in their places."""

    def __init__(self, api: Api, database_url: str | None, folder: Path) -> None:
        self.api = api
        self._url, self._folder = database_url, folder
        self._hubs: list[Hub] = []
        self._doors: list[httpx.AsyncClient] = []
        self.doors = [api.http]

    async def start(self, name: str, signing: tuple[SigningKey, ...] = ()) -> httpx.AsyncClient:
        """Start one more node: a hub and a door that know nothing but the database and the keys."""
        made = replace(make_hub(self._url, self._folder, name), signing=signing or self.api.hub.signing)
        app = application.create_app(made)
        app.state.limits = {name: Limits(1_000_000, 10_000_000) for name in app.state.limits}
        address = self.api.hub.settings.address
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url=address)
        self._hubs.append(made)
        self._doors.append(http)
        self.doors.append(http)
        return http

    async def stop(self) -> None:
        """Stop what was started here."""
        for http in self._doors:
            await http.aclose()
        for made in self._hubs:
            await made.database.close()

    def call(self, method: str, path: str, who: System, body: Any = None, **headers: str) -> Wired:
        """Make a call with its proof, not yet sent."""
        content = b"" if body is None else json.dumps(body).encode()
        given = {**who.headers, **headers, **({"Content-Type": "application/json"} if content else {})}
        made = self.api.http.build_request(method, path, content=content or None, headers=given)
        made.headers["DPoP"] = prove(who.key, made, who.token)
        kept = tuple((name.lower(), value) for name, value in made.headers.raw if name.lower() != b"content-length")
        return Wired(method, made.url.raw_path, kept, content)

    async def send(self, wired: Wired, door: httpx.AsyncClient | None = None) -> httpx.Response:
        """Send a call as it is, to node A or to another."""
        door = door or self.doors[0]
        headers = list(wired.headers)
        request = httpx.Request(wired.method, door.base_url, headers=headers, content=wired.body or None)
        request.url = door.base_url.copy_with(raw_path=wired.path)
        return await door.send(request, auth=None)

    async def effects(self) -> dict[str, int]:
        """Count the rows of every table that a call may change, refusals left out."""
        return {name: count for name, count in (await self.api.counts()).items() if name not in KEPT}


@pytest.fixture
async def nodes(api: Api, database_url: str | None, tmp_path: Path) -> AsyncIterator[Nodes]:
    """Two nodes on each of the two databases."""
    made = Nodes(api, database_url, tmp_path)
    await made.start("node-b")
    yield made
    await made.stop()
