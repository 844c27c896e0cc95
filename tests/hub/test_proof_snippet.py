"""The handbook's lines that make a proof of possession, run as they are printed, against the real door."""

import json
import re
from pathlib import Path
from typing import Any

import world as worlds
from apis import Api

pytest_plugins = ["api_fixtures"]

PAGE = Path(__file__).parents[2] / "service" / "handbook" / "en" / "quickstart-police.md"
CONTACTS = f"/v1/participants/{worlds.AGENCY}/contacts"
CONTACT = {"name": "Trực ban mẫu", "reached_by": {"channel": "email", "address": "duty@example.vn"}}


def printed() -> dict[str, Any]:
    """Run the page's two pieces of Python and return what they define."""
    text = PAGE.read_text("utf-8")
    defined: dict[str, Any] = {}
    for fence in ("python", "py"):
        found = re.search(rf"```{fence}\n(.+?)```", text, re.DOTALL)
        assert found is not None, fence
        exec(found[1], defined)
    return defined


async def test_the_printed_lines_open_the_door_for_a_reading_and_for_a_change(api: Api) -> None:
    make, key = printed()["proof"], api.admin.key.as_dict(private=True)
    address, body = api.hub.settings.address, json.dumps(CONTACT).encode()

    def headers(method: str, path: str, content: bytes = b"") -> dict[str, str]:
        proof = make(key, method, address + path, api.admin.token, content)
        return {**api.admin.headers, "DPoP": proof, "Content-Type": "application/json"}

    for asked in ("/v1/participants", "/v1/participants?limit=1"):
        read = await api.http.get(asked, headers=headers("GET", asked))
        assert read.status_code == 200, read.text
    assert (await api.http.get("/v1/participants?limit=2", headers=headers("GET", asked))).status_code == 401
    added = await api.http.post(CONTACTS, content=body, headers=headers("POST", CONTACTS, body))
    assert added.status_code == 201, added.text
    path = f"{CONTACTS}/{added.json()['id']}"
    assert (await api.http.delete(path, headers=headers("DELETE", path))).status_code == 204
    assert (await api.http.delete(path, headers=headers("GET", path))).status_code == 401
