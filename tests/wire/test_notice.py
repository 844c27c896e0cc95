"""Notices by e-mail through a real SMTP server."""

import asyncio
import contextlib
import email
import email.policy
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope
from wire_servers import Authority, endpoint, says, serving

from adapters.base import DeliveryFailed, Endpoint, Message, Receipt
from adapters.notice import Mail
from adapters.transport import Transport
from workflows.terms import Channel, DispatchKind

NOTICE = Message(
    id="msg_" + "a" * 32,
    type="vn.hoatoc.notice.escalation",
    kind=DispatchKind.NOTICE,
    subject="order-1",
    occurred_at=datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC),
    sequence=1,
    body={"subject": "Lệnh HT-261123-7K3MQ quá hạn", "text": "Lệnh chưa được xác nhận.\nXin trả lời ngay.\n"},
)


@dataclass
class Relay:
    """An SMTP server that keeps what it gets, and answers a recipient with ``rcpt``."""

    port: int = 0
    rcpt: str = "250 OK"
    letters: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    over_tls: list[bool] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def handle_RCPT(
        self, server: SMTP, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        self.recipients += envelope.rcpt_tos
        self.over_tls.append(session.ssl is not None)
        return "250 taken"

    def authenticate(self, server: SMTP, session: Any, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"right", handled=False)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "relay authority")


@pytest.fixture
async def relay(authority: Authority) -> AsyncIterator[Relay]:
    made = Relay()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("localhost"))

    def session() -> SMTP:
        return SMTP(made, enable_SMTPUTF8=True, tls_context=context, authenticator=made.authenticate)

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


def by(relay: Relay) -> Mail:
    return Mail("localhost", relay.port, "hub@hub.example", security="none")


def duty(url: str = "mailto:duty@bank.example", timeout: float = 5.0) -> Endpoint:
    return endpoint(url, channel=Channel.EMAIL, network=None, timeout=timeout)


async def send(mail: Mail, message: Message = NOTICE, to: Endpoint | None = None) -> Receipt:
    return await mail.send(message, to or duty(), Transport())


async def failure(mail: Mail, message: Message = NOTICE, to: Endpoint | None = None) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        await send(mail, message, to)
    return caught.value


async def test_a_notice_reaches_the_duty_contact_in_vietnamese(relay: Relay) -> None:
    receipt = await send(by(relay))
    (letter,) = relay.letters
    assert relay.recipients == ["duty@bank.example"]
    assert letter["Subject"] == NOTICE.body["subject"]
    assert letter.get_content().replace("\r\n", "\n") == NOTICE.body["text"]
    assert (letter["From"], letter["Auto-Submitted"]) == ("hub@hub.example", "auto-generated")
    assert (receipt.status, receipt.answered_by) == (250, f"localhost:{relay.port}")


async def test_a_repetition_carries_the_same_message_id_and_date(relay: Relay) -> None:
    await send(by(relay))
    await send(by(relay))
    first, second = relay.letters
    assert first["Message-ID"] == second["Message-ID"] == f"<{NOTICE.id}@hub.example>"
    assert first["Date"] == second["Date"]


@pytest.mark.parametrize(("rcpt", "retryable"), [("550 no such mailbox", False), ("451 later", True)])
async def test_a_rejected_recipient_is_retried_only_when_the_relay_says_later(
    rcpt: str, retryable: bool, relay: Relay
) -> None:
    relay.rcpt = rcpt
    failed = await failure(by(relay))
    assert (failed.code, failed.status, failed.retryable) == (f"smtp.{rcpt[:3]}", int(rcpt[:3]), retryable)


@pytest.mark.parametrize(
    "body",
    [
        {"subject": "a\r\nBcc: x@evil.example", "text": "b"},
        {"text": "b"},
        {"subject": "a"},
        {"subject": None, "text": 1},
    ],
)
async def test_a_header_cannot_be_injected_and_an_unrendered_notice_is_not_sent(
    body: dict[str, Any], relay: Relay
) -> None:
    failed = await failure(by(relay), replace(NOTICE, body=body))
    assert (failed.code, failed.retryable, relay.letters) == ("message.malformed", False, [])


@pytest.mark.parametrize(
    "url",
    [
        *("https://bank.example/", "mailto:", "mailto:nobody", "mailto:a@b.example?bcc=c@d.example"),
        *("mailto:a@b.example,c@d.example", "mailto:a%0d%0aBcc:c@d.example", "mailto:a@b.example%20c"),
        *("mailto:%3D%3Futf-8%3Fq%3Fa%3D40evil.example%3D2C%3F%3D@b.example", "mailto:a@b.example%09c"),
        *("mailto:a@%3D%3Futf-8%3Fq%3Fevil.example%3F%3D", "mailto:a@b.example."),
    ],
)
async def test_a_notice_goes_to_exactly_one_address(url: str, relay: Relay) -> None:
    assert (await failure(by(relay), to=duty(url))).code == "url.malformed"
    assert relay.letters == []


@pytest.mark.parametrize("trusted", [True, False])
async def test_with_starttls_the_letter_goes_over_tls_under_the_given_authority_or_not_at_all(
    trusted: bool, relay: Relay, authority: Authority, tmp_path: Path
) -> None:
    ca_pem = authority.pem if trusted else Authority(tmp_path, "other").pem
    mail = replace(by(relay), security="starttls", ca_pem=ca_pem, username="hub", password="right")
    if trusted:
        await send(mail)
        assert (relay.over_tls, relay.logins) == ([True], [("hub", "right")])
    else:
        assert (await failure(mail)).code == "tls"
        assert (relay.letters, relay.logins) == ([], [])


async def test_a_relay_that_offers_no_tls_gets_no_letter_when_tls_is_asked_for() -> None:
    taken = Relay()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(taken), "127.0.0.1", 0)
    taken.port = server.sockets[0].getsockname()[1]
    failed = await failure(replace(by(taken), security="starttls"))
    server.close()
    assert (failed.retryable, taken.letters) == (True, [])


async def test_a_wrong_password_is_told_by_its_code(relay: Relay, authority: Authority) -> None:
    mail = replace(by(relay), security="starttls", ca_pem=authority.pem, username="hub", password="wrong")
    failed = await failure(mail)
    assert (failed.code, failed.retryable) == ("smtp.535", True)


def test_a_password_is_never_sent_without_tls() -> None:
    with pytest.raises(ValueError, match="TLS"):
        Mail("localhost", 25, "hub@hub.example", security="none", username="hub", password="right")


async def test_a_relay_that_is_down_or_silent_is_a_failure(relay: Relay) -> None:
    async with serving(says("200 OK"), files=None) as silent:
        mute = replace(by(relay), port=silent.port)
        assert (await failure(mute, to=duty(timeout=0.2))).code == "answer.timeout"
    assert (await failure(mute)).code == "connect.failed"


async def test_a_relay_that_dawdles_at_each_command_is_cut_by_the_deadline_over_the_whole_call() -> None:
    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = b"220 relay\r\n"
        with contextlib.suppress(ConnectionError):
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.Event().wait(), 0.12)
                writer.write(answer)
                await writer.drain()
                if not await reader.readline():
                    break
                answer = b"250 fine\r\n"
        writer.close()

    server = await asyncio.start_server(dawdle, "127.0.0.1", 0)
    mail = Mail("localhost", server.sockets[0].getsockname()[1], "hub@hub.example", security="none")
    failed = await failure(mail, to=duty(timeout=0.2))
    server.close()
    assert failed.code == "answer.timeout"
