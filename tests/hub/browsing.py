"""A person at the console without a browser: comes in by a link, asks for pages and sends the forms on them."""

import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx

from service import app
from service.actions import changes, make_sign_in_link
from service.engine.hub import Hub
from service.schemas.policies import NewSignInLink
from workflows.terms import Role

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
_SPACE = re.compile(r"\s+")


@dataclass
class Person:
    """Somebody who is signed in."""

    http: httpx.AsyncClient

    async def get(self, path: str, status: int = 200) -> str:
        """Return a page as it stands in the browser's source, its white space drawn together."""
        answer = await self.http.get(path)
        assert answer.status_code == status, answer.text
        return _SPACE.sub(" ", answer.text)

    async def post(self, path: str, on: str, status: int = 303, **fields: str) -> str:
        """Send a form that stands on the page ``on``; return the page that answers it, or where it leads."""
        token = _TOKEN.search((await self.http.get(on)).text)
        assert token, on
        answer = await self.http.post(path, data={"csrf_token": token[1], **fields})
        assert answer.status_code == status, answer.text
        return answer.headers["location"] if answer.is_redirect else _SPACE.sub(" ", answer.text)


@contextlib.asynccontextmanager
async def signed_in(hub: Hub, role: Role, tenant: str, person: str, lang: str = "vi") -> AsyncIterator[Person]:
    """Sign somebody in at a hub; the pages are in this language."""
    body = NewSignInLink(participant_id=tenant, person=person, role=role)
    made = await make_sign_in_link.make(hub, changes.local_administrator("root"), body)
    transport = httpx.ASGITransport(app.create_app(hub))
    async with httpx.AsyncClient(transport=transport, base_url=hub.settings.address) as http:
        assert (await http.post(made.path)).status_code == 303
        await http.get("/about", params={"lang": lang})
        yield Person(http)
