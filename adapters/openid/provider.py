"""Speaks OpenID Connect with the one provider that the settings name: where to go, what came back, whom it vouches for.

The code flow alone (OpenID Connect Core 1.0, 3.1) with PKCE, state and nonce; the provider is the operator's own and
pinned by its issuer, its network and its certificate authority. ADR 0060.
"""

import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.discovery import OpenIDProviderMetadata

from adapters.base import DeliveryFailed, Endpoint, Receipt
from adapters.openid import tokens
from adapters.openid.tokens import Key, Refused

# How long what the provider publishes of itself counts, and how often an unknown key may have it read anew, in seconds.
_METADATA_FOR, _KEYS_AGAIN = 3600.0, 30.0
_ASKED = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
_LOGOUT = "http://schemas.openid.net/event/backchannel-logout"


class Line(Protocol):
    """The way out over HTTP, as ``adapters.transport.Transport`` provides it."""

    async def post(self, url: str, *, content: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
        """Send and return the answer; raise ``DeliveryFailed``."""
        ...

    async def get(self, url: str, *, headers: Mapping[str, str], endpoint: Endpoint) -> Receipt:
        """Fetch and return the answer; raise ``DeliveryFailed``."""
        ...


@dataclass(frozen=True, slots=True)
class Registered:
    """How this hub is known to the provider, and what it asks of it.

    ``claim`` is the member of the ID token by which people are told apart. A token must say one of ``acr`` and all of
    ``amr``; none asks for nothing.
    """

    issuer: str
    client_id: str
    secret: str = field(repr=False)
    back: str
    endpoint: Endpoint
    scopes: tuple[str, ...] = ("openid",)
    claim: str = "sub"
    acr: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Vouched:
    """Whom the provider vouches for: the ``claim``'s value, its own name for the person, and for the session there."""

    name: str
    subject: str
    session: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """What the provider says is over (Back-Channel Logout 1.0): one session, or all of a person's."""

    subject: str | None
    session: str | None
    token: str
    issued_at: int


class Provider:
    """The identity provider; keeps what it publishes of itself in memory, and nothing of anybody."""

    def __init__(self, registered: Registered, line: Line) -> None:
        self.registered = registered
        self._line = line
        self._metadata: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, Sequence[Key]] | None = None

    @property
    def origin(self) -> str:
        """Where browsers are sent to."""
        parts = urlsplit(self.registered.issuer)
        return f"{parts.scheme}://{parts.netloc}"

    async def address(self, *, state: str, nonce: str, verifier: str, lang: str) -> str:
        """Return the address that the browser goes to. Raises ``DeliveryFailed`` and ``Refused``."""
        mine = self.registered
        extra = {"acr_values": " ".join(mine.acr)} if mine.acr else {}
        found: str = prepare_grant_uri(
            await self._published("authorization_endpoint"),
            mine.client_id,
            "code",
            redirect_uri=mine.back,
            scope=" ".join(mine.scopes),
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
            ui_locales=lang,
            **extra,
        )
        return found

    async def check_issuer(self, given: str | None) -> None:
        """Refuse an answer of another provider's (RFC 9207), and one without a name where this one always says it."""
        says = (await self._all()).get("authorization_response_iss_parameter_supported") is True
        if given != self.registered.issuer and (given is not None or says):
            raise Refused("provider.mixed_up")

    async def exchange(self, code: str, *, verifier: str, nonce: str, now: datetime) -> Vouched:
        """Spend the code for an ID token and return whom it is about. Raises ``DeliveryFailed`` and ``Refused``."""
        mine = self.registered
        known = f"{quote(mine.client_id, safe='')}:{quote(mine.secret, safe='')}"
        headers = {
            "Authorization": f"Basic {base64.b64encode(known.encode()).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": mine.back,
            "code_verifier": verifier,
        }
        try:
            answer = await self._line.post(
                await self._published("token_endpoint"),
                content=urlencode(form).encode(),
                headers=headers,
                endpoint=mine.endpoint,
            )
        except DeliveryFailed as failed:
            # The provider is there and says no: a code that is spent, too old or another client's.
            if failed.status is not None and 400 <= failed.status < 500:
                raise Refused("provider.code") from None
            raise
        token = tokens.read(answer.body).get("id_token")
        if not isinstance(token, str):
            raise Refused("provider.token")
        claims = await self._claims(token, now, nonce=nonce)
        self._check_strength(claims)
        name, session = claims.get(mine.claim), claims.get("sid")
        if not isinstance(name, str) or not 0 < len(name) <= 255:
            raise Refused("provider.claim")
        return Vouched(name, str(claims["sub"]), session if isinstance(session, str) else None)

    async def ended(self, token: str, now: datetime) -> Ended:
        """Return what a logout token says is over (Back-Channel Logout 1.0, 2.6). Raises as ``exchange``."""
        claims = await self._claims(token, now, nonce=None)
        events, subject, session = claims.get("events"), claims.get("sub"), claims.get("sid")
        named = [each for each in (subject, session) if isinstance(each, str)]
        if not isinstance(events, dict) or not isinstance(events.get(_LOGOUT), dict) or "nonce" in claims:
            raise Refused("provider.logout")
        if not named or not isinstance(claims.get("jti"), str):
            raise Refused("provider.logout")
        return Ended(subject, session, str(claims["jti"]), int(claims["iat"]))

    async def leaving(self, back: str, lang: str) -> str | None:
        """Return where a browser signs out at the provider too (RP-Initiated Logout 1.0); None where it has no place.

        The hub keeps no ID token to show there: the provider asks the person.
        """
        try:
            place = (await self._all()).get("end_session_endpoint")
        except (DeliveryFailed, Refused):
            return None
        if not isinstance(place, str) or not place.startswith(f"{self.origin}/"):
            return None
        query = {"client_id": self.registered.client_id, "post_logout_redirect_uri": back, "ui_locales": lang}
        return f"{place}{'&' if '?' in place else '?'}{urlencode(query)}"

    async def _claims(self, token: str, now: datetime, nonce: str | None) -> Mapping[str, Any]:
        mine, key = self.registered, await self._key(token)
        return tokens.verify(token, key, now, issuer=mine.issuer, client_id=mine.client_id, nonce=nonce)

    def _check_strength(self, claims: Mapping[str, Any]) -> None:
        mine, amr = self.registered, claims.get("amr")
        if mine.acr and claims.get("acr") not in mine.acr:
            raise Refused("provider.acr")
        if mine.amr and not (
            isinstance(amr, list) and set(mine.amr) <= {each for each in amr if isinstance(each, str)}
        ):
            raise Refused("provider.amr")

    async def _key(self, token: str) -> Key:
        """Return the published key that a token names; the one there is where it names none."""
        said = tokens.header(token)
        for again in (False, True):
            fitting = [each for each in await self._published_keys(again=again) if tokens.fits(each, said)]
            if len(fitting) == 1:
                return fitting[0]
        raise Refused("provider.key")

    async def _published_keys(self, *, again: bool) -> Sequence[Key]:
        if self._keys is None or time.monotonic() - self._keys[0] > (_KEYS_AGAIN if again else _METADATA_FOR):
            place = await self._published("jwks_uri")
            answer = await self._line.get(place, headers={}, endpoint=self.registered.endpoint)
            self._keys = (time.monotonic(), tokens.keys(tokens.read(answer.body).get("keys")))
        return self._keys[1]

    async def _published(self, name: str) -> str:
        """Return an address that the provider publishes, at its own host: what lies elsewhere is not asked."""
        found = (await self._all()).get(name)
        if not isinstance(found, str) or not found.startswith(f"{self.origin}/"):
            raise Refused("provider.metadata")
        return found

    async def _all(self) -> Mapping[str, Any]:
        if self._metadata is None or time.monotonic() - self._metadata[0] > _METADATA_FOR:
            mine = self.registered
            place = f"{mine.issuer.removesuffix('/')}/.well-known/openid-configuration"
            answer = await self._line.get(place, headers={}, endpoint=mine.endpoint)
            told = OpenIDProviderMetadata(tokens.read(answer.body))
            # Discovery 1.0, 4.3: it must be the very issuer that was asked, or another one speaks in its name.
            if told.get("issuer") != mine.issuer:
                raise Refused("provider.issuer")
            try:
                # Not all of it: who signs with ES256 alone does not say that he also knows RS256, which the text asks.
                for each in _ASKED:
                    getattr(told, f"validate_{each}")()
            except ValueError:
                raise Refused("provider.metadata") from None
            self._metadata = (time.monotonic(), told)
        return self._metadata[1]
