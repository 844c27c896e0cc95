"""An exported bundle proves, with public keys alone, what was filed, approved, ordered and answered."""

import json
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import appeal_steps
import pytest
import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from world import World

from service import errors
from service.actions import changes, revoke_key
from service.engine import evidence as bundles
from service.engine.hub import Hub
from service.models import ActionRequest
from service.security import evidence, signatures
from workflows.terms import Action

Bundle = dict[str, Any]
BOOK = Path(__file__).parents[2] / "service" / "handbook"
ADMINISTRATOR = changes.local_administrator("root")


@pytest.fixture
async def world(hub: Hub) -> World:
    made = World(hub)
    await made.settle_in()
    return made


async def exported(world: World, request_id: UUID) -> Bundle:
    read: Bundle = json.loads(await bundles.export(world.hub, str(request_id)))
    return read


def wrong(bundle: Bundle, keys: list[dict[str, Any]] | None = None) -> list[str]:
    """The names of the checks that a bundle fails, each with what is wrong."""
    found = evidence.verify(json.dumps(bundle), keys)
    return sorted({f"{check.name}: {check.wrong}" for check in found if check.wrong})


async def test_a_freeze_with_its_approval_order_and_answer_is_proved(world: World) -> None:
    order = await steps.held(world)
    bundle = await exported(world, order["request_id"])
    names = [check.name for check in evidence.verify(json.dumps(bundle)) if not check.wrong]
    assert wrong(bundle) == []
    for name in ("request.signature", "approval.signature", "order.signature", "answer.signature", "bundle.seal"):
        assert names.count(name) == 1, name
    assert {"audit.chain", "request.four_eyes", "order.agrees", "answer.fact"} <= set(names)
    assert {officer["name"] for officer in bundle["officers"]} == {"Cán bộ mẫu"}
    assert {key["owner_kind"] for key in bundle["keys"]} == {"officer", "participant", "hub"}
    assert wrong(bundle, bundle["keys"]) == []


async def test_a_request_is_found_by_its_reference_and_an_unknown_one_is_not(world: World) -> None:
    order = await steps.held(world)
    [row] = await world.rows(ActionRequest, id=order["request_id"])
    assert json.loads(await bundles.export(world.hub, row["reference"]))["requests"][0]["id"] == str(row["id"])
    for name in ("HT-261124-XXXXXX", "01a20adb-91ca-7d9d-95e5-967a0711cad2", "../etc/passwd"):
        with pytest.raises(errors.NotFound):
            await bundles.export(world.hub, name)


async def test_every_kind_of_story_is_proved(world: World, fast_forward: Callable[..., Awaitable[None]]) -> None:
    """Emergency and review, extension, lift by a request, lift at the end, refusal, partial holds, a ported number."""
    told: dict[str, UUID] = {}
    emergency = await world.submit(steps.emergency())
    await world.review(emergency.id)
    told["emergency"] = emergency.id
    lone = await world.submit(steps.emergency())
    told["unreviewed"] = lone.id
    held = await steps.held(world)
    extension = await world.active(steps.extend(held, days=3))
    [asked] = await world.orders(extension.id)
    await world.answer(asked, outcome="executed")
    told["extension"], told["extended"] = extension.id, held["request_id"]
    lifted = await steps.held(world)
    lift = await world.active(worlds.lift(lifted["request_id"]))
    [let_go] = await world.orders(lift.id)
    await world.answer(let_go, outcome="executed")
    told["lift"], told["lifted"] = lift.id, lifted["request_id"]
    ends_at = ((await steps.now(world)) + timedelta(hours=5)).isoformat()
    partly = await world.active(worlds.freeze(ends_at=ends_at))
    [part] = await world.orders(partly.id)
    await world.answer(part, outcome="received")
    await world.answer(part, outcome="executed", amount_held=steps.vnd(1))
    await world.answer(part, outcome="executed", amount_held=steps.vnd(150_000_000))
    await world.answer(part, outcome="refused", refusal_code="other")
    told["partly"] = partly.id
    wallet = {"kind": "wallet", "value": "+84900000003", "institution": "MoMo", "holder_name": "NGUYEN VAN MAU"}
    refused = await world.active(worlds.freeze(target=wallet))
    [no] = await world.orders(refused.id)
    await world.answer(no, outcome="refused", refusal_code="no_balance")
    told["refused"] = refused.id
    number = await world.active(worlds.takedown({"kind": "phone", "value": "+84980000007"}))
    [ported] = await world.orders(number.id)
    await world.answer(ported, outcome="not_mine", ported_to="vinaphone")
    told["ported"] = number.id
    kept = await world.active(steps.preserve(worlds.freeze()["target"]))
    told["kept"] = kept.id
    await steps.second_officer(world)
    whole = {"whole_account": {"reason": "Tài khoản chỉ dùng để lừa đảo"}, "officer_id": "approver"}
    all_of_it = {name: value for name, value in worlds.freeze(**whole).items() if name != "amount"}
    filed = await world.submit(all_of_it)
    await world.approve(filed.id, "second")
    told["whole"] = filed.id
    appealed = await steps.held(world)
    contested = await appeal_steps.file(world, appealed)
    await appeal_steps.decide(world, contested)
    told["appealed"] = appealed["request_id"]
    await fast_forward(hours=6)
    await world.fire()
    [late] = await world.orders(lone.id)
    await world.answer(late, outcome="lifted")
    await world.answer(part, outcome="lifted")
    waiting = await world.submit(worlds.freeze())
    told["waiting"] = waiting.id
    page, names = (BOOK / "en" / "evidence.md").read_text("utf-8"), set()
    for name, request_id in told.items():
        bundle = await exported(world, request_id)
        names |= {check.name for check in evidence.verify(json.dumps(bundle), bundle["keys"])}
        assert wrong(bundle, bundle["keys"]) == [], name
        assert len(bundle["requests"]) == (2 if name in {"extension", "lift"} else 1), name
    assert len(names) > 25 and {name for name in names if f"`{name}`" not in page} == set()
    messages = (await exported(world, partly.id))["requests"][0]["orders"][0]["messages"]
    assert [message["body"]["action"] for message in messages] == [Action.FREEZE, Action.LIFT]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_whatever_a_file_holds_instead_the_verifier_answers(world: World) -> None:
    """Any part replaced by anything: something is wrong, and nothing breaks."""
    order = await steps.held(world)
    honest = json.dumps(await exported(world, order["request_id"]))
    nested: Any = 1
    for _ in range(200):
        nested = [nested]
    strange = [
        None,
        True,
        7,
        -1.5,
        float("nan"),
        float("inf"),
        2**70,
        "",
        "x",
        "\ud800",
        [],
        [[]],
        {},
        {"a": {}},
        nested,
    ]
    tried = 0
    for path in nodes(json.loads(honest)):
        for value in strange:
            bundle = json.loads(honest)
            parent = bundle
            for step in path[:-1]:
                parent = parent[step]
            if parent[path[-1]] == value:
                continue
            parent[path[-1]] = value
            tried += 1
            assert wrong(bundle), (path, value)
    assert tried > 2_000
    for text in ("", "[]", "null", "{", "\x00", "[" * 100_000, json.dumps({"format": "hoatoc-evidence/1"})):
        assert [check.name for check in evidence.verify(text)] == ["bundle.form"]


async def test_facts_and_bodies_that_hold_strange_json_break_nothing(world: World) -> None:
    order = await steps.held(world)
    honest = json.dumps(await exported(world, order["request_id"]))
    for strange in ("[]", "null", "1", "{", '{"order_id": []}', '{"order_id": {}, "answer_sha256": [1]}', "[" * 5_000):
        bundle = json.loads(honest)
        (request,) = bundle["requests"]
        for fact in request["facts"]:
            fact["data"] = strange
        assert "audit.chain: fact 1 was changed" in wrong(bundle)
        for holder in (request, request["orders"][0]["answers"][0]):
            bundle = json.loads(json.dumps(bundle))
            holder["body"] = strange
            assert wrong(bundle)


def nodes(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = [path] if path else []
    for step, each in inner:
        found += nodes(each, (*path, step))
    return found


async def test_a_key_counts_as_it_was_when_the_signature_was_taken(world: World) -> None:
    order = await steps.held(world)
    await revoke_key.revoke(world.hub, ADMINISTRATOR, worlds.AGENCY, world.keys["maker"].thumbprint())
    later = await exported(world, order["request_id"])
    assert wrong(later) == [], "what it signed before it was revoked stays good"
    filed = later["requests"][0]["facts"][0]["at"]
    for member, instant in (("revoked_at", filed), ("not_after", filed), ("not_before", later["exported_at"])):
        bundle = json.loads(json.dumps(later))
        (key,) = [each for each in bundle["keys"] if each["owner_id"] == "maker"]
        key[member] = instant
        assert any(found.startswith("request.signature: key_") for found in wrong(bundle)), member


async def test_an_unsigned_request_of_former_days_is_said_to_be_unsigned(world: World) -> None:
    order = await steps.held(world)
    requests = table(ActionRequest)
    unsigned = sa.update(requests).where(requests.c.id == order["request_id"]).values(signature=None)

    async def unit(conn: Any) -> None:
        await conn.execute(unsigned)

    await world.hub.database.write(unit)
    bundle = await exported(world, order["request_id"])
    assert wrong(bundle) == ["request.signature: missing"]


async def test_a_list_of_keys_from_elsewhere_must_have_every_key_and_agree(world: World) -> None:
    order = await steps.held(world)
    bundle = await exported(world, order["request_id"])
    plain = [{**key["jwk"], "kid": key["kid"], "owner_id": key["owner_id"]} for key in bundle["keys"]]
    assert wrong(bundle, plain) == []
    assert wrong(bundle, plain[1:]) == ["keys.elsewhere: not in the list"]
    assert wrong(bundle, []) == ["keys.elsewhere: not in the list"]
    for member, value in (("x", plain[0]["y"]), ("owner_id", "another"), ("not_after", "2030-01-01T00:00:00Z")):
        assert wrong(bundle, [{**plain[0], member: value}, *plain[1:]]) == [f"keys.elsewhere: {member}"]


async def test_a_key_that_names_no_owner_is_the_hubs_and_nobody_elses(world: World) -> None:
    order = await steps.held(world)
    bundle = await exported(world, order["request_id"])
    named = [{**key["jwk"], "kid": key["kid"], "owner_id": key["owner_id"]} for key in bundle["keys"]]
    kinds = [key["owner_kind"] for key in bundle["keys"]]
    assert {"hub", "officer"} <= set(kinds)
    for place, kind in enumerate(kinds):
        unnamed = [{**key} for key in named]
        del unnamed[place]["owner_id"]
        assert wrong(bundle, unnamed) == ([] if kind == "hub" else ["keys.elsewhere: unknown owner"]), kind
    nobody = [{**named[kinds.index("officer")], "owner_id": None}]
    assert "keys.elsewhere: owner_id" in wrong(bundle, [*named, *nobody])


async def test_the_handbooks_own_lines_verify_each_signature_without_our_code(world: World) -> None:
    code = re.search(r"```python\n(.+?)```", (BOOK / "en" / "evidence.md").read_text("utf-8"), re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    order = await steps.held(world)
    bundle = await exported(world, order["request_id"])
    keys = {key["kid"]: key["jwk"] for key in bundle["keys"]}
    signed = list(names["parts"](bundle))
    assert len(signed) == 4
    for signature, content in signed:
        kid = signatures.key_of(signature)
        assert names["holds"](signature, content, keys[kid])
        assert not names["holds"](signature, {**content, "more": 1}, keys[kid])
        assert not any(names["holds"](signature, content, keys[other]) for other in keys if other != kid)
