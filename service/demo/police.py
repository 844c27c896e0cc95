"""A police system of the scene: it files, approves and follows requests over HTTP, as a real one would."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from adapters.sandbox.hub import Hub as TokenHolder
from adapters.transport import HubAnswer, HubClient
from service import clock
from service.demo import cast

# A whole timeline of a hundred orders is longer than an acknowledgement.
_LARGEST = 8 * 1024 * 1024
MAKER, APPROVER, JUNIOR = (person.id for person in cast.OFFICERS)


class Police:
    """The client ``pc02-79-system``; every call carries a fresh access token."""

    def __init__(self, address: str, key: Mapping[str, Any]) -> None:
        self._client = HubClient(address, timeout=30.0, largest=_LARGEST)
        self._tokens = TokenHolder(self._client, cast.POLICE_CLIENT, key, address)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def submit(self, body: Mapping[str, Any], key: str | None = None) -> HubAnswer:
        """File a request."""
        return await self._post("/v1/requests", body, {"Idempotency-Key": key or str(uuid.uuid4())})

    async def approve(self, request_id: str) -> HubAnswer:
        """Approve it as the second officer."""
        return await self._post(f"/v1/requests/{request_id}/approvals", {"officer_id": APPROVER}, {})

    async def read(self, path: str) -> Any:
        """Read a resource as JSON."""
        answer = await self._client.get(path, headers=await self._headers())
        if answer.status != 200:
            raise RuntimeError(f"GET {path}: {answer.status} {answer.body[:300]!r}")
        return json.loads(answer.body)

    async def _post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> HubAnswer:
        content = json.dumps(body, ensure_ascii=False).encode()
        return await self._client.post(path, content=content, headers={**await self._headers(), **headers})

    async def _headers(self) -> dict[str, str]:
        token = await self._tokens.access_token()
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


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
