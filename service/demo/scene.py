"""The scene, step by step: each step files what the police would file and waits until the hub's own reads show it."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from service import clock
from service.demo import cast, police, proving
from service.demo.police import Police
from service.demo.telling import Teller
from service.settings import Settings

_PATIENCE = 60.0


class NotSeen(Exception):
    """A step of the scene did not happen in time."""


@dataclass
class Scene:
    """One performance: the requests filed so far by name, and how long things took."""

    police: Police
    tell: Teller
    settings: Settings
    ids: dict[str, str] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)

    async def play(self) -> None:
        """Play every step; raises ``NotSeen`` for the first that does not happen."""
        await self._freeze_in_full()
        await self._follow_the_money()
        await self._freeze_at_a_silent_bank()
        await self._hold_with_an_end()
        await self._ported_number()
        await self._takedown()
        await self._lift_the_first()
        await self._duplicate()
        await self._refused_by_authority()
        await self._money_that_came_later()
        await self._hold_ended()
        await self._takedown_done()
        await self._escalated()
        await self._proved()

    async def timelines(self) -> None:
        """Print the story of each request."""
        for name, request_id in self.ids.items():
            self.tell.timeline(name, await self.police.read(f"/v1/requests/{request_id}/timeline"))

    async def first_scene(self) -> None:
        """The shorter scene of ``make run``: an executed freeze, a partial one, and a bank that stays silent."""
        await self._freeze_in_full()
        await self._follow_the_money()
        await self._freeze_at_a_silent_bank()
        await self._money_that_came_later()
        await self._escalated()

    async def _freeze_in_full(self) -> None:
        self.tell.step("1. One officer files a freeze of 150.000.000 ₫ at Vietcombank; a second one approves it")
        began = clock.monotonic()
        request = await self._file("freeze at bank A", police.freeze(cast.ACCOUNT_A, "970436"))
        self.tell.say("  the second officer reads it before he signs …")
        await asyncio.sleep(1.0)
        await self._approve(request)
        await self._until("Vietcombank holds all of it", self._holds(request, "vietcombank", cast.AMOUNT))
        self.took["freeze"] = clock.monotonic() - began

    async def _follow_the_money(self) -> None:
        self.tell.step("2. The same money has moved on to Techcombank, which holds a part of it, and later more")
        request = await self._file("freeze at bank B", police.freeze(cast.ACCOUNT_B, "Techcombank"))
        await self._approve(request)
        await self._until("Techcombank holds 60.000.000 ₫", self._holds(request, "techcombank", 60_000_000))

    async def _money_that_came_later(self) -> None:
        request = self.ids["freeze at bank B"]
        await self._until("Techcombank holds all of it now", self._holds(request, "techcombank", cast.AMOUNT))

    async def _freeze_at_a_silent_bank(self) -> None:
        self.tell.step("3. A freeze at BIDV, which takes the order and stays silent: the ladder will climb")
        request = await self._file("freeze at bank C, silent", police.freeze(cast.ACCOUNT_C, "BIDVVNVX"))
        await self._approve(request)

    async def _escalated(self) -> None:
        self.tell.step("Still open from step 3: the silent bank is escalated rung by rung, up to the State Bank")
        request = self.ids["freeze at bank C, silent"]

        async def rungs() -> bool:
            page = await self.police.read(f"/v1/escalations?request_id={request}&limit=50")
            fired = {item["rung"]: item for item in page["items"] if item["stage"] == "execute"}
            called = {entry["participant_id"] for entry in fired.get(3, {}).get("reached", []) if entry["contacts"]}
            return set(fired) == {1, 2, 3} and "sbv" in called

        await self._until("rungs 1, 2 and 3 fired; the third called the State Bank of Vietnam", rungs)

    async def _hold_with_an_end(self) -> None:
        self.tell.step("4. A hold of seconds on a MoMo wallet: when its end comes, it is lifted by itself")
        ends_at = (clock.utc_now() + timedelta(seconds=8)).isoformat()
        request = await self._file(
            "hold that ends by itself",
            police.freeze(cast.WALLET, "MoMo", kind="wallet", amount=5_000_000, ends_at=ends_at),
        )
        await self._approve(request)
        await self._until("MoMo holds it", self._holds(request, "momo", 5_000_000))

    async def _hold_ended(self) -> None:
        request = self.ids["hold that ends by itself"]
        await self._until("the hold on the wallet ended and MoMo confirmed the lift", self._in_state(request, "lifted"))

    async def _ported_number(self) -> None:
        self.tell.step("5. A phone number with a Viettel prefix: Viettel says it was ported, the order goes on")
        targets = [{"kind": "phone", "value": cast.PORTED_PHONE}]
        request = await self._file("block of a ported number", police.takedown(targets))

        async def moved() -> bool:
            states = await self._states(request)
            return states == {"viettel": {"rerouted"}, "vinaphone": {"executed"}}

        await self._until("Viettel: not mine; VinaPhone blocked it", moved)

    async def _takedown(self) -> None:
        self.tell.step("6. A takedown of 100 scam domains at FPT Telecom, which refuses one with a reason")
        targets = [{"kind": "domain", "value": host} for host in cast.scam_hosts()]
        await self._file("takedown of 100 domains", police.takedown(targets))

    async def _takedown_done(self) -> None:
        request = self.ids["takedown of 100 domains"]

        async def done() -> bool:
            detail = await self.police.read(f"/v1/requests/{request}")
            refusals = [order["refusal_code"] for order in detail["order_list"] if order["refusal_code"]]
            return detail["orders"] == {"executed": 99, "refused": 1} and refusals == ["target_legitimate"]

        await self._until("99 domains blocked, one refused as legitimate", done)

    async def _lift_the_first(self) -> None:
        self.tell.step("7. The first freeze is lifted by one officer: nobody has to sign a second time")
        began = clock.monotonic()
        original = self.ids["freeze at bank A"]
        lift = await self._file("lift of the first freeze", police.demand("lift", original_request_id=original))
        await self._until("Vietcombank let go", self._in_state(original, "lifted"))
        self.took["lift"] = clock.monotonic() - began
        needed = (await self.police.read(f"/v1/requests/{lift}"))["approvals_needed"]
        if needed != 1:
            raise NotSeen(f"the lift needed {needed} officers")
        self.tell.say(f"  the freeze took {self.took['freeze']:.2f} s, the lift {self.took['lift']:.2f} s", "green")

    async def _duplicate(self) -> None:
        self.tell.step("8. The same request is sent twice under one idempotency key: one request, one answer")
        body, key = police.freeze("9990000099999", "VCB", amount=1_000_000), str(uuid.uuid4())
        first, second = await self.police.submit(body, key), await self.police.submit(body, key)
        if first.status != 201 or second.status != 201 or json.loads(first.body) != json.loads(second.body):
            raise NotSeen(f"the duplicate was answered otherwise: {first.status} {second.status}")
        self.tell.say(f"  ✓ both answers are {json.loads(first.body)['reference']}", "green")

    async def _refused_by_authority(self) -> None:
        self.tell.step("9. A lieutenant demands what his rank may not: the authority rules refuse it")
        body = police.freeze(cast.ACCOUNT_A, "970436", officer_id=police.JUNIOR)
        answer = await self.police.submit(body)
        problem = json.loads(answer.body)
        if answer.status != 403 or not problem["code"].startswith("authority."):
            raise NotSeen(f"it was not refused: {answer.status} {problem}")
        self.tell.say(f"  ✓ 403 {problem['code']}: {problem['detail']}", "green")

    async def _proved(self) -> None:
        self.tell.step("10. One file proves the lifted freeze to a court: exported, and verified where no hub is")
        path = await proving.export(self.settings, self.ids["lift of the first freeze"], "evidence")
        holds, told = await proving.verify(path)
        if not holds:
            raise NotSeen(f"the evidence does not hold: {told}")
        self.tell.say(f"  ✓ the evidence holds, with public keys alone: {told}", "green")
        holds, told = await proving.verify(proving.tamper(path, cast.ACCOUNT_A, cast.ACCOUNT_B))
        if holds:
            raise NotSeen("another account in the evidence was not found")
        self.tell.say(f"  ✓ another account in it is found: {' '.join(told.split()[1:3])}", "green")

    async def _file(self, name: str, body: dict[str, Any]) -> str:
        answer = await self.police.submit(body)
        if answer.status != 201:
            raise NotSeen(f"{name}: {answer.status} {answer.body.decode()[:500]}")
        filed = json.loads(answer.body)
        self.ids[name] = filed["id"]
        to = ", ".join(filed["recipients"]) or "–"
        self.tell.say(f"  {filed['reference']}: {filed['state']}; for {to}")
        if filed["unreachable"]:
            names = ", ".join(entry["participant_id"] for entry in filed["unreachable"])
            self.tell.say(f"  known but not connected, each a task for a coordinator: {names}", "yellow")
        return str(filed["id"])

    async def _approve(self, request_id: str) -> None:
        answer = await self.police.approve(request_id)
        if answer.status != 201:
            raise NotSeen(f"the approval was refused: {answer.status} {answer.body.decode()[:500]}")
        self.tell.say("  approved by the second officer: active")

    async def _until(self, what: str, seen: Callable[[], Awaitable[bool]]) -> None:
        until = clock.monotonic() + _PATIENCE
        while not await seen():
            if clock.monotonic() > until:
                raise NotSeen(f"not seen within {_PATIENCE:.0f} s: {what}")
            await asyncio.sleep(0.1)
        self.tell.say(f"  ✓ {what}", "green")

    def _holds(self, request_id: str, participant: str, amount: int) -> Callable[[], Awaitable[bool]]:
        async def seen() -> bool:
            detail = await self.police.read(f"/v1/requests/{request_id}")
            return any(
                order["participant_id"] == participant
                and order["state"] in {"executed", "lifted"}
                and order["amount_held"] is not None
                and int(order["amount_held"]["value"]) >= amount
                for order in detail["order_list"]
            )

        return seen

    def _in_state(self, request_id: str, state: str) -> Callable[[], Awaitable[bool]]:
        async def seen() -> bool:
            states = await self._states(request_id)
            return bool(states) and all(found == {state} for found in states.values())

        return seen

    async def _states(self, request_id: str) -> dict[str, set[str]]:
        detail = await self.police.read(f"/v1/requests/{request_id}")
        states: dict[str, set[str]] = {}
        for order in detail["order_list"]:
            states.setdefault(order["participant_id"], set()).add(order["state"])
        return states
