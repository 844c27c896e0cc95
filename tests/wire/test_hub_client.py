"""A sandbox's way to its hub: a call that is broken off, at whatever point, costs none of the calls after it."""

import asyncio
import ssl

import httpx
import pytest
from wire_servers import says, serving

from adapters.base import DeliveryFailed
from adapters.connections import Kept
from adapters.transport import CONNECTIONS_PER_ENDPOINT, HubClient


async def _ask(client: HubClient) -> int:
    return (await client.post("/v1/x?y=1", content=b"{}", headers={"Idempotency-Key": "k"})).status


@pytest.mark.parametrize("turns", range(6))
async def test_calls_that_are_broken_off_while_they_wait_take_no_place_for_good(turns: int) -> None:
    async with serving(says("201 Created"), None) as heard:
        client = HubClient(f"http://127.0.0.1:{heard.port}", timeout=5.0)
        for _ in range(CONNECTIONS_PER_ENDPOINT):
            calls = [asyncio.create_task(_ask(client)) for _ in range(3 * CONNECTIONS_PER_ENDPOINT)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        answers = await asyncio.gather(*(_ask(client) for _ in range(3 * CONNECTIONS_PER_ENDPOINT)))
        await client.aclose()
    assert answers == [201] * 3 * CONNECTIONS_PER_ENDPOINT


async def test_what_is_asked_arrives_in_plain_http_on_one_kept_connection() -> None:
    async with serving(says("200 OK", "Retry-After: 7", body=b"told"), None) as heard:
        client = HubClient(f"http://localhost:{heard.port}")
        posted = await client.post("/v1/x?y=1", content=b"{}", headers={"Idempotency-Key": "k"})
        got = await client.get("/healthz", headers={})
        await client.aclose()
    assert (posted.status, posted.body, posted.retry_after, got.status) == (200, b"told", 7.0, 200)
    assert heard.bodies == [b"{}", b""] and heard.connections == 1
    assert [head.split("\r\n")[0] for head in heard.heads] == ["POST /v1/x?y=1 HTTP/1.1", "GET /healthz HTTP/1.1"]
    assert f"host: localhost:{heard.port}" in heard.heads[0].lower()


async def test_what_ends_after_the_client_was_closed_is_not_kept() -> None:
    told, gone = asyncio.Event(), asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        told.set()
        await gone.wait()
        await says("201 Created")(writer)

    async with serving(answer, None) as heard:
        kept = Kept(None, 1, 60.0)
        client = httpx.AsyncClient(transport=kept, trust_env=False)
        first, second = (asyncio.create_task(client.post(f"http://127.0.0.1:{heard.port}/")) for _ in range(2))
        await told.wait()
        await kept.aclose()
        gone.set()
        with pytest.raises(httpx.ReadError):
            await first
        assert (await second).status_code == 201
        assert heard.connections == 2 and not kept._connections._kept


async def test_where_nobody_listens_the_call_has_failed() -> None:
    async with serving(says("200 OK"), None) as heard:
        client = HubClient(f"http://127.0.0.1:{heard.port}")
    with pytest.raises(DeliveryFailed, match=r"connect\.failed"):
        await _ask(client)
    await client.aclose()


@pytest.mark.parametrize(
    ("context", "url"), [(None, "https://127.0.0.1/"), (ssl.create_default_context(), "http://127.0.0.1/")]
)
async def test_what_is_kept_for_one_scheme_never_speaks_the_other(context: ssl.SSLContext | None, url: str) -> None:
    kept = Kept(context, 1, 1.0)
    request = httpx.Request("POST", url, extensions={"sni_hostname": "hub.example", "timeout": {"connect": 1.0}})
    with pytest.raises(httpx.UnsupportedProtocol):
        await kept.handle_async_request(request)


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/", "http://10.0.0.1/", "http://hub.example/", "http://127.0.0.1.nip/"]
)
def test_the_sandboxs_way_to_the_hub_is_plain_http_on_loopback_alone(url: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        HubClient(url)
