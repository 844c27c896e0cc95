"""A police system of the scene: it files, approves and follows requests over HTTP, as a real one would."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from joserfc.jwk import ECKey

from adapters.sandbox import signatures
from adapters.sandbox.hub import Hub as TokenHolder
from adapters.transport import HubAnswer, HubClient
from service import clock
from service.demo import cast
from service.security.signatures import Kind

# A whole timeline of a hundred orders is longer than an acknowledgement.
_LARGEST = 8 * 1024 * 1024
MAKER, APPROVER, JUNIOR = (person.id for person in cast.OFFICERS)


class Police:
    """A police system, of the scene ``pc02-79-system``; every call carries an access token and a proof of its own.

    Its officers sign what they file and approve. Here one system keeps all their keys, to play them all; a real one
    has none: each officer's key is on a device of his own.
    """

    def __init__(
        self,
        address: str,
        key: Mapping[str, Any],
        officer_keys: Mapping[str, Mapping[str, Any]],
        *,
        client: str = cast.POLICE_CLIENT,
        approver: str = APPROVER,
        issuer: str | None = None,
    ) -> None:
        """``issuer`` is the hub's issuer string where it is not the ``address`` at which it is called."""
        self._issuer = issuer or address
        self._client = HubClient(address, timeout=30.0, largest=_LARGEST)
        self._tokens = TokenHolder(self._client, client, key, self._issuer)
        self._approver = approver
        self._officers = {officer: ECKey.import_key(dict(jwk)) for officer, jwk in officer_keys.items()}

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def submit(self, body: Mapping[str, Any], key: str | None = None) -> HubAnswer:
        """File a request, signed by the officer that it names."""
        content = json.dumps(body, ensure_ascii=False).encode()
        signature = signatures.sign(self._officers[body["officer_id"]], Kind.REQUEST, content, None, self._issuer)
        headers = {"Idempotency-Key": key or str(uuid.uuid4()), signatures.HEADER: signature}
        return await self._post("/v1/requests", content, headers)

    async def approve(self, request_id: str) -> HubAnswer:
        """Approve it as the second officer, who signs the very bytes that the first one signed."""
        received = await self._get(f"/v1/requests/{request_id}/body")
        signature = signatures.sign(self._officers[self._approver], Kind.APPROVAL, received, request_id, self._issuer)
        content = json.dumps({"officer_id": self._approver, "signature": signature}).encode()
        return await self._post(f"/v1/requests/{request_id}/approvals", content, {})

    async def read(self, path: str) -> Any:
        """Read a resource as JSON."""
        return json.loads(await self._get(path))

    async def _get(self, path: str) -> bytes:
        answer = await self._client.get(path, headers=await self._tokens.headers("GET", path))
        if answer.status != 200:
            raise RuntimeError(f"GET {path}: {answer.status} {answer.body[:300]!r}")
        return answer.body

    async def _post(self, path: str, content: bytes, headers: Mapping[str, str]) -> HubAnswer:
        proven = await self._tokens.headers("POST", path, content)
        return await self._client.post(path, content=content, headers={**proven, **headers})


def demand(action: str, **changes: Any) -> dict[str, Any]:
    """The common part of the scene's requests."""
    return {
        "case_number": "2026/PC02-0417",
        "action": action,
        "urgency": "hoa_toc",
        "legal_basis": "decree_52_11",
        "officer_id": MAKER,
        "document": {"number": "417/YC-PC02", "date": f"{clock.utc_now():%Y-%m-%d}", "sha256": "5e" * 32},
        "contact": {"name": "Trực ban PC02 Công an TP. Hồ Chí Minh", "phone": "+842838387777"},
        **changes,
    }


def freeze(account: str, institution: str, *, amount: int = cast.AMOUNT, kind: str = "account", **changes: Any) -> Any:
    """A freeze of an amount on one account or wallet; the holder is made up."""
    target = {"kind": kind, "value": account, "institution": institution, "holder_name": "NGUYEN VAN MAU"}
    return demand("freeze", target=target, amount={"value": str(amount), "currency": "VND"}, **changes)


def takedown(targets: list[dict[str, str]], **changes: Any) -> Any:
    """A block of numbers or names."""
    return demand("takedown", legal_basis="decree_147", measure="block", targets=targets, **changes)
