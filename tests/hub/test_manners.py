"""Each manner of the command that plays a participant does what its name says, in each form, to real orders."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import certify_steps
import pytest
from journey_processes import until
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.base import Message
from adapters.sandbox.behaviour import LIES, Trick
from adapters.sandbox.tls import SandboxTls
from service.certification import opening, parcels
from service.certification.bench import Bench
from service.certification.exam import AMOUNT, Exam
from service.certification.lines import Sent
from service.certification.parcels import Parcel
from service.cli import playing
from service.cli.playing import Kind, Manner
from workflows import conformance
from workflows.conformance import Profile
from workflows.terms import Outcome, RefusalCode, Sector

WITHIN = 60
RECEIVED, EXECUTED, REFUSED, NOT_MINE = Outcome.RECEIVED, Outcome.EXECUTED, Outcome.REFUSED, Outcome.NOT_MINE
# Longer than any order has: whoever executes so long before its deadline does it at once.
BEFORE = -(10.0**9)
# Half of a block there is not: they tell half of what they know. An ISP is asked nothing.
ASKED = {Sector.TELECOM: ["holder_name", "holder_document"], Sector.PLATFORM: ["contact_phone", "opened_on"]}


class Pages:
    """An ASGI layer that remembers what readers of inboxes asked for, and whether something was there for them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._read: list[tuple[str, str, bool]] = []

    def found(self, client_id: str, after: int) -> int:
        """How often somebody was shown what lies behind a position."""
        return self._read.count((client_id, str(after), True))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a call."""
        body = bytearray()

        async def tell(message: Any) -> None:
            body.extend(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, tell)
        if scope["type"] == "http" and scope["path"] == "/v1/orders":
            request = Request(scope)
            claims = request.headers["authorization"].split(".")[1]
            client_id = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["client_id"]
            self._read.append((client_id, request.query_params["after"], b'"items":[{' in body))


@dataclass
class Player:
    """One who plays a manner, opposite a hub that sends what the scene says."""

    exam: Exam
    pages: Pages
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def is_money(self) -> bool:
        return self.exam.candidate.is_money

    @property
    def client_id(self) -> str:
        return self.exam.candidate.applicant.client_id

    @property
    def is_called(self) -> bool:
        return self.exam.candidate.endpoint is not None

    async def send(self, parcel: Parcel) -> Sent:
        return await self.exam.line.send(parcel)

    async def ordered(self) -> Message:
        """An order that was sent and taken."""
        message = await self.exam.place()
        assert (await self.send(Parcel(message))).is_taken
        return message

    async def answers(self, message: Message, *outcomes: Outcome) -> list[Mapping[str, Any]]:
        """The answers to an order, once the hub has taken these and no other."""
        rows: list[Mapping[str, Any]] = []

        async def so_many() -> bool:
            rows[:] = await self.exam.bench.answers(message.subject)
            return len(rows) >= len(outcomes)

        await until(so_many, WITHIN, lambda: f"{outcomes}: {self.told}")
        assert [row["outcome"] for row in rows] == list(outcomes), self.told
        return rows

    async def tells(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """What it told of one kind, once it was told so often."""

        async def so_often() -> bool:
            return sum(each == kind for each, _ in self.told) >= count

        await until(so_often, WITHIN, lambda: f"{kind}: {self.told}")
        return [data for each, data in self.told if each == kind]


def held(player: Player, rows: list[Mapping[str, Any]]) -> list[int | None]:
    """What each answer says is held; of whom blocks numbers and names it is nothing."""
    found = [row["amount_held"] for row in rows]
    assert player.is_money or found == [None] * len(found)
    return found if player.is_money else []


async def prompt(player: Player) -> None:
    rows = await player.answers(await player.ordered(), EXECUTED)
    assert held(player, rows) in ([], [AMOUNT])


async def slow(player: Player) -> None:
    """What has time left stays received, while what has none is executed; a lift is not kept waiting."""
    early = await player.ordered()
    await player.answers(early, RECEIVED)
    late = await player.exam.place()
    assert (await player.send(parcels.late(late, player.exam.bench.key))).is_taken
    await player.answers(late, RECEIVED, EXECUTED)
    await player.answers(early, RECEIVED)
    lift = await player.exam.lift(early)
    assert (await player.send(Parcel(lift))).is_taken
    await player.tells("lifted")


async def before(player: Player) -> None:
    await player.answers(await player.ordered(), RECEIVED, EXECUTED)


async def half(player: Player) -> None:
    asked = ASKED.get(player.exam.candidate.applicant.sector)
    if player.is_money:
        rows = await player.answers(await player.ordered(), EXECUTED, EXECUTED)
        assert held(player, rows) == [AMOUNT // 2, AMOUNT]
        return
    if asked is None:
        await prompt(player)
        return
    about = player.exam.candidate.order(player.exam.candidate.target, AMOUNT)
    demand = {**about, "action": "disclose", "legal_basis": "cpc_88", "asked": asked}
    del demand["measure"]
    message = await player.exam.bench.place(player.exam.candidate.id, demand)
    assert (await player.send(Parcel(message))).is_taken
    await player.answers(message, EXECUTED, EXECUTED)
    assert [each["data_given"] for each in await player.tells("executed", 2)] == [1, 2]


async def refusing(player: Player) -> None:
    [row] = await player.answers(await player.ordered(), REFUSED)
    assert row["refusal_code"] is RefusalCode.TARGET_NOT_FOUND


async def ported(player: Player) -> None:
    [row] = await player.answers(await player.ordered(), NOT_MINE)
    assert row["ported_to"] == playing.ELSEWHERE[Kind(player.exam.candidate.applicant.sector)]


async def flapping(player: Player) -> None:
    message = await player.exam.place()
    if not player.is_called:
        assert (await player.send(Parcel(message))).is_taken
        await player.answers(message, EXECUTED)
        # The page came, was left, and came again.
        assert player.pages.found(player.client_id, after=0) == 2
        return
    for code in ("http.503", None) * 2:
        sent = await player.send(Parcel(message))
        assert sent.code == code
        if sent.is_taken:
            await player.answers(message, EXECUTED)
            message = await player.exam.place()


# What the hub makes of each answer to its call, where that is no receipt.
CODES: Mapping[Trick, str] = {
    Trick.REDIRECT: "http.redirect",
    Trick.STATUS: "http.418",
    Trick.ENDLESS: "answer.too_large",
}


async def hostile(player: Player) -> None:
    is_etsi = player.exam.candidate.applicant.profile is Profile.TELECOM_ETSI
    codes = {**CODES, Trick.GARBAGE: "hi1.response_malformed"} if is_etsi else CODES
    messages = []
    for trick in Trick if player.is_called else LIES:
        messages.append(await player.exam.place())
        assert (await player.send(Parcel(messages[-1]))).code == codes.get(trick), trick
    lies = await player.tells("answer_failed", len(LIES))
    assert len(lies) == len(LIES)
    assert {data["trick"] for data in await player.tells("lied", len(messages))} == (
        set(Trick) if player.is_called else set(LIES)
    )
    for message in messages:
        await player.answers(message)


async def careless(player: Player) -> None:
    """An order that the hub did not sign is executed."""
    message = await player.exam.place()
    assert (await player.send(parcels.forged(message, player.exam.bench.key))).is_taken
    await player.answers(message, EXECUTED)


SCENES: list[tuple[Manner, Mapping[str, Any], Callable[[Player], Awaitable[None]]]] = [
    (Manner.PROMPT, {}, prompt),
    (Manner.SLOW, {"delay": 0.0}, slow),
    (Manner.SLOW, {"delay": BEFORE}, before),
    (Manner.PARTIAL, {"delay": 0.0}, half),
    (Manner.REFUSING, {}, refusing),
    (Manner.PORTED, {}, ported),
    (Manner.FLAPPING, {}, flapping),
    (Manner.HOSTILE, {}, hostile),
    (Manner.CARELESS, {}, careless),
]


@pytest.mark.parametrize(
    ("profile", "sector"),
    [
        (profile, sector)
        for profile in Profile
        for sector in (Sector.BANK, Sector.WALLET, Sector.TELECOM, Sector.ISP, Sector.PLATFORM)
        if conformance.fits(profile, conformance.channel_of(profile), sector)
    ],
)
async def test_each_manner_does_what_its_name_says(profile: Profile, sector: Sector, tmp_path: Path) -> None:
    tls = SandboxTls(tmp_path / "tls")
    (tmp_path / "hub").mkdir()
    assert {manner for manner, _, _ in SCENES} == set(Manner) - {Manner.SILENT}

    @contextlib.asynccontextmanager
    async def player(bench: Bench, pages: Pages, manner: Manner, number: int, **options: Any) -> AsyncIterator[Player]:
        told: list[tuple[str, dict[str, Any]]] = []
        behaviour, name = certify_steps.treated(manner, sector, **options), f"member-{number}"

        def keep(kind: str, data: dict[str, Any]) -> None:
            told.append((kind, data))

        rig = certify_steps.examined(bench, profile, sector, behaviour, tls, name, number, keep)
        async with rig as (exam, _):
            yield Player(exam, pages, told)

    async def play(bench: Bench, pages: Pages, number: int) -> None:
        manner, options, scene = SCENES[number]
        async with player(bench, pages, manner, number, **options) as playing_it:
            await scene(playing_it)

    async with asyncio.timeout(300), opening.bench(tmp_path / "hub", "127.0.0.1", 0) as bench:
        assert bench.calls.app is not None
        bench.calls.app = pages = Pages(bench.calls.app)
        async with player(bench, pages, Manner.SILENT, len(SCENES)) as silent:
            message = await silent.ordered()
            await silent.tells("received")
            await asyncio.gather(*(play(bench, pages, number) for number in range(len(SCENES))))
            # All that the others were asked in the meantime is answered.
            await silent.answers(message)
            assert not bench.calls.of(silent.client_id)
