"""The cookie's flags on a hub behind TLS and on loopback."""

from pathlib import Path

import console_story
import httpx
import pytest
from builders import widened

from service import app, clock
from service.actions import changes, make_sign_in_link
from service.console import forms
from service.engine.hub import OPERATOR
from service.schemas.policies import NewSignInLink
from service.settings import Settings
from workflows.terms import Role


async def test_behind_tls_the_cookie_is_bound_to_the_host_and_to_tls(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, issuer="https://hub.example", node="node-b")
    hub = widened(await app.open_hub(settings, migrate=True))
    try:
        await console_story.seed(hub, clock.utc_now())
        body = NewSignInLink(participant_id=OPERATOR, person="tran-lan-thu", role=Role.COORDINATOR)
        made = await make_sign_in_link.make(hub, changes.local_administrator("root"), body)
        transport = httpx.ASGITransport(app.create_app(hub))
        async with httpx.AsyncClient(transport=transport, base_url="https://hub.example") as client:
            answer = await client.post(made.path)
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-hoatoc_session=")
            for flag in ("HttpOnly", "Path=/", "SameSite=strict", "Secure"):
                assert flag in cookie
            assert "Domain" not in cookie
            assert (await client.get("/")).status_code == 200
    finally:
        await app.close_hub(hub)


@pytest.mark.parametrize(
    ("address", "secure"),
    [
        ("https://hub.example", True),
        ("http://hub.example", True),
        ("https://127.0.0.1:8470", True),
        ("http://127.0.0.1:8470", False),
        ("http://[::1]:8470", False),
        ("http://localhost:8470", False),
        ("http://localhost.example", True),
    ],
)
def test_only_http_on_loopback_has_a_cookie_without_tls(address: str, secure: bool) -> None:
    assert forms.needs_secure_cookie(address) is secure
