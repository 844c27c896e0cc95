"""Notices to people: e-mail over an SMTP relay."""

import asyncio
import ssl
import time
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Literal
from urllib.parse import unquote, urlsplit

import aiosmtplib

from adapters.base import DeliveryFailed, Endpoint, Message, Receipt, Transport

Security = Literal["tls", "starttls", "none"]


@dataclass(frozen=True, slots=True)
class Mail:
    """Sends through one relay; ``security`` is never weakened by what the relay offers.

    ``sender`` is the address in From. ``ca_pem`` is the only authority to trust for the relay (none: the system's).
    """

    host: str
    port: int
    sender: str
    security: Security = "starttls"
    username: str | None = None
    password: str | None = None
    ca_pem: str | None = None

    def __post_init__(self) -> None:
        if self.password is not None and self.security == "none":
            raise ValueError("a password is never sent without TLS")

    async def send(self, message: Message, endpoint: Endpoint, transport: Transport) -> Receipt:
        """Send ``body["subject"]`` and ``body["text"]``, already rendered and without personal data.

        The endpoint's URL is ``mailto:address``. Raises ``DeliveryFailed`` with ``smtp.<code>`` (a 5xx is not
        retryable: the relay knows that this address will not take it), ``message.malformed``, ``url.malformed``,
        ``tls``, ``connect.failed`` or ``answer.timeout``.
        """
        recipient = _recipient(endpoint.url)
        letter = self._letter(message, recipient)
        began = time.monotonic()
        try:
            async with asyncio.timeout(endpoint.timeout):
                _, answer = await aiosmtplib.send(
                    letter,
                    # Not read back from the header, which has a syntax of its own.
                    recipients=[recipient],
                    hostname=self.host,
                    port=self.port,
                    username=self.username,
                    password=self.password,
                    use_tls=self.security == "tls",
                    start_tls=self.security == "starttls",
                    tls_context=_tls_context(self.ca_pem) if self.security != "none" else None,
                    timeout=endpoint.timeout,
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refused(error.recipients[0].code) from None
        except aiosmtplib.SMTPAuthenticationError as error:
            # The operator's password is wrong, not the letter: it goes once that is put right.
            raise DeliveryFailed(f"smtp.{error.code}", status=error.code) from None
        except aiosmtplib.SMTPResponseException as error:
            raise _refused(error.code) from None
        except TimeoutError:
            raise DeliveryFailed("answer.timeout") from None
        except ssl.SSLError:
            raise DeliveryFailed("tls") from None
        except (aiosmtplib.SMTPException, OSError):
            raise DeliveryFailed("connect.failed") from None
        return Receipt(250, time.monotonic() - began, answer.encode()[:2048], f"{self.host}:{self.port}")

    def _letter(self, message: Message, recipient: str) -> EmailMessage:
        letter = EmailMessage(policy=SMTP)
        try:
            letter["From"] = self.sender
            letter["To"] = recipient
            letter["Subject"] = message.body["subject"]
            letter["Date"] = format_datetime(message.occurred_at)
            # The same over all retries, so that a mailbox can tell a repetition.
            letter["Message-ID"] = f"<{message.id}@{self.sender.rpartition('@')[2]}>"
            letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
            letter.set_content(message.body["text"])
        except (KeyError, TypeError, ValueError, AttributeError):
            # The e-mail package refuses line breaks in a header: that is how a header would be injected.
            raise DeliveryFailed("message.malformed", retryable=False) from None
        # An encoded word (RFC 2047) hides another address in what looks like one; whoever reads the header finds it.
        if [address.addr_spec for address in letter["To"].addresses] != [recipient]:
            raise DeliveryFailed("url.malformed")
        return letter


def _recipient(url: str) -> str:
    parts = urlsplit(url)
    address = unquote(parts.path)
    # One address, and nothing that the header could read as a second one.
    if parts.scheme != "mailto" or parts.query or address.count("@") != 1 or set(address) & set(' ,;:<>"()\r\n'):
        raise DeliveryFailed("url.malformed")
    return address


def _refused(code: int) -> DeliveryFailed:
    return DeliveryFailed(f"smtp.{code}", retryable=code < 500, status=code)


def _tls_context(ca_pem: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_pem is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cadata=ca_pem)
    return context
