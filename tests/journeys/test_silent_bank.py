"""The journey that defines the hub: one bank holds the money, the other is silent, and the ladder climbs to its end."""

import asyncio
import contextlib
import email
import email.policy
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import journey_network
import pytest
from aiosmtpd.smtp import SMTP, Envelope
from builders import widened
from journey_network import AGENCY, BANKS, Police
from journey_processes import Process, until

from adapters.sandbox.server import EmbeddedServer
from service import app as wiring
from service.settings import Settings

MAILBOXES = {"bidv": "truc-ban@bidv.example", "hoatoc-hub": "truc-ban@hub.example", "sbv": "truc-ban@sbv.example"}
AMOUNT = 150_000_000


@dataclass
class Mailman:
    """A real SMTP server on the loopback; it keeps the letters by their recipient."""

    letters: list[tuple[str, EmailMessage]] = field(default_factory=list)
    port: int = 0

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.letters += [(recipient, letter) for recipient in envelope.rcpt_tos]
        return "250 taken"

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(self, hostname="relay.example", loop=loop), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield


@contextlib.asynccontextmanager
async def hub_of(settings: Settings) -> AsyncIterator[None]:
    """The application with its worker, in this process, behind a real socket."""
    hub = widened(await wiring.open_hub(settings))
    app = wiring.create_app(hub, wiring.make_worker(hub))
    server = EmbeddedServer(app, settings.port)
    try:
        async with app.router.lifespan_context(app):
            await server.start()
            yield
            await server.stop()
    finally:
        await wiring.close_hub(hub)


async def file(police: Police, account: str, bank: str) -> str:
    """File a freeze, and have a second officer approve it."""
    body = journey_network.freeze(account, bank, AMOUNT)
    filed = await police.submit(body)
    assert filed.status == 201, filed.body
    request_id: str = json.loads(filed.body)["id"]
    approved = await police.approve(request_id, body, f"{AGENCY}-approver")
    assert approved.status == 201, approved.body
    return request_id


@pytest.mark.parametrize("kind", journey_network.DATABASES)
@pytest.mark.xdist_group("processes")
async def test_a_silent_bank_is_escalated_up_to_its_supervisor_and_the_timeline_tells_it(
    kind: str, tmp_path: Path
) -> None:
    mailman = Mailman()
    async with asyncio.timeout(180), journey_network.database_of(kind) as url, mailman.working():
        settings = journey_network.settings_of(
            tmp_path, url, smtp_host="127.0.0.1", smtp_port=mailman.port, smtp_tls="none"
        )
        network = await journey_network.enroll(settings, BANKS, mailboxes=MAILBOXES)
        async with network.playing(), hub_of(settings):
            police = network.police(AGENCY)
            prompt = await file(police, "9990000000001", "vietcombank")
            silent = await file(police, "9990000000002", "bidv")

            async def all_rungs() -> bool:
                page = await police.read(f"/v1/escalations?request_id={silent}&limit=50")
                return {item["rung"] for item in page["items"] if item["stage"] == "execute"} == {1, 2, 3}

            await until(all_rungs, 60, "the third rung")
            await until(lambda: _arrived(mailman, MAILBOXES["sbv"]), 20, "the letter to the supervisor")
            [held] = (await police.read(f"/v1/requests/{prompt}"))["order_list"]
            [mute] = (await police.read(f"/v1/requests/{silent}"))["order_list"]
            escalated = (await police.read(f"/v1/escalations?request_id={silent}&limit=50"))["items"]
            unneeded = (await police.read(f"/v1/escalations?request_id={prompt}&limit=50"))["items"]
            told = await police.read(f"/v1/requests/{silent}/timeline")
            verify = Process(settings, "audit", "verify")
            async with verify.running(wait=False):
                assert await verify.ended() == 0, verify.text
    assert (held["state"], held["amount_held"]["value"]) == ("executed", str(AMOUNT))
    assert unneeded == []
    assert (mute["state"], mute["amount_held"]) == ("delivered", None)
    called = {
        item["rung"]: sorted(entry["participant_id"] for entry in item["reached"] if entry["contacts"])
        for item in escalated
        if item["stage"] == "execute"
    }
    assert called == {1: ["bidv"], 2: ["bidv", "hoatoc-hub"], 3: ["hoatoc-hub", "sbv"]}
    story = [fact["text"]["vi"] for fact in told["facts"]]
    rungs = [text for text in story if text.startswith("Leo thang bậc") and "thực hiện" in text.lower()]
    assert [text.split("(")[0].strip() for text in rungs] == [f"Leo thang bậc {rung}" for rung in (1, 2, 3)], story
    assert any("đã quá hạn" in text for text in story), story
    assert not any("[[" in text or "{" in text for text in story), story
    assert {recipient for recipient, _ in mailman.letters} == set(MAILBOXES.values())
    for _, letter in mailman.letters:
        text = f"{letter['Subject']} {letter.get_content()}"
        assert told["reference"] in text
        assert "9990000000002" not in text and "NGUYEN VAN MAU" not in text
    assert " 0 findings" in verify.text


async def _arrived(mailman: Mailman, address: str) -> bool:
    return any(recipient == address for recipient, _ in mailman.letters)
