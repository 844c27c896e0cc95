"""Overload: what can wait is told to come back first, urgent requests find their place, and nothing taken is lost."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import browsing
import etsi_steps
import httpx
import pytest
import world as worlds
from apis import Api
from world import AGENCY

from adapters.etsi import terms
from service import errors, i18n
from service.actions import submit_request
from service.engine.hub import OPERATOR
from service.models import ActionRequest
from service.security.signatures import Kind
from service.web.admission import Admission, at_once
from workflows.terms import Role, Urgency

pytest_plugins = ["api_fixtures"]


class Rush:
    """Filings that stand in the hub until they are let go."""

    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        self.api, self.gate, self.begun = api, asyncio.Event(), asyncio.Semaphore(0)
        self.calls: list[asyncio.Task[httpx.Response]] = []
        # What was worked on, in its order.
        self.order: list[Urgency] = []
        real = submit_request.submit

        async def held(*arguments: Any) -> Any:
            self.order.append(arguments[3].urgency)
            self.begun.release()
            await self.gate.wait()
            return await real(*arguments)

        monkeypatch.setattr(submit_request, "submit", held)

    async def begin(self, body: Any, count: int) -> None:
        """Let so many be inside."""
        for _ in range(count):
            call = await self._ask(body)
            assert not call.done(), call.result().text
            self.calls.append(call)

    async def turned_away(self, body: Any, key: str | None = None) -> httpx.Response:
        """Return the answer to one that finds no place; one that does find one fails the test."""
        call = await self._ask(body, key)
        if not call.done():
            self.calls.append(call)
            raise AssertionError("a place was found for it")
        return call.result()

    async def _ask(self, body: Any, key: str | None = None) -> asyncio.Task[httpx.Response]:
        call = asyncio.create_task(self.api.file(body, key))
        begun = asyncio.create_task(self.begun.acquire())
        await asyncio.wait({call, begun}, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        return call

    async def over(self) -> list[httpx.Response]:
        """Let them go on and return what they were answered."""
        self.gate.set()
        return list(await asyncio.gather(*self.calls))


@pytest.fixture
async def rush(api: Api, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rush]:
    """A node that takes three at a time, of them two that can wait."""
    api.app.state.admission = Admission(most=3, most_normal=2)
    made = Rush(api, monkeypatch)
    yield made
    await made.over()


def can_wait() -> Any:
    return worlds.takedown({"kind": "phone", "value": "+84980000007"}, urgency="khan")


async def test_what_can_wait_is_shed_before_what_cannot(api: Api, rush: Rush) -> None:
    await rush.begin(can_wait(), 2)
    shed = await rush.turned_away(can_wait())
    assert (shed.status_code, shed.json()["code"], shed.headers["retry-after"]) == (503, "overloaded", "10")
    await rush.begin(worlds.freeze(), 1)
    full = await rush.turned_away(worlds.freeze())
    assert (full.status_code, full.json()["code"], full.headers["retry-after"]) == (503, "overloaded", "2")
    answers = await rush.over()
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert len(await api.world.rows(ActionRequest)) == 3


async def test_a_place_is_free_again_however_the_filing_ended(api: Api, rush: Rush) -> None:
    rush.gate.set()
    wrong = {**worlds.freeze(), "target": {}}
    for _ in range(4):
        assert (await api.file(wrong)).status_code == 422
        assert (await api.file(worlds.freeze(), who=api.bank)).status_code == 403
    assert api.app.state.admission.inside == 0
    assert (await api.file(worlds.freeze())).status_code == 201


async def test_a_shed_request_may_come_again_with_the_same_key(api: Api, rush: Rush) -> None:
    await rush.begin(worlds.freeze(), 3)
    assert (await rush.turned_away(worlds.freeze(), "the-same-key")).status_code == 503
    await rush.over()
    assert (await api.file(worlds.freeze(), "the-same-key")).status_code == 201


async def test_nobody_needs_a_token_to_be_shed(api: Api, rush: Rush) -> None:
    await rush.begin(worlds.freeze(), 3)
    answer = await api.http.post("/v1/requests", json=worlds.freeze(), headers={"Idempotency-Key": "no-token-key"})
    assert answer.status_code == 503


@pytest.mark.parametrize("body", [[], {}, {"action": 1, "urgency": []}, {"action": "freeze", "urgency": "?"}])
async def test_a_body_that_says_neither_can_wait(api: Api, rush: Rush, body: Any) -> None:
    await rush.begin(can_wait(), 2)
    assert (await rush.turned_away(body)).headers["retry-after"] == "10"


def test_places_are_given_at_once_or_not_at_all() -> None:
    admission = Admission(most=2, most_normal=1)
    with admission.place(urgent=True):
        with pytest.raises(errors.Unavailable), admission.place(urgent=False):
            raise AssertionError("no place is left for it")
        with admission.place(urgent=True):
            assert admission.inside == 2
    assert admission.inside == 0


async def test_who_cannot_wait_is_worked_on_first(api: Api, rush: Rush) -> None:
    admission = api.app.state.admission = Admission(most=9, most_normal=9, at_once=1)
    await rush.begin(can_wait(), 1)
    for inside, body in enumerate([can_wait(), worlds.freeze(), can_wait()], start=2):
        rush.calls.append(asyncio.create_task(api.file(body)))
        while admission.inside < inside:  # noqa: ASYNC110 - the loop turns until it stands in line
            await asyncio.sleep(0)
    answers = await rush.over()
    assert [answer.status_code for answer in answers] == [201] * 4
    assert rush.order == [Urgency.KHAN, Urgency.HOA_TOC, Urgency.KHAN, Urgency.KHAN]


@pytest.mark.parametrize("door", ["/v1/iso20022", f"/v1/orders/{UUID(int=1)}/acknowledgements"])
async def test_an_answer_waits_for_its_turn_and_is_told_when_it_waits_too_long(api: Api, door: str) -> None:
    admission = api.app.state.admission = Admission(at_once=1, patience=0)
    body: Any = {"content": b"<x/>", "headers": {"Content-Type": "application/xml"}} if "iso" in door else {"json": {}}
    assert (await api.http.post(door, **body)).status_code == 401
    async with admission.answering():
        answer = await api.http.post(door, **body)
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "overloaded", "2")
    assert (await api.http.post(door, **body)).status_code == 401


async def test_of_an_etsi_message_only_what_answers_waits_for_a_turn(api: Api) -> None:
    telecom = await etsi_steps.Telecom.enrolled(api)
    order = await etsi_steps.takedown(api)
    admission = api.app.state.admission = Admission(at_once=1, patience=0)
    answer = telecom.message(etsi_steps.update(order["id"], terms.TAKEDOWN, "Resolved"))
    async with admission.answering():
        assert (await telecom.post(telecom.message({"LIST": {}}))).status_code == 200
        assert (await telecom.post(answer)).status_code == 503
    assert (await telecom.post(answer)).status_code == 200


@pytest.mark.parametrize("door", ["approvals", "reviews", "callbacks"])
async def test_what_places_orders_of_a_request_of_before_waits_for_a_turn_of_the_filings(api: Api, door: str) -> None:
    admission = api.app.state.admission = Admission(most=1, most_normal=1, at_once=1, patience=0)
    at = f"/v1/requests/{UUID(int=1)}/{door}"
    async with admission.filing(urgent=False):
        answer = await api.http.post(at, json={})
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "overloaded", "2")
        async with admission.answering():
            pass
    # Whoever came to a full house found no place, and needs none.
    with admission.place(urgent=True):
        assert (await api.http.post(at, json={})).status_code == 401


@pytest.mark.parametrize(
    ("role", "who", "person", "door", "otherwise"),
    [
        (Role.APPROVER, AGENCY, "approver", "approve", 403),
        (Role.COORDINATOR, OPERATOR, "tran-lan-thu", "callbacks", 409),
    ],
)
async def test_at_the_console_too(api: Api, role: Role, who: str, person: str, door: str, otherwise: int) -> None:
    page = f"/requests/{(await api.file(worlds.freeze())).json()['id']}"
    form: dict[str, str] = {"kind": Kind.APPROVAL, "outcome": "confirmed"}
    async with browsing.signed_in(api.world.hub, role, who, person) as somebody:
        way: Any = somebody.http._transport
        admission = way.app.state.admission = Admission(at_once=1, patience=0)
        async with admission.filing(urgent=False):
            told = await somebody.post(f"{page}/{door}", page, status=503, **form)
        assert i18n.text("errors.overloaded.detail", "vi") in told
        await somebody.post(f"{page}/{door}", page, status=otherwise, **form)


async def test_of_answers_no_more_stand_in_line_than_there_are_places() -> None:
    admission = Admission(most=2, most_normal=1, at_once=1)

    async def answer() -> None:
        async with admission.answering():
            pass

    async with admission.answering():
        waiting = [asyncio.create_task(answer()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(errors.Unavailable) as told:
            await answer()
        assert told.value.retry_after == 2
    await asyncio.gather(*waiting)
    await answer()


async def test_a_place_is_free_again_where_no_turn_came_and_answers_have_turns_of_their_own() -> None:
    admission = Admission(most=3, most_normal=3, at_once=1, patience=0)
    async with admission.filing(urgent=True):
        for urgent, back in ((False, 10), (True, 2)):
            with pytest.raises(errors.Unavailable) as told:
                async with admission.filing(urgent=urgent):
                    raise AssertionError("no turn was free")
            assert told.value.retry_after == back
        assert admission.inside == 1
        async with admission.answering():
            pass
    assert admission.inside == 0


@pytest.mark.parametrize(("connections", "turns"), [(2, 1), (4, 1), (10, 4), (50, 24)])
def test_two_connections_are_left_to_those_who_need_no_turn(connections: int, turns: int) -> None:
    assert at_once(connections) == turns
