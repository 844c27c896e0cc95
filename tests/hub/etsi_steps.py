"""A telecom that speaks ETSI TS 103 120 for tests: its messages to the real door, signed as they must be."""

import json
from typing import Any
from uuid import UUID, uuid4

import etsi_schema
import httpx
import world as worlds
from apis import Api, System
from jsonschema import Draft202012Validator

from adapters.etsi import identifiers, messages, terms
from service.security.signatures import Kind

NAME = "viettel"
VALID = Draft202012Validator(etsi_schema.message())
NUMBER = {"kind": "phone", "value": "+84981234567"}


def update(order_id: Any, kind: str, status: str, reason: tuple[int, str] | None = None, **more: Any) -> dict[str, Any]:
    """An action that says something of a task."""
    made = {
        "@xsi:type": kind,
        "ObjectIdentifier": str(order_id),
        "task:Status": terms.entry(terms.STATUS[kind], status),
        **({"task:StatusReason": terms.reason(*reason)} if reason else {}),
        **more,
    }
    return {"UPDATE": {"HI1Object": made}}


def deliver(order_id: Any, **said: str) -> dict[str, Any]:
    """An action that delivers subscriber data."""
    identifier = str(uuid4())
    made = {
        "@xsi:type": terms.DELIVERY,
        "ObjectIdentifier": identifier,
        "delivery:Reference": {"delivery:LDID": identifiers.disclosure(str(order_id))},
        "delivery:Manifest": {"delivery:ExternalSchema": {"delivery:ManifestID": terms.MANIFEST}},
        "delivery:Delivery": {"delivery:JSONData": said},
    }
    return {"DELIVER": {"Identifier": identifier, "HI1Object": made}}


def about(body: Any) -> str | None:
    """The order that a message answers, as its signature must name it; None for one that only reads."""
    try:
        (action,) = body["Payload"]["RequestPayload"]["ActionRequests"]["ActionRequest"]
        if "DELIVER" in action:
            ldid: str = action["DELIVER"]["HI1Object"]["delivery:Reference"]["delivery:LDID"]
            return ldid.removeprefix("VN-HOATOC-")
        made = action["UPDATE"]["HI1Object"]
        return str(made.get("ExternalIdentifier") or made["ObjectIdentifier"])
    except (KeyError, TypeError, ValueError):
        return None


class Telecom:
    """A telecom's system at the door."""

    def __init__(self, api: Api, system: System) -> None:
        self.api, self.system = api, system

    @classmethod
    async def enrolled(cls, api: Api, name: str = NAME) -> "Telecom":
        """Enrol it."""
        return cls(api, await api.enroll(System(f"{name}-{uuid4().hex[:8]}"), name, worlds.Role.PARTICIPANT_OPERATOR))

    def message(self, *actions: dict[str, Any], transaction: str | None = None) -> dict[str, Any]:
        """A request of this telecom's."""
        return messages.request(
            actions,
            sender=self.system.tenant,
            receiver=self.api.hub.settings.address,
            transaction=transaction or str(uuid4()),
            at="2026-11-30T01:05:00.000000Z",
        )

    def sign(self, body: Any, order_id: Any = None) -> dict[str, str]:
        """The header with which it signs a message."""
        raw = json.dumps(body).encode()
        named = order_id or about(body)
        return {"Hoatoc-Signature": self.api.world.sign(Kind.ANSWER, raw, self.system.tenant, named)} if named else {}

    async def post(self, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        """Send a message as it is, signed unless the test brings its own headers."""
        signed = self.sign(body) if headers is None else headers
        return await self.api.http.post("/v1/etsi", json=body, headers={**self.system.headers, **signed})

    async def say(self, *actions: dict[str, Any], transaction: str | None = None) -> dict[str, Any]:
        """Send actions and return the payload of the response, which must be valid by ETSI's schema."""
        return payload(await self.post(self.message(*actions, transaction=transaction)))


def payload(answer: httpx.Response) -> dict[str, Any]:
    """The payload of a response, which must be valid."""
    assert answer.status_code == 200, answer.text
    assert [error.message for error in VALID.iter_errors(answer.json())] == []
    found: dict[str, Any] = answer.json()["Payload"]["ResponsePayload"]
    return found


def only(told: dict[str, Any]) -> dict[str, Any]:
    """The answer to the one action of a message."""
    (action,) = told["ActionResponses"]["ActionResponse"]
    return {name: value for name, value in action.items() if name != "ActionIdentifier"}


def error(told: dict[str, Any]) -> tuple[int, str]:
    """The code and description with which a message, or its one action, was refused."""
    found = told["ErrorInformation"] if "ErrorInformation" in told else only(told)["ErrorInformation"]
    return found["ErrorCode"], found["ErrorDescription"]


async def takedown(api: Api, **target: str) -> dict[str, Any]:
    """A takedown order at the telecom."""
    filed = await api.world.active(worlds.takedown({**NUMBER, **target}))
    (order,) = await api.world.orders(filed.id)
    return order


async def preservation(api: Api, **changes: Any) -> dict[str, Any]:
    """An order to preserve, at the telecom, which two officers signed."""
    body = worlds.freeze(action="preserve", legal_basis="decree_147", targets=[NUMBER], **changes)
    filed = await api.world.active({name: value for name, value in body.items() if name not in {"target", "amount"}})
    (order,) = await api.world.orders(UUID(str(filed.id)))
    return order
