"""A participant's half of the signatures: it checks the hub's hand under an order, and puts its own under an answer."""

import base64
import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import rfc8785
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from adapters.base import DeliveryFailed
from adapters.transport import HubClient

HEADER = "Hoatoc-Signature"
ORDER, ANSWER = "hoatoc-order+jws", "hoatoc-answer+jws"
_KEYS_AT = "/v1/signing-keys"
# The header holds members that no registry of header names knows: when, once, and about what.
_REGISTRY = JWSRegistry(algorithms=["ES256"], strict_check_header=False)


class SignatureRefused(Exception):
    """An order is not signed by the hub; ``reason`` says why not."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class HubKeys:
    """The keys under the hub's orders, fetched when an order names one that is not known yet."""

    def __init__(self, client: HubClient, *, once: bool = False) -> None:
        """Take the way to the hub; with ``once`` the keys are fetched a single time, as no receiver should."""
        self._client = client
        self._once = once
        self._keys: dict[str, ECKey] = {}

    async def verify(self, text: str | None, order_id: str, body: Mapping[str, Any]) -> None:
        """Return if the hub signed exactly this order.

        Raises ``SignatureRefused``, and ``DeliveryFailed`` where the keys cannot be fetched now.
        """
        if not text:
            raise SignatureRefused("missing")
        header, _, signature = text.partition("..")
        try:
            said = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
            kid = str(said["kid"])
        except (ValueError, KeyError, TypeError):
            raise SignatureRefused("malformed") from None
        if (said.get("typ"), said.get("sub")) != (ORDER, order_id):
            raise SignatureRefused("about")
        key = await self.key(kid)
        whole = f"{header}.{_encoded(rfc8785.dumps(dict(body)))}.{signature}"
        try:
            jws.deserialize_compact(whole, key, registry=_REGISTRY)
        except (JoseError, ValueError):
            raise SignatureRefused("invalid") from None

    async def key(self, kid: str) -> ECKey:
        """Return the hub's key of this id; raises as ``verify``."""
        return self._keys.get(kid) or await self._fetched(kid)

    async def _fetched(self, kid: str) -> ECKey:
        if self._once and self._keys:
            raise SignatureRefused("key_unknown")
        answer = await self._client.get(_KEYS_AT, headers={})
        if answer.status != 200:
            raise DeliveryFailed(f"http.{answer.status}", status=answer.status)
        for key in json.loads(answer.body)["keys"]:
            public = {name: key[name] for name in ("kty", "crv", "x", "y")}
            self._keys[key["kid"]] = ECKey.import_key(public)
        if kid not in self._keys:
            raise SignatureRefused("key_unknown")
        return self._keys[kid]


def sign(
    key: ECKey,
    typ: str,
    content: bytes,
    about: str | None,
    audience: str | None,
    clock: Callable[[], float] = time.time,
) -> str:
    """Sign the RFC 8785 form of a JSON text and return the detached signature, good for one use.

    ``audience`` is the issuer of the hub that it is for: it counts at no other. A hub's own signature names none.
    """
    header = {"alg": "ES256", "typ": typ, "kid": key.thumbprint(), "iat": int(clock()), "jti": uuid.uuid4().hex}
    header |= ({"sub": about} if about else {}) | ({"aud": audience} if audience else {})
    whole = jws.serialize_compact(header, rfc8785.dumps(json.loads(content)), key, registry=_REGISTRY)
    protected, _, signature = whole.split(".")
    return f"{protected}..{signature}"


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
