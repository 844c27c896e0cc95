"""A participant's way to the hub: an access token by a signed assertion, a proof with each call, answers to orders."""

import asyncio
import base64
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import ECKey

from adapters.base import DeliveryFailed
from adapters.sandbox import signatures
from adapters.transport import HubAnswer, HubClient

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LASTS = 60
# A token is fetched anew this long before it ends.
_SPARE = 20
# Seconds before each next attempt at an answer that the hub did not take.
WAITS = (0.2, 0.5, 1, 2, 5, 10, 20, 30)


class Hub:
    """Answers orders with a token fetched by ``private_key_jwt`` (RFC 7523, ES256) and a proof a call (RFC 9449)."""

    def __init__(
        self,
        client: HubClient,
        client_id: str,
        private_key_jwk: Mapping[str, Any],
        issuer: str,
        clock: Callable[[], float] = time.time,
        *,
        signing_key: Mapping[str, Any] | None = None,
    ) -> None:
        """Take the keys as JWKs (EC, P-256); ``issuer`` is the hub's issuer string, ``signing_key`` signs answers.

        The issuer is the only audience that the hub takes, in a signature too, and what proofs are made for, whichever
        node is asked.
        """
        self._client = client
        self._client_id = client_id
        self._key = ECKey.import_key(dict(private_key_jwk))
        self._signing = ECKey.import_key(dict(signing_key)) if signing_key else None
        self._issuer = issuer
        self._clock = clock
        self._token = ""
        self._token_ends = 0.0
        self._fetching = asyncio.Lock()

    async def answer(self, order_id: str, path: str, acknowledgement: Mapping[str, Any]) -> HubAnswer:
        """POST a signed acknowledgement and return the hub's answer, which may be a refusal; raises as ``send``."""
        content = json.dumps(acknowledgement, separators=(",", ":")).encode()
        return await self.send(path, content, about=order_id)

    async def send(
        self, path: str, content: bytes, *, about: str | None = None, media_type: str = "application/json"
    ) -> HubAnswer:
        """POST an answer in whichever form; ``about`` is the order that the signature in the header names, if any.

        What may pass by itself (no answer, 401, 409, 429, 5xx) is tried again for about a minute, always with the same
        ``Idempotency-Key``; the last failure is returned, or raised as ``DeliveryFailed``.
        """
        key = str(uuid.uuid4())
        for wait in WAITS:
            try:
                answer = await self._post(path, content, key, about, media_type)
            except DeliveryFailed:
                await asyncio.sleep(wait)
                continue
            if answer.status not in (401, 409, 429) and answer.status < 500:
                return answer
            if answer.status == 401:
                self.forget_token()
            await asyncio.sleep(wait)
        return await self._post(path, content, key, about, media_type)

    async def _post(self, path: str, content: bytes, key: str, about: str | None, media_type: str) -> HubAnswer:
        # A proof and a signature are good for one call: each attempt has its own, and all of them the same key.
        headers = {**await self.headers("POST", path, content), "Idempotency-Key": key, "Content-Type": media_type}
        if about is not None and self._signing is not None:
            signature = signatures.sign(self._signing, signatures.ANSWER, content, about, self._issuer, self._clock)
            headers[signatures.HEADER] = signature
        return await self._client.post(path, content=content, headers=headers)

    async def headers(self, method: str, path: str, content: bytes = b"") -> dict[str, str]:
        """Return what one call needs: the token, and a fresh proof for just this method, path with query, and body."""
        token = await self.access_token()
        return {
            "Authorization": f"DPoP {token}",
            "DPoP": self._proof(method, path, token, content),
            "Content-Type": "application/json",
        }

    async def access_token(self) -> str:
        """Return a token that still lasts a while, fetching one where needed; raises ``DeliveryFailed``."""
        async with self._fetching:
            if self._clock() >= self._token_ends - _SPARE:
                form = {
                    "grant_type": "client_credentials",
                    "client_assertion_type": ASSERTION_TYPE,
                    "client_assertion": self._assertion(),
                }
                asked_at = self._clock()
                answer = await self._client.post(
                    "/oauth/token",
                    content=urlencode(form).encode(),
                    headers={"Content-Type": "application/x-www-form-urlencoded"},
                )
                if answer.status != 200:
                    raise DeliveryFailed(f"http.{answer.status}", status=answer.status, body_head=answer.body[:2048])
                granted = json.loads(answer.body)
                self._token, self._token_ends = granted["access_token"], asked_at + granted["expires_in"]
            return self._token

    def forget_token(self) -> None:
        """Let the next call fetch a new token: the hub did not take the last one."""
        self._token_ends = 0.0

    def _proof(self, method: str, path: str, token: str, content: bytes) -> str:
        public = self._key.as_dict(private=False)
        header = {"alg": "ES256", "typ": "dpop+jwt", "jwk": {name: public[name] for name in ("kty", "crv", "x", "y")}}
        path, _, query = path.partition("?")
        claims = {
            "htm": method,
            "htu": self._issuer + path,
            "iat": int(self._clock()),
            "jti": str(uuid.uuid4()),
            "ath": _digest(token.encode()),
        }
        if method != "GET":
            claims["bsh"] = _digest(content)
        elif query:
            claims["qsh"] = _digest(query.encode())
        return jwt.encode(header, claims, self._key, algorithms=["ES256"])

    def _assertion(self) -> str:
        now = int(self._clock())
        header = {"alg": "ES256", "typ": "JWT", "kid": self._key.thumbprint()}
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": self._issuer,
            "iat": now,
            "exp": now + ASSERTION_LASTS,
            "jti": str(uuid.uuid4()),
        }
        return jwt.encode(header, claims, self._key, algorithms=["ES256"])


def _digest(raw: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()
