"""The JavaScript that a police system copies from the handbook signs in a real browser, and a hub takes it."""

import json
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import world as worlds
from console_desk import Desk
from playwright.sync_api import BrowserContext

from service import errors
from service.actions import approve_request, submit_request
from service.schemas.requests import RequestAccepted

BOOK = Path(__file__).parents[2] / "service" / "handbook"
PAGES = ("en/quickstart-police.md", "vi/ky-so.md")


def snippet(page: str) -> str:
    found = re.search(r"```javascript\n(.+?)```", (BOOK / page).read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def signed(context: BrowserContext, desk: Desk, page: str, who: str, kind: str, body: str, about: str | None) -> str:
    """Run the snippet of a page in Chromium, with the private key of an officer."""
    opened = context.new_page()
    opened.goto(f"{desk.address}/healthz")
    jwk = desk.world.keys[who].as_dict(private=True)
    call = "sign(jwk, kind, body, hub, about ?? undefined)"
    code = f"([jwk, kind, body, hub, about]) => {{ {snippet(page)}\n return {call}; }}"
    text: str = opened.evaluate(code, [jwk, kind, body, desk.hub.settings.address, about])
    return text


def filed(desk: Desk, body: str, signature: str) -> RequestAccepted:
    shape: Any = worlds.SUBMIT.validate_python(json.loads(body))
    world = desk.world
    work = submit_request.submit(desk.hub, world.police, uuid4().hex, shape, body.encode(), signature)
    return desk.run(work).answer


@pytest.mark.parametrize("page", PAGES)
def test_the_snippet_files_and_approves(desk: Desk, context: BrowserContext, page: str) -> None:
    body = json.dumps(worlds.freeze(case_number="Đơn 01/2026"), ensure_ascii=False, indent=2)
    answer = filed(desk, body, signed(context, desk, page, "maker", "request", body, None))
    yes = signed(context, desk, page, "approver", "approval", body, str(answer.id))
    desk.run(approve_request.approve(desk.hub, desk.world.police, answer.id, "approver", yes))
    assert desk.state(answer.id) == "active"


def test_what_the_snippet_signed_fits_no_other_body_and_no_other_request(desk: Desk, context: BrowserContext) -> None:
    body = json.dumps(worlds.freeze())
    signature = signed(context, desk, PAGES[0], "maker", "request", body, None)
    with pytest.raises(errors.Forbidden, match=r"signature\.invalid"):
        filed(desk, body.replace("150000000", "150000001"), signature)
    answer = filed(desk, body, signature)
    yes = signed(context, desk, PAGES[0], "approver", "approval", body, str(uuid4()))
    with pytest.raises(errors.Forbidden, match=r"signature\.about"):
        desk.run(approve_request.approve(desk.hub, desk.world.police, answer.id, "approver", yes))
