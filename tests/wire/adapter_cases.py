"""What the suite of all adapters needs to know of each: one entry a channel of the registry, with its golden files.

An inbox and a letter are no adapter's: what they show of each order is made here as the hub makes it.
Run as a program it writes the golden files of the channels that have no program of their own.
"""

import asyncio
import base64
import dataclasses
import email.policy
import json
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch
from uuid import UUID

import etsi_exchange
import iso_golden
import iso_orders
import message_kinds

from adapters.base import Adapter, Endpoint, Message, Receipt
from adapters.iso20022.adapter import Iso20022
from adapters.notice import Mail
from adapters.registry import Adapters
from adapters.webhook import Webhook
from service import i18n
from service.actions.letter_wording import Wording
from service.engine import outbox
from service.queries import inbox
from service.schemas.orders import InboxPage
from service.vault import Vault
from workflows.terms import Action, Channel

GOLDEN = Path(__file__).parent / "golden"
HUB = etsi_exchange.HUB
# Fixed, and nobody's: neither may ever stand in an error.
SECRET = "whsec_" + "bm9ib2R5cy1zZWNyZXQtb2YtdGhlLWFkYXB0ZXJz"
PASSWORD = "nobodys-password-of-the-adapters"
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


@dataclass
class Wire:
    """A transport and a mail relay that keep what they are given; ``answer`` answers it, or raises."""

    answer: Callable[[bytes], bytes] = lambda _: b""
    sent: list[bytes] = field(default_factory=list)

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
        """Take what goes out over HTTP."""
        return self._take(content)

    async def relay(self, letter: Any, **_: Any) -> tuple[dict[str, Any], str]:
        """Take what goes out by mail."""
        self._take(letter.as_bytes())
        return {}, "250 taken"

    def _take(self, content: bytes) -> Receipt:
        self.sent.append(content)
        body = self.answer(content)
        return Receipt(200, 0.01, body[:2048], "203.0.113.5:443", body)

    def opened(self) -> AbstractContextManager[Any]:
        """Let the mail of this process go to this relay."""
        return patch("aiosmtplib.send", self.relay)


@dataclass(frozen=True)
class Case:
    """One adapter: where it sends, what it is given by the name of its golden file, and what it must not take.

    ``refuses`` is a message of a kind that the format has no words for, None where it carries every kind.
    ``instants`` reads the instants that stand in what was sent.
    """

    channel: Channel
    endpoint: Endpoint
    messages: Mapping[str, Message]
    refuses: Message | None
    answer: Callable[[bytes], bytes] = lambda _: b""
    shown: Callable[[bytes], bytes] = lambda content: content
    instants: Callable[[bytes], set[datetime]] = lambda content: instants_in(content)
    opened: Callable[[Wire], AbstractContextManager[Any]] = lambda _: nullcontext()

    def speaker(self, at: float = 1_800_000_000.0) -> Adapter:
        """Return the registry's own adapter of a hub whose clock shows ``at``."""
        return registry(at).of(self.channel)

    def folder(self) -> Path:
        """Where its golden files are."""
        return GOLDEN / str(self.channel)

    def wire(self) -> Wire:
        """Return a receiver that takes what is sent."""
        return Wire(self.answer)


def registry(at: float = 1_800_000_000.0) -> Adapters:
    """Return the registry of a hub that has everything: a key to sign with, and a mail relay."""
    return Adapters(
        Webhook(HUB, lambda: at),
        Mail("relay.example", 587, "hub@hub.example", "starttls", "hub", PASSWORD),
        Iso20022(iso_orders.HUB, lambda _: (iso_orders.HUB_KID, iso_orders.HUB_KEY)),
    )


def instants_in(content: bytes) -> set[datetime]:
    """Return the instants that stand in a text, to the second."""
    found = _INSTANT.findall(content.decode())
    return {datetime.fromisoformat(each).astimezone(UTC).replace(microsecond=0) for each in found}


def _date_in(content: bytes) -> set[datetime]:
    letter = message_from_bytes(content, policy=email.policy.default)
    return {letter["Date"].datetime.astimezone(UTC)}


def _hi1(content: bytes) -> bytes:
    """Return a message in one form: the golden files are laid out for people."""
    return json.dumps(json.loads(content), sort_keys=True).encode()


def _in_hi1(content: bytes) -> set[datetime]:
    """Return the instants of the objects, and those of the signed order that travels inside."""
    inside = re.findall(rb'"doc:Contents": ?"([^"]+)"', content)
    return set().union(*map(instants_in, [content, *map(base64.b64decode, inside)]))


def _taken(content: bytes) -> bytes:
    return json.dumps(etsi_exchange.taken(json.loads(content))).encode()


def _to(channel: Channel, url: str, **more: Any) -> Endpoint:
    return Endpoint(id="endpoint", channel=channel, url=url, secrets=(SECRET,), **more)


_ISO_FREEZE = iso_orders.ORDERS["1-freeze.camt.103"]
_ETSI = ("takedown", "disclose", "preserve", "lift", "extend")

CASES = {
    case.channel: case
    for case in (
        Case(
            Channel.WEBHOOK,
            _to(Channel.WEBHOOK, "https://bank.example/hook"),
            {f"{name}.json": message for name, message in message_kinds.MESSAGES.items()},
            None,
        ),
        Case(
            Channel.ISO20022,
            replace(iso_golden.ENDPOINT, secrets=(SECRET,)),
            {f"{name}.xml": message for name, message in iso_orders.ORDERS.items()},
            replace(_ISO_FREEZE, type="vn.hoatoc.order.takedown"),
        ),
        Case(
            Channel.ETSI,
            _to(Channel.ETSI, "https://telecom.example/hi1"),
            {
                **{f"{action}.request.json": etsi_exchange.message(action) for action in _ETSI},
                **{f"drill-{each}.request.json": etsi_exchange.message(each, drill=True) for each in _ETSI},
            },
            _ISO_FREEZE,
            answer=_taken,
            shown=_hi1,
            instants=_in_hi1,
        ),
        Case(
            Channel.EMAIL,
            _to(Channel.EMAIL, "mailto:duty@bank.example"),
            {"notice.eml": message_kinds.notice(), "drill-notice.eml": message_kinds.notice_of_a_drill()},
            _ISO_FREEZE,
            instants=_date_in,
            opened=Wire.opened,
        ),
    )
}
# These have their own programs, which write the other side's messages too.
ELSEWHERE = frozenset({Channel.ISO20022, Channel.ETSI})


# The inbox has a folder of its own beside those of the adapters, and so have the letters.
PULLED = {f"{name}.json": message for name, message in message_kinds.ORDERS.items()}
LETTERS = {
    f"{name}.{lang}.json": (message, lang)
    for name, message in message_kinds.ORDERS.items()
    if message.body["action"] in set(Action)
    for lang in i18n.LANGUAGES
}


class _Unsealed(Vault):
    """A vault that keeps nothing: what goes in lies open."""

    def __init__(self) -> None:
        """Have no key."""

    def unseal(self, keys: Any, table: str, row: Any, tenant: str, sealed: Any) -> Any:
        """Return what was put there."""
        return sealed


def pulled(message: Message) -> dict[str, Any]:
    """Return the page of an inbox on which one order waits."""
    outgoing = outbox.Outgoing(
        tenant="hoatoc-hub",
        participant_id=message.body["participant_id"],
        kind=message.kind,
        endpoint_id=UUID(int=1),
        channel=Channel.PULL,
        message_type=message.type,
        subject=message.subject,
        sequence=message.sequence,
        body=message.body,
        signature=message.signature,
    )
    written = outbox._message(UUID(hex=message.id.removeprefix("msg_")), outgoing, message.occurred_at)
    row: Any = SimpleNamespace(id=message.id, tenant="hoatoc-hub", position=41, message_sealed=written)
    return InboxPage(items=[inbox._item(_Unsealed(), {}, row)], next=41).model_dump(mode="json")


def lettered(message: Message, lang: str) -> dict[str, Any]:
    """Return what the letter of an order says, and the files that travel in it, before it is laid out."""
    wording = Wording(lang, "Ngân hàng Mẫu", HUB, iso_orders.HUB_KID)
    made = dataclasses.asdict(wording.letter(message.body, message.signature or "", message.occurred_at))
    return cast(dict[str, Any], json.loads(json.dumps(made, default=str)))


def laid_out(made: Mapping[str, Any]) -> bytes:
    """Return JSON as it stands in a golden file that people read."""
    return f"{json.dumps(made, ensure_ascii=False, indent=2)}\n".encode()


async def sent(case: Case, message: Message, at: float = 1_800_000_000.0) -> bytes:
    """Return what goes out for one message, at one instant of the hub's clock."""
    wire = case.wire()
    with case.opened(wire):
        await case.speaker(at).send(message, case.endpoint, wire)
    (content,) = wire.sent
    return content


async def write() -> None:
    """Write the golden files."""
    for case in CASES.values():
        if case.channel in ELSEWHERE:
            continue
        case.folder().mkdir(parents=True, exist_ok=True)
        for name, message in case.messages.items():
            (case.folder() / name).write_bytes(case.shown(await sent(case, message)))
    others = {"pull": {name: pulled(message) for name, message in PULLED.items()}}
    others["letter"] = {name: lettered(message, lang) for name, (message, lang) in LETTERS.items()}
    for folder, files in others.items():
        (GOLDEN / folder).mkdir(parents=True, exist_ok=True)
        for name, made in files.items():
            (GOLDEN / folder / name).write_bytes(laid_out(made))


if __name__ == "__main__":
    asyncio.run(write())
