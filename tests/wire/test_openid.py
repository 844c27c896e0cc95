"""What a provider could say that is not true, late, another's or for somebody else: none of it lets anybody in."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from adapters.base import DeliveryFailed, Endpoint, Receipt
from adapters.openid.provider import Provider, Registered
from adapters.openid.tokens import Refused
from workflows.terms import Channel

ISSUER = "https://login.example/realms/police"
NOW = datetime(2026, 12, 1, 3, tzinfo=UTC)
AT = int(NOW.timestamp())
KEY = ECKey.generate_key("P-256", {"kid": "one", "use": "sig"})
OTHER = ECKey.generate_key("P-256", {"kid": "one", "use": "sig"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
SMALL = RSAKey.generate_key(1024, {"kid": "small", "use": "sig"})
EVENT = "http://schemas.openid.net/event/backchannel-logout"
METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/jwks",
    "end_session_endpoint": f"{ISSUER}/leave",
}
REGISTERED = Registered(
    issuer=ISSUER,
    client_id="hoatoc",
    secret="s/e:c ret",
    back="https://hub.example/sign-in/provider/back",
    endpoint=Endpoint("provider", Channel.WEBHOOK, ISSUER, "10.0.0.0/8", 443, "pem"),
)


class Line:
    """A line to a provider that says whatever a test has it say; ``asked`` are the addresses, in order."""

    def __init__(self, id_token: str | None = None, **metadata: Any) -> None:
        self.id_token, self.metadata = id_token, {**METADATA, **metadata}
        self.keys: list[Any] = [KEY, RSA, SMALL]
        self.asked: list[str] = []
        self.sent: dict[str, Any] = {}

    async def get(self, url: str, *, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
        self.asked.append(url)
        if url.endswith("/jwks"):
            return _receipt({"keys": [key.as_dict(private=False) for key in self.keys]})
        return _receipt(self.metadata)

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
        self.asked.append(url)
        self.sent = {"content": content.decode(), **headers}
        return _receipt({} if self.id_token is None else {"id_token": self.id_token, "access_token": "a"})


def _receipt(body: object) -> Receipt:
    raw = json.dumps(body).encode()
    return Receipt(200, 0.0, raw, "10.0.0.1:443", raw)


def token(key: Any = KEY, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    """An ID token as it should be, but for what is given; None leaves a claim out."""
    members = {"iss": ISSUER, "aud": "hoatoc", "sub": "9001", "nonce": "n", "iat": AT, "exp": AT + 300, **claims}
    head = header or {"alg": "ES256", "kid": "one"}
    present = {name: value for name, value in members.items() if value is not None}
    return jwt.encode(dict(head), present, key, algorithms=[head["alg"]])


def logout(**claims: Any) -> str:
    return token(**{"nonce": None, "events": {EVENT: {}}, "jti": "j", "sid": "s", **claims})


def unsigned(alg: str, signature: bytes = b"") -> str:
    def part(members: Mapping[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()

    claims = {"iss": ISSUER, "aud": "hoatoc", "sub": "9001", "nonce": "n", "iat": AT, "exp": AT + 300}
    text = f"{part({'alg': alg, 'kid': 'one'})}.{part(claims)}"
    if alg == "HS256":
        # The public key as everybody can read it, taken for the secret of a MAC.
        signature = hmac.new(KEY.as_pem(private=False), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


async def exchanged(id_token: str | None, registered: Registered = REGISTERED) -> Any:
    provider = Provider(registered, Line(id_token))
    return await provider.exchange("code", verifier="v", nonce="n", now=NOW)


async def test_a_good_token_names_the_person_and_the_session() -> None:
    found = await exchanged(token(sid="s-1"))
    assert (found.name, found.subject, found.session) == ("9001", "9001", "s-1")
    assert (await exchanged(token(RSA, {"alg": "RS256", "kid": "rsa"}))).subject == "9001"
    assert (await exchanged(token(RSA, {"alg": "PS256", "kid": "rsa"}))).subject == "9001"
    assert (await exchanged(token(aud=["hoatoc"], azp="hoatoc"))).subject == "9001"
    # One minute of difference between two clocks is nobody's fault.
    assert (await exchanged(token(exp=AT - 30, iat=AT + 30))).subject == "9001"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda: token(nonce="another"), "provider.nonce"),
        (lambda: token(nonce=None), "provider.nonce"),
        (lambda: token(nonce=["n"]), "provider.nonce"),
        (lambda: token(aud="another"), "provider.aud"),
        (lambda: token(aud=["hoatoc", "another"], azp="hoatoc"), "provider.aud"),
        (lambda: token(aud=None), "provider.aud"),
        (lambda: token(azp="another"), "provider.azp"),
        (lambda: token(iss="https://login.example/realms/bank"), "provider.iss"),
        (lambda: token(iss=f"{ISSUER}/"), "provider.iss"),
        (lambda: token(iss=None), "provider.iss"),
        (lambda: token(exp=AT - 61), "provider.exp"),
        (lambda: token(exp=None), "provider.exp"),
        (lambda: token(iat=AT + 3600), "provider.iat"),
        (lambda: token(sub=None), "provider.sub"),
        (lambda: token(OTHER), "provider.signature"),
        (lambda: token(header={"alg": "ES256", "kid": "unknown"}), "provider.key"),
        (lambda: token(SMALL, {"alg": "RS256", "kid": "small"}), "provider.key"),
        (lambda: unsigned("none"), "provider.algorithm"),
        (lambda: unsigned("None"), "provider.algorithm"),
        (lambda: unsigned("HS256"), "provider.algorithm"),
        (lambda: unsigned("ES256"), "provider.signature"),
        (lambda: logout(nonce=None), "provider.nonce"),
        (lambda: token() + "x", "provider.signature"),
        (lambda: "x" * 20_000, "provider.token"),
        (lambda: "", "provider.answer"),
        (lambda: None, "provider.token"),
    ],
)
async def test_a_token_that_is_not_for_this_hub_and_this_sign_in_is_refused(wrong: Any, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        await exchanged(wrong())
    assert refused.value.reason == reason


async def test_another_claim_tells_people_apart_where_the_settings_say_so() -> None:
    registered = Registered(**{**_members(), "claim": "employee"})
    assert (await exchanged(token(employee="NV-7"), registered)).name == "NV-7"
    for wrong in (None, "", 7, ["NV-7"], "x" * 256):
        with pytest.raises(Refused, match=r"provider\.claim"):
            await exchanged(token(employee=wrong), registered)


def _members() -> dict[str, Any]:
    return {name: getattr(REGISTERED, name) for name in ("issuer", "client_id", "secret", "back", "endpoint")}


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"acr": "gold", "amr": ["pwd", "otp"]}, None),
        ({"acr": "silver", "amr": ["pwd", "otp"]}, "provider.acr"),
        ({"amr": ["pwd", "otp"]}, "provider.acr"),
        ({"acr": "gold", "amr": ["pwd"]}, "provider.amr"),
        ({"acr": "gold", "amr": "otp"}, "provider.amr"),
        ({"acr": "gold"}, "provider.amr"),
    ],
)
async def test_a_second_factor_is_asked_for_and_must_be_in_the_token(
    claims: dict[str, Any], reason: str | None
) -> None:
    registered = Registered(**_members(), acr=("gold", "platinum"), amr=("otp",))
    if reason is None:
        assert (await exchanged(token(**claims), registered)).subject == "9001"
    else:
        with pytest.raises(Refused, match=re.escape(reason)):
            await exchanged(token(**claims), registered)
    place = await Provider(registered, Line()).address(state="s", nonce="n", verifier="v" * 43, lang="vi")
    assert "acr_values=gold+platinum" in place or "acr_values=gold%20platinum" in place


async def test_the_way_there_carries_state_nonce_and_the_digest_of_the_verifier_and_never_the_verifier() -> None:
    verifier = "v" * 43
    place = await Provider(REGISTERED, Line()).address(state="st", nonce="no", verifier=verifier, lang="vi")
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    assert place.startswith(f"{ISSUER}/auth?")
    for part in (
        "response_type=code",
        "state=st",
        "nonce=no",
        f"code_challenge={digest}",
        "code_challenge_method=S256",
    ):
        assert part in place
    assert verifier not in place and "s%2Fe" not in place and "secret" not in place


async def test_the_secret_travels_in_the_header_as_rfc_6749_spells_it() -> None:
    line = Line(token())
    await Provider(REGISTERED, line).exchange("c", verifier="v", nonce="n", now=NOW)
    assert base64.b64decode(line.sent["Authorization"].removeprefix("Basic ")).decode() == "hoatoc:s%2Fe%3Ac%20ret"
    assert "code_verifier=v" in line.sent["content"] and "s/e" not in line.sent["content"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"issuer": f"{ISSUER}/"},
        {"token_endpoint": "https://evil.example/token"},
        {"token_endpoint": "http://login.example/realms/police/token"},
        {"jwks_uri": "https://evil.example/jwks"},
        {"jwks_uri": None},
        {"token_endpoint": "https://login.example.evil.example/token"},
    ],
)
async def test_metadata_that_names_another_issuer_or_leads_elsewhere_is_believed_by_nobody(
    metadata: dict[str, Any],
) -> None:
    line = Line(token(), **metadata)
    with pytest.raises(Refused, match=r"provider\.(issuer|metadata)"):
        await Provider(REGISTERED, line).exchange("code", verifier="v", nonce="n", now=NOW)
    assert not [address for address in line.asked if "evil" in address or address.startswith("http:")]


async def test_a_browser_is_sent_to_the_issuers_own_host_alone() -> None:
    line = Line(authorization_endpoint="https://evil.example/auth", end_session_endpoint="https://evil.example/leave")
    provider = Provider(REGISTERED, line)
    with pytest.raises(Refused, match=r"provider\.metadata"):
        await provider.address(state="s", nonce="n", verifier="v", lang="vi")
    assert await provider.leaving("https://hub.example/sign-in", "vi") is None


async def test_an_answer_says_whose_it_is_where_the_provider_always_does() -> None:
    silent, speaking = (
        Provider(REGISTERED, Line()),
        Provider(REGISTERED, Line(authorization_response_iss_parameter_supported=True)),
    )
    await silent.check_issuer(None)
    for provider in (silent, speaking):
        await provider.check_issuer(ISSUER)
        with pytest.raises(Refused, match=r"provider\.mixed_up"):
            await provider.check_issuer("https://other.example")
    with pytest.raises(Refused, match=r"provider\.mixed_up"):
        await speaking.check_issuer(None)


async def test_a_new_key_is_looked_for_once_in_a_while_and_not_at_every_strangers_token() -> None:
    line = Line(token(OTHER, {"alg": "ES256", "kid": "two"}))
    provider = Provider(REGISTERED, line)
    for _ in range(20):
        with pytest.raises(Refused, match=r"provider\.key"):
            await provider.exchange("code", verifier="v", nonce="n", now=NOW)
    assert sum(address.endswith("/jwks") for address in line.asked) == 1


@pytest.mark.parametrize(
    ("claims", "is_good"),
    [
        ({}, True),
        ({"sub": None}, True),
        ({"sid": None}, True),
        ({"sub": None, "sid": None}, False),
        ({"events": None}, False),
        ({"events": {}}, False),
        ({"events": {EVENT: "yes"}}, False),
        ({"nonce": "n"}, False),
        ({"jti": None}, False),
        ({"aud": "another"}, False),
        ({"iss": "https://evil.example"}, False),
        ({"exp": AT - 61}, False),
    ],
)
async def test_a_logout_token_is_one_and_nothing_else_is(claims: dict[str, Any], is_good: bool) -> None:
    provider = Provider(REGISTERED, Line())
    if is_good:
        found = await provider.ended(logout(**claims), NOW)
        assert (found.token, bool(found.session or found.subject)) == ("j", True)
        return
    with pytest.raises(Refused):
        await provider.ended(logout(**claims), NOW)


async def test_an_old_logout_token_is_refused() -> None:
    with pytest.raises(Refused):
        await Provider(REGISTERED, Line()).ended(logout(), NOW + timedelta(hours=1))


async def test_a_provider_that_fails_is_not_one_that_refuses() -> None:
    class Down(Line):
        async def post(self, url: str, *, content: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
            raise DeliveryFailed(f"http.{self.metadata['status']}", status=self.metadata["status"])

    with pytest.raises(DeliveryFailed):
        await Provider(REGISTERED, Down(status=503)).exchange("c", verifier="v", nonce="n", now=NOW)
    with pytest.raises(Refused, match=r"provider\.code"):
        await Provider(REGISTERED, Down(status=400)).exchange("c", verifier="v", nonce="n", now=NOW)
