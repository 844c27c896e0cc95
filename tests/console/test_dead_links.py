"""An address that leads nowhere: a page for a person, the problem as ever for a program."""

from pathlib import Path

import httpx

from service import app
from service.settings import Settings


async def test_who_follows_a_dead_link_gets_a_page_and_a_program_the_problem(tmp_path: Path) -> None:
    hub = await app.open_hub(Settings(data_dir=tmp_path), migrate=True)
    transport = httpx.ASGITransport(app.create_app(hub))
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8470") as client:
            page = await client.get("/0912345678", headers=browser)
            assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
            assert "Không tìm thấy" in page.text and "0912345678" not in page.text
            assert page.headers["content-security-policy"]
            english = await client.get("/nowhere?lang=en", headers=browser)
            assert "There is no such page or request" in english.text
            for method, path, headers in (("GET", "/nowhere", {}), ("POST", "/nowhere", browser)):
                answer = await client.request(method, path, headers=headers)
                assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
            assert (await client.get("/oauth/token", headers=browser)).status_code == 405
    finally:
        await app.close_hub(hub)
