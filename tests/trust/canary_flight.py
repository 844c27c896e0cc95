"""Plays canaries through every door that takes personal data, in good requests and in bad ones."""

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import steps
import world as worlds
from apis import Api, System
from canary_cast import Bird

from service.models import Task
from workflows.terms import Role

UNKNOWN = str(uuid4())
_REFUSED = 400
_PATHS = (
    "/v1/requests/{}",
    "/v1/requests/{}/reads",
    "/v1/orders/{}",
    "/v1/appeals/{}",
    "/v1/appeals/{}/state",
    "/v1/participants/{}",
    "/v1/policies/{}",
    "/requests/{}",
    "/appeals/{}",
    "/sign-in/{}",
    "/{}",
)


class Flight:
    """One run: what was answered, split into what may be personal (2xx) and what never may (everything else)."""

    def __init__(self, api: Api, draw: random.Random) -> None:
        self.api = api
        self.draw = draw
        self.refusals: list[httpx.Response] = []
        self.addresses: list[str] = []
        self.headers: list[str] = []
        self.telecom = System("viettel-system")

    async def start(self) -> None:
        """Let a telecom join, and let the agency hear of states."""
        await steps.second_officer(self.api.world)
        await self.api.enroll(self.telecom, "viettel", Role.PARTICIPANT_OPERATOR)

    def note(self, answer: httpx.Response) -> httpx.Response:
        """Keep what of an answer is never personal."""
        self.headers.append(json.dumps(list(answer.headers.multi_items())))
        self.addresses.append(answer.headers.get("location", ""))
        if answer.status_code >= _REFUSED:
            self.refusals.append(answer)
        return answer

    async def sign_on(self) -> None:
        """Get new tokens: time has passed."""
        api = self.api
        for system in (api.police, api.bank, api.coordinator, api.admin, self.telecom):
            await api.sign_on(system)

    async def fly(self, bird: Bird) -> None:
        """Plant one bird's identifiers wherever a person's may stand."""
        await self._register(bird)
        held = [await self.filed(body) for body in money(bird)]
        blocked = await self.filed(takedown(bird))
        await self.filed(preserve(bird))
        # The last one stays without an answer: its silence is told to people.
        for request in held[:-1]:
            await self._answer(request, bird)
        await self._appeal(held[0], bird)
        await self._refused_bodies(bird, [*money(bird), takedown(bird), preserve(bird)], held[0])
        await self._wrong_addresses(bird)
        [order] = await self.api.world.orders(UUID(held[1]))
        await self.filed(steps.extend(order, contact=contact(bird)))
        await self.filed(worlds.lift(order["request_id"], contact=contact(bird)))
        for path in (f"/v1/requests/{held[0]}", f"/v1/requests/{blocked}/body", f"/v1/requests/{blocked}/timeline"):
            self.note(await self.api.get(path, self.api.police))
        self.note(await self.api.get("/v1/requests", self.api.police, case_number=bird.account))

    async def _register(self, bird: Bird) -> None:
        api, number = self.api, uuid4().hex[:8]
        officer = {"id": f"officer-{number}", "name": bird.officer, "rank": "dai_uy", "number": number}
        made = await api.post(f"/v1/participants/{worlds.AGENCY}/officers", api.admin, {**officer, "powers": ["order"]})
        assert made.status_code == 201, made.text
        path = "/v1/participants/vietcombank"
        mailbox = {"channel": "email", "purpose": "notices", "address": f"box.{bird.contact_email}"}
        assert self.note(await api.post(f"{path}/endpoints", api.admin, mailbox)).status_code == 201
        roster = {"name": bird.contact, "reached_by": {"channel": "email", "address": bird.contact_email}}
        assert self.note(await api.post(f"{path}/contacts", api.admin, roster)).status_code == 201
        for wrong in ({**officer, "powers": [bird.officer]}, {**officer, "rank": bird.officer, "powers": []}):
            self.note(await api.post(f"/v1/participants/{worlds.AGENCY}/officers", api.admin, wrong))
        for wrong in ({**mailbox, "position": bird.contact_email}, {**mailbox, "url": bird.contact_email}):
            self.note(await api.post(f"{path}/endpoints", api.admin, wrong))
        self.note(await api.post(f"{path}/contacts", api.admin, {**roster, "hours": bird.contact}))

    async def filed(self, body: Mapping[str, Any]) -> str:
        """File a request, approve it where that is needed, and return its id."""
        filed = self.note(await self.api.file(body))
        assert filed.status_code == 201, filed.text
        if filed.json()["state"] == "awaiting_approval":
            path = f"{filed.headers['location']}/approvals"
            second = "second" if body["officer_id"] == "approver" else "approver"
            approved = self.note(await self.api.post(path, self.api.police, {"officer_id": second}))
            assert approved.status_code == 201, approved.text
        found: str = filed.json()["id"]
        return found

    async def _answer(self, request: str, bird: Bird) -> None:
        for order in await self.api.world.orders(UUID(request)):
            path = f"/v1/orders/{order['id']}/acknowledgements"
            for wrong in (
                {"outcome": bird.holder},
                {"outcome": "not_mine", "ported_to": bird.holder},
                {"outcome": "refused", "refusal_code": "other", bird.account: bird.phone},
                {"outcome": "executed", "amount_held": bird.account},
            ):
                self.note(await self.api.post(path, self.api.bank, wrong))
            good = {"outcome": "executed", "amount_held": steps.vnd(1), "reference": bird.account}
            assert self.note(await self.api.post(path, self.api.bank, good)).status_code == 201

    async def _appeal(self, request: str, bird: Bird) -> None:
        api = self.api
        [order] = await api.world.orders(UUID(request))
        about = {"order_id": str(order["id"]), "ground": "wrong_person", "statement": bird.statement}
        person = {"name": bird.appellant, "phone": bird.phone}
        for wrong in (
            {**about, "appellant": person, "ground": bird.appellant},
            {**about, "appellant": {**person, "phone": bird.appellant}},
            {**about, "order_id": UNKNOWN, "appellant": person},
        ):
            self.note(await api.post("/v1/appeals", api.coordinator, wrong))
        filed = self.note(await api.post("/v1/appeals", api.coordinator, {**about, "appellant": person}))
        assert filed.status_code == 201, filed.text
        path = f"/v1/appeals/{filed.json()['id']}"
        reply = {"officer_id": "maker", "text": bird.statement}
        assert self.note(await api.post(f"{path}/answers", api.police, reply)).status_code == 201
        self.note(await api.post(f"{path}/answers", api.police, reply))
        decided = {"officer_id": "approver", "outcome": "upheld", "reason_code": "person_mistaken", "text": bird.note}
        self.note(await api.post(f"{path}/decisions", api.police, {**decided, "reason_code": bird.note}))
        assert self.note(await api.post(f"{path}/decisions", api.police, decided)).status_code == 201

    async def _refused_bodies(self, bird: Bird, bodies: Sequence[Mapping[str, Any]], request: str) -> None:
        api, draw = self.api, self.draw
        for body in bodies:
            for wrong in draw.sample(_wrong(body, bird), 3):
                assert self.note(await api.file(wrong)).status_code >= _REFUSED
            raw = json.dumps(body, ensure_ascii=False).encode()
            content, kind = draw.choice(
                (
                    (raw[:-9], "application/json"),
                    (raw[:-1] + f',"case_number":"{bird.account}"}}'.encode(), "application/json"),
                    (raw, "text/plain"),
                    (raw + b" " * 70_000, "application/json"),
                    (b"\xff" + raw, "application/json"),
                )
            )
            headers = {**api.police.headers, "Content-Type": kind, "Idempotency-Key": uuid4().hex}
            self.note(await api.http.post("/v1/requests", content=content, headers=headers))
            headers = draw.choice(
                (
                    {"Authorization": f"Bearer {bird.account}"},
                    {"Authorization": f"DPoP {bird.account}.{bird.account}.{bird.account}"},
                    {**api.police.headers, "DPoP": f"{bird.account}.e.e"},
                    {**api.police.headers, "Hoatoc-Signature": f"{bird.account}..{bird.account}"},
                    {**api.police.headers, "Idempotency-Key": f"{bird.account} x"},
                )
            )
            self.note(await api.http.post("/v1/requests", json=dict(body), headers=headers))
        withdrawal = {"officer_id": "maker", bird.phone: bird.holder}
        self.note(await api.post(f"/v1/requests/{request}/withdrawals", api.police, withdrawal))

    async def _wrong_addresses(self, bird: Bird) -> None:
        api, draw = self.api, self.draw

        def text() -> str:
            return draw.choice((bird.account, bird.phone, bird.holder, bird.email))

        for path in _PATHS:
            self.note(await api.http.get(path.format(quote(text(), safe="")), headers=api.police.headers))
        for name in ("state", "after", "limit", "submitted_from", "q"):
            self.note(await api.get("/v1/requests", api.police, **{name: text()}))
        self.note(await api.get("/v1/participants", api.admin, q=text()))
        form = {"grant_type": bird.account, "client_assertion_type": bird.holder, "client_assertion": bird.email}
        self.note(await api.http.post("/oauth/token", data=form))

    async def note_on_tasks(self, birds: Sequence[Bird]) -> None:
        """Resolve the tasks that wait, each with a note about a bird."""
        for task, bird in zip(await self.api.world.rows(Task, resolved_at=None), birds, strict=False):
            path = f"/v1/tasks/{task['id']}/resolutions"
            self.note(await self.api.post(path, self.api.coordinator, {"note": bird.note, bird.phone: 1}))
            self.note(await self.api.post(path, self.api.coordinator, {"note": bird.note}))


def contact(bird: Bird) -> dict[str, str]:
    """Whom a participant calls back."""
    return {"name": bird.contact, "phone": bird.contact_phone, "email": bird.contact_email}


def money(bird: Bird) -> list[dict[str, Any]]:
    """A freeze of each kind of money target; one of them of the whole account."""
    about = {"institution": "970436", "holder_name": bird.holder}
    return [
        worlds.freeze(target={"kind": "account", "value": bird.account, **about}, contact=contact(bird)),
        worlds.freeze(target={"kind": "card", "value": bird.card, **about}, contact=contact(bird)),
        {
            **_without_amount(worlds.freeze(target={"kind": "wallet", "value": bird.wallet, **about})),
            "whole_account": {"reason": bird.reason},
            "officer_id": "approver",
            "contact": contact(bird),
        },
        worlds.freeze(
            target={"kind": "account", "value": bird.account, **about},
            contact=contact(bird),
            legal_basis="emergency",
        ),
    ]


def takedown(bird: Bird) -> dict[str, Any]:
    """A takedown of each kind of target."""
    return worlds.takedown(
        {"kind": "phone", "value": bird.phone},
        {"kind": "domain", "value": bird.host},
        contact=contact(bird),
    )


def preserve(bird: Bird) -> dict[str, Any]:
    """An order to keep what is known."""
    about = {"institution": "970436", "holder_name": bird.holder}
    return steps.preserve({"kind": "account", "value": bird.account, **about}, contact=contact(bird))


def _without_amount(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "amount"}


def _wrong(body: Mapping[str, Any], bird: Bird) -> list[dict[str, Any]]:
    """Return bodies that are refused, each with an identifier where none belongs, or beside what is wrong."""
    return [
        {**body, bird.holder: bird.account},
        {**body, "case_number": [bird.account]},
        {**body, "officer_id": bird.officer},
        {**body, "officer_id": "junior"},
        {**body, "action": bird.holder},
        {**body, "contact": {**contact(bird), "phone": bird.contact}},
        {**body, "ends_at": bird.holder},
        {**body, **_beside(body, {"kind": bird.holder})},
        {**body, **_beside(body, {"institution": bird.holder})},
        {**body, **_beside(body, {"value": f"{bird.account} {bird.holder}"})},
    ]


def _beside(body: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    if "target" in body:
        return {"target": {**body["target"], **changes}}
    return {"targets": [{**body["targets"][0], **changes}, *body["targets"][1:]]}
