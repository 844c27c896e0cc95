"""The Python that a police system or a bank copies from the handbook signs what a hub takes."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import steps
import world as worlds
from apis import Api

from service.models import Acknowledgement, Order

pytest_plugins = ["api_fixtures"]

BOOK = Path(__file__).parents[2] / "service" / "handbook"
PAGES = ("en/quickstart-police.md", "vi/ky-so.md")
Sign = Callable[..., str]


def snippet(page: str) -> Sign:
    """Execute the thirty lines of a page and return what they define."""
    found = re.search(r"```python\n(.+?)```", (BOOK / page).read_text("utf-8"), re.DOTALL)
    assert found is not None and found[1].count("\n") <= 30
    names: dict[str, Any] = {}
    exec(found[1], names)
    made: Sign = names["sign"]
    return made


@pytest.mark.parametrize("page", PAGES)
async def test_a_request_an_approval_and_an_answer_signed_by_the_snippet_are_taken(api: Api, page: str) -> None:
    sign, keys = snippet(page), {name: key.as_dict(private=True) for name, key in api.world.keys.items()}
    body = json.dumps(worlds.freeze(case_number="Đơn 01/2026"), ensure_ascii=False, indent=2)
    headers = {"Content-Type": "application/json", "Idempotency-Key": f"snippet-{page[:2]}-1"}
    hub = api.hub.settings.address
    signature = sign(keys["maker"], "request", body, hub)
    filed = await api.http.post(
        "/v1/requests",
        content=body.encode(),
        headers={**api.police.headers, **headers, "Hoatoc-Signature": signature},
    )
    assert filed.status_code == 201, filed.text
    path, request_id = filed.headers["location"], filed.json()["id"]
    received = await api.get(f"{path}/body", api.police)
    assert (received.status_code, received.content) == (200, body.encode())
    yes = {"officer_id": "approver", "signature": sign(keys["approver"], "approval", received.content, hub, request_id)}
    approved = await api.post(f"{path}/approvals", api.police, yes)
    assert (approved.status_code, approved.json()["state"]) == (201, "active"), approved.text
    (order,) = await api.world.orders(UUID(request_id))
    answer = json.dumps({"outcome": "executed", "amount_held": steps.vnd(150_000_000)})
    told = await api.http.post(
        f"/v1/orders/{order['id']}/acknowledgements",
        content=answer.encode(),
        headers={
            **api.bank.headers,
            "Content-Type": "application/json",
            "Hoatoc-Signature": sign(keys["vietcombank"], "answer", answer, hub, str(order["id"])),
        },
    )
    assert (told.status_code, told.json()["state"]) == (201, "executed"), told.text
    assert len(await api.world.rows(Acknowledgement)) == len(await api.world.rows(Order)) == 1


async def test_the_snippets_of_both_languages_are_the_same() -> None:
    for language in ("python", "javascript"):
        texts = [re.search(rf"```{language}\n(.+?)```", (BOOK / page).read_text("utf-8"), re.DOTALL) for page in PAGES]
        assert texts[0] is not None and texts[1] is not None
        assert texts[0][1] == texts[1][1]
