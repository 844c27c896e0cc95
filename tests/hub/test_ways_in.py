"""Ways in besides links: passkeys and the provider's people; where a person is signed in; screens on the wall."""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import registry_forms as forms
import sqlalchemy as sa
from builders import Builder
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from registry_forms import ADMIN
from rigs import FastForward
from test_sign_in import LINK, new_link, reasons, seat

from service import audit, clock, errors
from service.actions import (
    displays,
    end_by_provider,
    end_sessions,
    enroll_passkey,
    link_person,
    record_refusal,
    send_person_home,
    sign_in_by_passkey,
    sign_in_by_provider,
    suspend,
)
from service.actions.sign_in import SignedIn, sign_in
from service.engine import housekeeping
from service.engine.hub import OPERATOR, Hub
from service.models import AuditEntry, ConsolePasskey, ConsoleSession, Display, ProviderLink
from service.queries import displays as screens
from service.queries.sessions import Seat
from service.schemas.entries import NewProviderLink
from service.schemas.policies import NewSignInLink
from service.schemas.registry import SuspendedKind
from service.security import browsers, passkey_making, passkeys
from service.security.passkeys import AssertionRefused
from service.security.principals import ScopeMissing, of_person
from service.security.scopes import Scope
from service.security.single_use import SingleUse
from service.security.trips import Trip
from workflows.terms import Fact, Role, Sector

ISSUER = "https://login.example"
ORIGIN = "https://hub.example"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36"
COORDINATOR = of_person("truc-ban", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.COORDINATOR])


@pytest.fixture(autouse=True)
async def operator(build: Builder) -> None:
    """The hub's operator is in the directory."""
    await build.participant(OPERATOR, Sector.HUB)


@pytest.fixture
def open_hub(hub: Hub) -> Hub:
    """A hub at a name behind TLS, with a provider."""
    more = {"issuer": ORIGIN, "oidc_issuer": ISSUER, "sign_in_by_passkeys": True}
    return Hub(**{**_members(hub), "settings": hub.settings.model_copy(update=more)})


def _members(hub: Hub) -> dict[str, Any]:
    return {name: getattr(hub, name) for name in Hub.__dataclass_fields__}


async def seated(hub: Hub, signed_in: SignedIn) -> Seat:
    found = await seat(hub, signed_in.session)
    assert found is not None
    return found


async def codes(build: Builder) -> list[Fact]:
    return await build.facts(audit.tenant_chain(OPERATOR))


# --- passkeys ---------------------------------------------------------------------------------------------------------


class Authenticator:
    """A device with one passkey for one site."""

    def __init__(self, origin: str = ORIGIN) -> None:
        self.origin, self.counter = origin, 0
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = secrets.token_bytes(16)

    @property
    def credential_id(self) -> str:
        return encode(self.name)

    def made(self, trip: Trip, **wrong: Any) -> passkey_making.Made:
        numbers = self.key.public_key().public_numbers()
        x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
        key = wrong.get("key", b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20" + x + b"\x22\x58\x20" + y)
        attested = bytes(16) + len(self.name).to_bytes(2, "big") + self.name + key
        data = wrong.get("data", self._data(wrong.get("flags", 0x45)) + attested)
        said = self._said("webauthn.create", trip, **wrong)
        return passkey_making.read(data, said, origin=ORIGIN, wanted=trip.challenge)

    def signs(self, trip: Trip, **wrong: Any) -> tuple[bytes, bytes]:
        self.counter += wrong.get("step", 1)
        data, said = self._data(wrong.get("flags", 0x05)), self._said("webauthn.get", trip, **wrong)
        return data + said, self.key.sign(data + hashlib.sha256(said).digest(), ec.ECDSA(hashes.SHA256()))

    def _data(self, flags: int) -> bytes:
        site = passkeys.site_of(self.origin) or ""
        return hashlib.sha256(site.encode()).digest() + bytes([flags]) + self.counter.to_bytes(4, "big")

    def _said(self, kind: str, trip: Trip, **wrong: Any) -> bytes:
        members = {"type": kind, "challenge": passkeys.challenge(trip.challenge), "origin": self.origin}
        return json.dumps({**members, **wrong.get("said", {})}).encode()


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def with_passkey(hub: Hub) -> tuple[Authenticator, UUID]:
    """Sign in by a link and make a passkey."""
    device, trip = Authenticator(), Trip.begin(clock.utc_now())
    mine = await seated(hub, await sign_in(hub, await new_link(hub)))
    return device, await enroll_passkey.enroll(hub, mine, device.made(trip), trip)


async def enters(hub: Hub, device: Authenticator, trip: Trip | None = None, **wrong: Any) -> SignedIn:
    trip = trip or Trip.begin(clock.utc_now())
    said, signature = device.signs(trip, **wrong)
    return await sign_in_by_passkey.sign_in(
        hub,
        trip,
        record_refusal.record_sign_in,
        credential_id=device.credential_id,
        said=said,
        signature=wrong.get("signature", signature),
        browser="chrome-windows",
    )


async def test_a_passkey_opens_the_console_for_its_person_in_its_role(open_hub: Hub, build: Builder) -> None:
    device, _ = await with_passkey(open_hub)
    signed_in = await enters(open_hub, device)
    assert (signed_in.person, signed_in.tenant, signed_in.role) == ("truc-ban", OPERATOR, Role.COORDINATOR)
    assert (await build.row(ConsolePasskey)).counter == 1
    told = [Fact.SIGN_IN_LINK_MADE, Fact.SIGN_IN_DONE, Fact.SIGN_IN_WAY_ADDED, Fact.SIGN_IN_DONE]
    assert await codes(build) == told


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"said": {"origin": "https://hub.example.evil.example"}}, "passkey.malformed"),
        ({"said": {"challenge": "x"}}, "passkey.invalid"),
        ({"said": {"type": "webauthn.create"}}, "passkey.malformed"),
        ({"said": {"crossOrigin": True}}, "passkey.malformed"),
        ({"flags": 0x01}, "passkey.user_unverified"),
        ({"signature": b"x"}, "passkey.invalid"),
        ({"step": 0}, "passkey.copied"),
        ({"step": -1}, "passkey.copied"),
    ],
)
async def test_a_passkeys_answer_that_is_wrong_in_any_way_opens_nothing(
    open_hub: Hub, build: Builder, wrong: dict[str, Any], reason: str
) -> None:
    device, _ = await with_passkey(open_hub)
    device.counter = 4
    await enters(open_hub, device)
    before = len(await build.rows(ConsoleSession))
    with pytest.raises(errors.Unauthenticated):
        await enters(open_hub, device, **wrong)
    assert await reasons(open_hub) == [reason]
    assert len(await build.rows(ConsoleSession)) == before


async def test_a_passkey_of_another_site_opens_nothing(open_hub: Hub) -> None:
    device, _ = await with_passkey(open_hub)
    device.origin = "https://evil.example"
    with pytest.raises(errors.Unauthenticated):
        await enters(open_hub, device)
    assert await reasons(open_hub) == ["passkey.origin"]


async def test_a_challenge_counts_once(open_hub: Hub) -> None:
    device, _ = await with_passkey(open_hub)
    trip = Trip.begin(clock.utc_now())
    await enters(open_hub, device, trip)
    with pytest.raises(errors.Unauthenticated):
        await enters(open_hub, device, trip)
    assert await reasons(open_hub) == ["trip.spent"]


async def test_a_passkey_that_counts_nothing_may_be_used_again(open_hub: Hub) -> None:
    device, _ = await with_passkey(open_hub)
    for _ in range(2):
        await enters(open_hub, device, step=0)


async def test_a_removed_passkey_opens_nothing_and_only_its_person_removes_it(open_hub: Hub, build: Builder) -> None:
    device, passkey_id = await with_passkey(open_hub)
    with pytest.raises(errors.NotFound):
        other = of_person("nguoi-khac", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.COORDINATOR])
        await enroll_passkey.remove(open_hub, other, passkey_id)
    await enroll_passkey.remove(open_hub, COORDINATOR, passkey_id)
    with pytest.raises(errors.Unauthenticated):
        await enters(open_hub, device)
    assert await reasons(open_hub) == ["passkey.unknown"]
    assert not await build.rows(ConsolePasskey)


async def test_a_passkey_is_made_by_somebody_who_has_just_shown_who_he_is(
    open_hub: Hub, fast_forward: FastForward
) -> None:
    signed_in = await sign_in(open_hub, await new_link(open_hub))
    await fast_forward(minutes=16)
    mine, trip = await seated(open_hub, signed_in), Trip.begin(clock.utc_now())
    with pytest.raises(errors.Conflict, match=r"passkey\.session_old"):
        await enroll_passkey.enroll(open_hub, mine, Authenticator().made(trip), trip)


async def test_no_passkey_is_made_where_they_are_off_or_twice_or_without_end(open_hub: Hub, hub: Hub) -> None:
    mine = await seated(open_hub, await sign_in(open_hub, await new_link(open_hub)))
    trip, device = Trip.begin(clock.utc_now()), Authenticator()
    # At an address without a name browsers make none.
    with pytest.raises(errors.Conflict, match=r"passkey\.off"):
        await enroll_passkey.enroll(hub, mine, device.made(trip), trip)
    await enroll_passkey.enroll(open_hub, mine, device.made(trip), trip)
    with pytest.raises(errors.Conflict, match=r"passkey\.again"):
        await enroll_passkey.enroll(open_hub, mine, Authenticator().made(trip), trip)
    for expected in ["passkey.taken", *([None] * (enroll_passkey.MOST - 1)), "passkey.too_many"]:
        another = Trip.begin(clock.utc_now())
        made = (device if expected == "passkey.taken" else Authenticator()).made(another)
        if expected is None:
            await enroll_passkey.enroll(open_hub, mine, made, another)
        else:
            with pytest.raises(errors.Conflict, match=expected.replace(".", r"\.")):
                await enroll_passkey.enroll(open_hub, mine, made, another)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"said": {"type": "webauthn.get"}}, "malformed"),
        ({"said": {"origin": "https://evil.example"}}, "origin"),
        ({"said": {"challenge": "x"}}, "invalid"),
        ({"flags": 0x41}, "user_unverified"),
        ({"flags": 0x05}, "malformed"),
        ({"key": b"\xa4\x01\x03\x03\x39\x01\x00"}, "malformed"),
        ({"data": b"x"}, "origin"),
    ],
)
def test_a_passkey_that_was_made_elsewhere_or_for_another_key_is_not_read(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(AssertionRefused, match=reason):
        Authenticator().made(Trip.begin(clock.utc_now()), **wrong)


# --- the provider's people --------------------------------------------------------------------------------------------


async def by_provider(hub: Hub, name: str = "9001", subject: str = "9001", session: str | None = "s-1") -> SignedIn:
    return await sign_in_by_provider.sign_in(
        hub,
        Trip.begin(clock.utc_now()),
        record_refusal.record_sign_in,
        issuer=ISSUER,
        name=name,
        subject=subject,
        session=session,
        browser="chrome-windows",
    )


def linking(**changes: Any) -> NewProviderLink:
    values = {"participant_id": OPERATOR, "person": "truc-ban", "role": Role.COORDINATOR, "name": "9001", **changes}
    return NewProviderLink(**values)


async def test_the_role_is_the_links_and_no_name_is_kept(open_hub: Hub, build: Builder) -> None:
    await link_person.link(open_hub, ADMIN, linking(role=Role.AUDITOR))
    assert (await by_provider(open_hub)).role is Role.AUDITOR
    await link_person.link(open_hub, ADMIN, linking())
    assert (await by_provider(open_hub)).role is Role.COORDINATOR
    for model in (ProviderLink, ConsoleSession, AuditEntry):
        assert "9001" not in repr(await build.rows(model))
    with pytest.raises(errors.Conflict, match=r"provider_link\.taken"):
        await link_person.link(open_hub, ADMIN, linking(person="nguoi-khac"))
    assert (await link_person.unlink(open_hub, ADMIN, OPERATOR, "truc-ban")).links == 1
    with pytest.raises(errors.Unauthenticated):
        await by_provider(open_hub)


async def test_a_link_is_an_administrators_for_a_role_of_the_sector_and_a_provider_that_there_is(
    open_hub: Hub, hub: Hub, build: Builder
) -> None:
    await build.participant("agency-a", Sector.AGENCY)
    with pytest.raises(ScopeMissing):
        await link_person.link(open_hub, COORDINATOR, linking())
    with pytest.raises(errors.InvalidInput):
        await link_person.link(open_hub, ADMIN, linking(participant_id="agency-a"))
    with pytest.raises(errors.Conflict, match=r"provider\.none"):
        await link_person.link(hub, ADMIN, linking())
    assert not await build.rows(ProviderLink)


async def test_an_officer_who_is_suspended_comes_in_by_no_way_and_is_out_at_once(open_hub: Hub, build: Builder) -> None:
    await build.participant("agency-a", Sector.AGENCY)
    await build.officer("agency-a", "can-bo")
    await link_person.link(open_hub, ADMIN, linking(participant_id="agency-a", person="can-bo", role=Role.READER))
    link = NewSignInLink(participant_id="agency-a", person="can-bo", role=Role.READER)
    device, trip = Authenticator(), Trip.begin(clock.utc_now())
    mine = await sign_in(open_hub, await new_link(open_hub, link))
    await enroll_passkey.enroll(open_hub, await seated(open_hub, mine), device.made(trip), trip)
    open_ones = [mine, await by_provider(open_hub), await enters(open_hub, device)]
    await suspend.suspend(open_hub, ADMIN, "agency-a", forms.stop(SuspendedKind.OFFICER, "can-bo"))
    for each in open_ones:
        assert await seat(open_hub, each.session) is None
    for way in (by_provider(open_hub), enters(open_hub, device)):
        with pytest.raises(errors.Unauthenticated):
            await way
    assert await reasons(open_hub) == ["officer.inactive"] * 2
    told = await build.facts(audit.tenant_chain("agency-a"))
    assert told.count(Fact.SIGN_IN_ENDED) == 3


async def test_the_providers_word_ends_its_own_sessions_once_and_no_others(open_hub: Hub, build: Builder) -> None:
    await link_person.link(open_hub, ADMIN, linking())
    await link_person.link(open_hub, ADMIN, linking(name="9002", person="nguoi-khac"))
    first, second = await by_provider(open_hub), await by_provider(open_hub, session="s-2")
    other, linked = await by_provider(open_hub, "9002", "9002", None), await sign_in(open_hub, await new_link(open_hub))

    async def end(subject: str | None, session: str | None, name: str, issuer: str = ISSUER) -> int:
        single = SingleUse("console.logout", name, clock.utc_now() + timedelta(hours=1))
        return await end_by_provider.end(open_hub, issuer=issuer, subject=subject, session=session, token=single)

    assert await end("9001", None, "j-0", "https://other.example") == 0
    # A session of one person is not ended in the name of another; which one it is of whose token named none, nobody
    # can tell.
    assert await end("9003", "s-1", "j-1") == 0
    assert await end("9002", "s-1", "j-4") == 1
    assert await seat(open_hub, other.session) is None
    assert await end("9001", "s-1", "j-2") == 1
    assert await seat(open_hub, first.session) is None
    for alive in (second, linked):
        assert await seat(open_hub, alive.session) is not None
    assert await end("9001", None, "j-3") == 1
    again = await by_provider(open_hub)
    # What was said once ends nothing that began later.
    assert await end("9001", None, "j-3") == 0
    assert await seat(open_hub, again.session) is not None
    assert (await codes(build)).count(Fact.SIGN_IN_ENDED) == 3


async def test_where_there_is_a_provider_no_passkey_outlives_its_word(open_hub: Hub) -> None:
    assert not open_hub.settings.model_copy(update={"sign_in_by_passkeys": None}).takes_passkeys
    await link_person.link(open_hub, ADMIN, linking())
    device, _ = await with_passkey(open_hub)
    await enters(open_hub, device)
    await link_person.unlink(open_hub, ADMIN, OPERATOR, "truc-ban")
    with pytest.raises(errors.Unauthenticated):
        await enters(open_hub, device)


async def test_whoever_is_sent_home_for_good_has_no_way_back_but_a_new_link(open_hub: Hub, build: Builder) -> None:
    await link_person.link(open_hub, ADMIN, linking())
    device, _ = await with_passkey(open_hub)
    signed_in, unused = await by_provider(open_hub), await new_link(open_hub)
    done = await send_person_home.send_home(open_hub, ADMIN, OPERATOR, "truc-ban")
    assert (done.sessions, done.ways) == (2, 0)
    assert await seat(open_hub, signed_in.session) is None
    with pytest.raises(errors.Unauthenticated):
        await sign_in(open_hub, unused)
    await enters(open_hub, device)
    done = await send_person_home.send_home(open_hub, ADMIN, OPERATOR, "truc-ban", for_good=True)
    assert (done.sessions, done.ways) == (1, 2)
    for way in (by_provider(open_hub), enters(open_hub, device)):
        with pytest.raises(errors.Unauthenticated):
            await way
    await sign_in(open_hub, await new_link(open_hub))
    with pytest.raises(ScopeMissing):
        await send_person_home.send_home(open_hub, COORDINATOR, OPERATOR, "truc-ban")


# --- sessions ---------------------------------------------------------------------------------------------------------


async def test_a_person_ends_one_session_or_all_others_and_nobody_elses(hub: Hub, build: Builder) -> None:
    here, there, third = [await sign_in(hub, await new_link(hub), user_agent=CHROME) for _ in range(3)]
    stranger = await sign_in(hub, await new_link(hub, LINK.model_copy(update={"person": "nguoi-khac"})))
    principal = (await seated(hub, here)).principal
    for foreign in (stranger.id, uuid4()):
        with pytest.raises(errors.NotFound):
            await end_sessions.end_one(hub, principal, foreign)
    await end_sessions.end_one(hub, principal, there.id)
    assert await seat(hub, there.session) is None
    assert await end_sessions.end_others(hub, principal, here.id) == 1
    assert await seat(hub, third.session) is None
    for alive in (here, stranger):
        assert await seat(hub, alive.session) is not None
    assert (await codes(build)).count(Fact.SIGN_IN_ENDED) == 2


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (CHROME, "chrome-windows"),
        (CHROME.replace("Chrome/142.0", "Chrome/143.0"), "chrome-windows"),
        (CHROME + " Edg/142.0", "edge-windows"),
        ("Mozilla/5.0 (Windows NT 10.0) coc_coc_browser/139.0 Chrome/133.0 Safari/537.36", "coccoc-windows"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "firefox-linux"),
        ("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/142.0 Safari/537.36", "chrome-linux"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "safari-ios"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/142.0 Mobile Safari/537.36", "chrome-android"),
        ("curl/8.1", "other-other"),
        ("", "other-other"),
    ],
)
def test_a_browser_is_known_by_its_kind_and_not_by_its_version(said: str, kind: str) -> None:
    assert browsers.kind(said) == kind


def test_a_trip_is_one_browsers_for_ten_minutes() -> None:
    now = clock.utc_now()
    trip, other = Trip.begin(now), Trip.begin(now)
    again = Trip.read(trip.cookie, now + timedelta(minutes=9))
    assert again is not None and again.is_of(trip.state) and not again.is_of(other.state)
    derived = {trip.state, trip.nonce, trip.verifier, trip.challenge.decode(), trip.cookie}
    assert len(derived) == 5 and all(len(each) == 43 for each in derived - {trip.cookie})
    assert Trip.read(trip.cookie, now + timedelta(minutes=10, seconds=1)) is None
    assert Trip.read(trip.cookie, now - timedelta(minutes=2)) is None
    # A later instant in the cookie makes it another trip, whose state nobody was sent away with.
    seconds, _, secret = trip.cookie.partition(".")
    later = Trip.read(f"{int(seconds) + 300}.{secret}", now + timedelta(minutes=12))
    assert later is not None and not later.is_of(trip.state)
    for wrong in ("", "x", f"{seconds}.{secret}x", f"{seconds}.{secret[1:]}", "9" * 10 + "." + secret, "ạ" * 54):
        assert Trip.read(wrong, now) is None
    assert not trip.is_of("\udcff")


# --- screens on the wall ----------------------------------------------------------------------------------------------


async def screen(hub: Hub, token: str) -> screens.Screen | None:
    async with hub.database.read() as conn:
        return await screens.find(conn, token)


async def pair(hub: Hub, code: str) -> str:
    return await displays.pair(hub, code, record_refusal.record_sign_in, browser="chrome-linux")


async def test_a_screen_reads_the_board_and_holds_no_other_power(hub: Hub, build: Builder) -> None:
    made = await displays.prepare(hub, COORDINATOR, "  Phòng   trực ban ")
    token = await pair(hub, made.code.lower().replace("-", " "))
    found = await screen(hub, token)
    assert found is not None
    assert (found.principal.scopes, found.principal.roles) == (frozenset({Scope.REQUESTS_READ}), frozenset())
    row = await build.row(Display)
    assert (row.name, row.created_by, row.code_digest) == ("Phòng trực ban", "truc-ban", None)
    for secret in (made.code, made.code.replace("-", ""), token):
        for model in (Display, AuditEntry):
            assert secret not in repr(await build.rows(model))
    # Its cookie is no session, nor the other way round.
    assert await seat(hub, token) is None
    assert await screen(hub, (await sign_in(hub, await new_link(hub))).session) is None
    assert await codes(build) == [
        *(Fact.DISPLAY_PREPARED, Fact.DISPLAY_PAIRED),
        *(Fact.SIGN_IN_LINK_MADE, Fact.SIGN_IN_DONE),
    ]


async def test_a_code_pairs_one_screen_within_ten_minutes(hub: Hub, fast_forward: FastForward) -> None:
    made, late = await displays.prepare(hub, COORDINATOR, "A"), await displays.prepare(hub, COORDINATOR, "B")
    await pair(hub, made.code)
    await fast_forward(minutes=10, seconds=1)
    for wrong in (made.code, late.code, "", "0000-0000", "x" * 5000, "ạ"):
        with pytest.raises(errors.Unauthenticated):
            await pair(hub, wrong)
    assert await reasons(hub) == ["display.unknown", "display.expired", *["display.unknown"] * 4]


async def test_a_screen_hangs_for_thirty_days_unless_it_is_ended(hub: Hub, fast_forward: FastForward) -> None:
    tokens, made = [], []
    for name in ("A", "B"):
        made.append(await displays.prepare(hub, COORDINATOR, name))
        tokens.append(await pair(hub, made[-1].code))
    waiting = await displays.prepare(hub, COORDINATOR, "C")
    await displays.end(hub, COORDINATOR, waiting.id)
    with pytest.raises(errors.Unauthenticated):
        await pair(hub, waiting.code)
    await fast_forward(days=29)
    assert await screen(hub, tokens[0]) is not None
    await displays.end(hub, COORDINATOR, made[1].id)
    assert await screen(hub, tokens[1]) is None
    with pytest.raises(errors.NotFound):
        await displays.end(hub, COORDINATOR, made[1].id)
    await fast_forward(days=1, seconds=1)
    assert await screen(hub, tokens[0]) is None
    await fast_forward(days=1)
    assert (await housekeeping.tidy(hub))["displays"] == 3


@pytest.mark.parametrize(
    "attempt",
    [
        lambda hub, who: displays.prepare(hub, who, "A"),
        lambda hub, who: displays.end(hub, who, uuid4()),
    ],
)
async def test_screens_are_the_coordinators_alone(hub: Hub, attempt: Callable[..., Any]) -> None:
    for role in (Role.AUDITOR, Role.HUB_ADMIN):
        with pytest.raises(ScopeMissing):
            await attempt(hub, of_person("ai-do", tenant=OPERATOR, sector=Sector.HUB, roles=[role]))


async def test_a_name_of_a_screen_is_there_and_short_and_there_is_an_end_to_them(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong, code in ((" ", "field.missing"), ("x" * 61, "field.too_long")):
        with pytest.raises(errors.InvalidInput) as refused:
            await displays.prepare(hub, COORDINATOR, wrong)
        assert [(each.field, each.code) for each in refused.value.fields] == [("/name", code)]
    monkeypatch.setattr(displays, "MOST", 1)
    await displays.prepare(hub, COORDINATOR, "A")
    with pytest.raises(errors.Conflict, match=r"display\.too_many"):
        await displays.prepare(hub, COORDINATOR, "B")


async def test_links_that_are_switched_off_are_neither_made_nor_taken(hub: Hub) -> None:
    link = await new_link(hub)
    closed = Hub(**{**_members(hub), "settings": hub.settings.model_copy(update={"sign_in_by_links": False})})
    with pytest.raises(errors.Conflict, match=r"sign_in_link\.off"):
        await new_link(closed)
    with pytest.raises(errors.Unauthenticated):
        await sign_in(closed, link)
    assert await reasons(hub) == ["link.off"]


def test_the_tables_of_coming_in_hold_no_secret_that_opens_anything() -> None:
    names = {column.name for model in (ProviderLink, ConsolePasskey, Display) for column in _table(model).columns}
    assert names.isdisjoint({"token", "secret", "code", "name_at_provider"})


def _table(model: Any) -> sa.Table:
    found: sa.Table = model.__table__
    return found
