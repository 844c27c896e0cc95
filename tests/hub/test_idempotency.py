"""One key is one request: repeated, at once from everywhere, after a broken commit and after a lost answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import world as worlds
from builders import make_hub, table
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from world import World

from service import clock, db, errors
from service.actions import idempotency, references, submit_request
from service.engine.hub import Hub
from service.models import ActionRequest, Case, IdempotencyKey, Order, SpentIdentifier, Target
from service.security.signatures import Kind
from workflows.terms import RequestState


@pytest.fixture
async def world(hub: Hub) -> World:
    """A settled network."""
    made = World(hub)
    await made.settle_in()
    return made


@pytest.fixture
async def other_node(hub: Hub, database_url: str | None, tmp_path: Path) -> AsyncIterator[Hub]:
    """A second node on the same PostgreSQL; SQLite has one process, so there it is the same hub."""
    if database_url is None:
        yield hub
        return
    made = make_hub(database_url, tmp_path, node="node-b")
    yield made
    await made.database.close()


async def submit(world: World, hub: Hub, body: dict[str, Any], key: str) -> submit_request.Submitted:
    raw = json.dumps(body).encode()
    signature = world.sign(Kind.REQUEST, raw, body["officer_id"])
    return await submit_request.submit(hub, world.police, key, worlds.SUBMIT.validate_python(body), raw, signature)


async def test_the_same_key_and_body_get_the_first_answer_even_when_the_request_has_moved_on(world: World) -> None:
    first = await submit(world, world.hub, worlds.freeze(), "key-0001")
    await world.approve(first.answer.id)
    again = await submit(world, world.hub, worlds.freeze(), "key-0001")
    assert (first.repeated, again.repeated) == (False, True)
    assert again.answer == first.answer
    assert again.answer.state is RequestState.AWAITING_APPROVAL
    assert len(await world.rows(ActionRequest)) == 1


async def test_the_same_key_with_another_body_is_refused_and_writes_nothing(world: World) -> None:
    await submit(world, world.hub, worlds.freeze(), "key-0001")
    for other in (worlds.freeze(case_number="02/2026/CA"), worlds.freeze(officer_id="junior")):
        with pytest.raises(errors.InvalidInput) as refused:
            await submit(world, world.hub, other, "key-0001")
        assert [(error.field, error.code) for error in refused.value.fields] == [
            ("Idempotency-Key", "idempotency_key.reused")
        ]
    assert len(await world.rows(ActionRequest)) == len(await world.rows(Case)) == 1


async def test_a_key_belongs_to_its_client(world: World) -> None:
    first = await submit(world, world.hub, worlds.freeze(), "key-0001")
    other = worlds._principal("other-system", worlds.AGENCY, worlds.Sector.AGENCY, worlds.Role.MAKER)
    raw = json.dumps(worlds.freeze()).encode()
    second = await submit_request.submit(
        world.hub,
        other,
        "key-0001",
        worlds.SUBMIT.validate_python(worlds.freeze()),
        raw,
        world.sign(Kind.REQUEST, raw, "maker"),
    )
    assert second.answer.id != first.answer.id


async def test_what_was_refused_does_not_use_up_its_key(world: World) -> None:
    with pytest.raises(errors.Forbidden):
        await submit(world, world.hub, worlds.freeze(officer_id="junior"), "key-0001")
    with pytest.raises(errors.InvalidInput):
        await submit(world, world.hub, worlds.freeze(ends_at="2020-01-01T00:00:00Z"), "key-0001")
    assert await world.rows(IdempotencyKey) == []
    assert not (await submit(world, world.hub, worlds.freeze(), "key-0001")).repeated


async def test_sixty_four_copies_at_one_instant_make_one_request(world: World, other_node: Hub) -> None:
    body = worlds.freeze(legal_basis="emergency")
    done = await asyncio.gather(
        *(submit(world, hub, body, "key-0001") for _ in range(32) for hub in (world.hub, other_node))
    )
    assert len({submitted.answer.id for submitted in done}) == 1
    assert sum(not submitted.repeated for submitted in done) == 1
    for model in (ActionRequest, Case, Target, Order, IdempotencyKey):
        assert len(await world.rows(model)) == 1


async def test_a_retry_that_overtakes_the_first_answer_gets_it_and_no_word_of_a_spent_signature(
    world: World, other_node: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = json.dumps(worlds.freeze()).encode()
    signature = world.sign(Kind.REQUEST, raw, "maker")
    body = worlds.SUBMIT.validate_python(worlds.freeze())

    async def send(hub: Hub, key: str = "key-0001") -> submit_request.Submitted:
        return await submit_request.submit(hub, world.police, key, body, raw, signature)

    done = await asyncio.gather(*(send(hub) for _ in range(16) for hub in (world.hub, other_node)))
    assert len({submitted.answer.id for submitted in done}) == 1
    assert sum(not submitted.repeated for submitted in done) == 1
    # The same on every database: the retry looks before the first is committed, and finds its signature spent.
    looks = iter([True])
    earlier = idempotency.earlier

    async def too_early(*arguments: Any) -> dict[str, Any] | None:
        return None if next(looks, False) else await earlier(*arguments)

    monkeypatch.setattr(idempotency, "earlier", too_early)
    again = await send(other_node)
    assert (again.repeated, again.answer) == (True, done[0].answer)
    with pytest.raises(errors.Forbidden, match=r"signature\.spent"):
        await send(world.hub, "key-0002")
    assert len(await world.rows(ActionRequest)) == 1


async def test_many_requests_at_one_instant_share_their_case_and_each_is_filed(world: World, other_node: Hub) -> None:
    body = worlds.freeze()
    done = await asyncio.gather(
        *(submit(world, hub, body, f"key-{number:04}") for number in range(12) for hub in (world.hub, other_node))
    )
    assert len({submitted.answer.id for submitted in done}) == 12
    assert len({submitted.answer.reference for submitted in done}) == 12
    assert len(await world.rows(Case)) == 1
    assert len(await world.rows(ActionRequest)) == len(await world.rows(Target)) == 12


async def test_a_reference_that_is_taken_is_drawn_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter("AAAAAA" + "AAAAAA" + "BBBBBB")
    monkeypatch.setattr(references.secrets, "choice", lambda _: next(drawn))
    given = [(await submit(world, world.hub, worlds.freeze(), f"key-000{n}")).answer.reference for n in range(2)]
    assert [reference[-6:] for reference in given] == ["AAAAAA", "BBBBBB"]


async def test_what_a_constraint_refuses_is_known_by_its_name_and_by_nothing_that_somebody_wrote(hub: Hub) -> None:
    row = {"issuer": "uq_cases_tenant_number", "identifier": "cases.number", "expires_at": clock.utc_now()}

    async def unit(conn: AsyncConnection) -> None:
        for _ in range(2):
            await db.insert_rows(conn, table(SpentIdentifier), [row])

    with pytest.raises(IntegrityError), db.refused_as(KeyError, "uq_cases_tenant_number", "cases.number"):
        await hub.writer.run(unit, reach=db.HUB)
    with pytest.raises(KeyError), db.refused_as(KeyError, "pk_spent_identifiers", "spent_identifiers.issuer"):
        await hub.writer.run(unit, reach=db.HUB)
