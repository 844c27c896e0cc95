"""An exported bundle proves, with public keys alone, what was filed, approved, ordered and answered."""

import dataclasses
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import appeal_steps
import pytest
import silence_steps
import sqlalchemy as sa
import steps
import world as worlds
from builders import table
from world import World

from service import errors
from service.actions import changes, export_evidence, revoke_key
from service.engine import evidence as bundles
from service.engine.hub import OPERATOR, Hub
from service.models import ActionRequest, AuditEntry
from service.security import evidence, signatures
from service.security.principals import Principal, ScopeMissing, of_person
from service.security.signatures import Kind
from workflows.terms import Action, Role, Sector

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


async def test_an_order_that_names_another_second_officer_than_approved_it_is_found(world: World) -> None:
    order = await steps.held(world)
    bundle = await exported(world, order["request_id"])
    [message] = bundle["requests"][0]["orders"][0]["messages"]
    assert message["body"]["second_officer"] == {"rank": "thieu_ta", "number": "079-approver"}
    message["body"]["second_officer"]["number"] = "079-junior"
    assert "order.agrees: second_officer" in wrong(bundle)
    # Of an earlier build, whose orders did not name him.
    del message["body"]["second_officer"]
    assert not [each for each in wrong(bundle) if each.startswith("order.agrees")]


async def test_a_request_is_found_by_its_reference_and_an_unknown_one_is_not(world: World) -> None:
    order = await steps.held(world)
    [row] = await world.rows(ActionRequest, id=order["request_id"])
    assert json.loads(await bundles.export(world.hub, row["reference"]))["requests"][0]["id"] == str(row["id"])
    for name in ("HT-261124-XXXXXX", "01a20adb-91ca-7d9d-95e5-967a0711cad2", "../etc/passwd"):
        with pytest.raises(errors.NotFound):
            await bundles.export(world.hub, name)


async def test_an_export_is_a_fact_of_the_request_whoever_made_it(world: World) -> None:
    order = await steps.held(world)
    name = str(order["request_id"])
    texts = [await export_evidence.export(world.hub, ADMINISTRATOR, name) for _ in range(2)]
    assert [[check for check in evidence.verify(text) if check.wrong] for text in texts] == [[], []]
    codes = [[fact["code"] for fact in json.loads(text)["requests"][0]["facts"]] for text in texts]
    assert codes[1] == [*codes[0], "evidence.exported"]
    told = [entry for entry in await world.rows(AuditEntry) if entry["code"] == "evidence.exported"]
    assert [json.loads(entry["data"])["sha256"] for entry in told] == [
        hashlib.sha256(text.encode()).hexdigest() for text in texts
    ]
    assert {(entry["actor_id"], entry["tenant"], entry["request_id"]) for entry in told} == {
        ("root", worlds.AGENCY, order["request_id"])
    }
    with pytest.raises(errors.NotFound):
        await export_evidence.export(world.hub, ADMINISTRATOR, "HT-261124-XXXXXX")
    assert (await world.facts(order["request_id"])).count("evidence.exported") == 2
    assert await steps.findings(world) == []


def person(role: Role, tenant: str = worlds.AGENCY, sector: Sector = Sector.AGENCY) -> Principal:
    return of_person("somebody", tenant=tenant, sector=sector, roles=[role])


async def test_of_the_agency_who_approves_and_who_audits_export_and_nobody_of_another_house(world: World) -> None:
    order = await steps.held(world)
    name = str(order["request_id"])
    before = (await world.facts(order["request_id"])).count("evidence.exported")
    for role in (Role.APPROVER, Role.AUDITOR):
        text = await export_evidence.export(world.hub, person(role), name)
        assert [check for check in evidence.verify(text) if check.wrong] == [], role
    assert (await world.facts(order["request_id"])).count("evidence.exported") == before + 2
    for role in (Role.MAKER, Role.READER, Role.AGENCY_ADMIN):
        with pytest.raises(ScopeMissing):
            await export_evidence.export(world.hub, person(role), name)
    # What was disclosed to the agency stands in the file: who watches over the hub does not get it.
    with pytest.raises(ScopeMissing):
        await export_evidence.export(world.hub, person(Role.COORDINATOR, OPERATOR, Sector.HUB), name)
    for other in (
        person(Role.AUDITOR, OPERATOR, Sector.HUB),
        person(Role.AUDITOR, "sbv", Sector.SUPERVISOR),
    ):
        with pytest.raises(errors.NotFound):
            await export_evidence.export(world.hub, other, name)
    with pytest.raises(errors.HubError):
        await export_evidence.export(world.hub, person(Role.APPROVER, "agency-elsewhere"), name)
    assert (await world.facts(order["request_id"])).count("evidence.exported") == before + 2


async def test_what_was_disclosed_is_in_no_file_for_who_may_not_read_it(world: World) -> None:
    told = await silence_steps.ended(world)
    name = str(told["request_id"])
    with pytest.raises(errors.NotFound):
        await export_evidence.export(world.hub, person(Role.AUDITOR), name)
    assert "evidence.exported" not in await world.facts(told["request_id"])
    assert wrong(json.loads(await export_evidence.export(world.hub, person(Role.APPROVER), name))) == []


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
    await appeal_steps.reply(world, contested)
    await appeal_steps.decide(world, contested)
    told["appealed"] = appealed["request_id"]
    taken_back = await world.submit(worlds.freeze())
    await world.withdraw(taken_back.id, "junior")
    told["withdrawn"] = taken_back.id
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


async def test_a_withdrawal_is_proved_by_whoever_signed_it(world: World) -> None:
    filed, twin = await world.submit(worlds.freeze()), await world.submit(worlds.freeze())
    for each in (filed, twin):
        await world.withdraw(each.id, "junior")
    bundle, other = await exported(world, filed.id), await exported(world, twin.id)
    assert wrong(bundle) == []
    assert {officer["id"] for officer in bundle["officers"]} == {"maker", "junior"}
    signature = other["requests"][0]["withdrawal"]["signature"]
    for lie, told in (
        ({"signature": None}, "withdrawal.signature: missing"),
        ({"signature": signature}, "withdrawal.signature: about"),
        ({"signature": bundle["requests"][0]["signature"]}, "withdrawal.signature: type"),
        ({"body": '{"officer_id":"maker"}'}, "withdrawal.signature: invalid"),
        ({"officer_id": "maker"}, "withdrawal.signature: key_unknown"),
        ({"officer_id": "maker"}, "withdrawal.agrees: officer_id"),
    ):
        changed = json.loads(json.dumps(bundle))
        changed["requests"][0]["withdrawal"] |= lie
        assert told in wrong(changed)
    unsigned = json.loads(json.dumps(bundle))
    unsigned["requests"][0]["withdrawal"] = None
    assert "withdrawal.fact: signed" in wrong(unsigned)
    invented = await exported(world, (await steps.held(world))["request_id"])
    invented["requests"][0]["withdrawal"] = bundle["requests"][0]["withdrawal"]
    assert "withdrawal.fact: active, facts" in wrong(invented)


async def test_a_first_answer_to_an_appeal_is_proved_by_whoever_signed_it(world: World) -> None:
    order = await steps.held(world)
    filed = await appeal_steps.file(world, order)
    await appeal_steps.reply(world, filed, "junior")
    bundle = await exported(world, order["request_id"])
    assert wrong(bundle) == []
    [reply] = bundle["requests"][0]["replies"]
    assert json.loads(reply["body"])["text"] == (await appeal_steps.shown(world, filed.id)).answer
    for lie, told in (
        ({"signature": None}, "reply.signature: missing"),
        ({"body": reply["body"].replace("Ch", "ch")}, "reply.signature: invalid"),
        ({"officer_id": "maker"}, "reply.signature: key_unknown"),
        ({"officer_id": "maker"}, "reply.agrees: officer_id"),
        ({"appeal_id": str(order["id"])}, "reply.fact: appeals"),
    ):
        changed = json.loads(json.dumps(bundle))
        changed["requests"][0]["replies"][0] |= lie
        assert told in wrong(changed)
    bundle["requests"][0]["replies"] = []
    assert "reply.fact: appeals" in wrong(bundle)


async def test_what_was_signed_for_another_hub_is_no_evidence_of_this_one(world: World) -> None:
    order = await steps.held(world)
    bundle = await exported(world, order["request_id"])
    of_a_drill = {**bundle, "hub": "https://drill.hoatoc.example.vn"}
    signed = [f"{name}.signature: audience" for name in ("answer", "approval", "request")]
    assert [found for found in wrong(of_a_drill) if found.endswith("audience")] == signed
    # One of them made for a drill is found among those that were not.
    settings = world.hub.settings.model_copy(update={"issuer": "https://drill.hoatoc.example.vn"})
    drill = World(dataclasses.replace(world.hub, settings=settings), keys=world.keys)
    [approval] = bundle["requests"][0]["approvals"]
    raw = await world.filed_bytes(order["request_id"])
    approval["signature"] = drill.sign(Kind.APPROVAL, raw, "approver", order["request_id"])
    assert [found for found in wrong(bundle) if found.startswith("approval")] == ["approval.signature: audience"]


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


def lines_of_the_handbook() -> str:
    """The program with which a judge's own expert checks a file."""
    code = re.search(r"```python\n(.+?)```", (BOOK / "en" / "evidence.md").read_text("utf-8"), re.DOTALL)
    assert code is not None
    return code[1]


def listed(bundle: Bundle) -> list[dict[str, Any]]:
    """The list of keys that somebody gathers from their owners; the hub's as ``GET /v1/signing-keys`` shows them."""
    keys = [{**key["jwk"], "kid": key["kid"], "owner_id": key["owner_id"]} for key in bundle["keys"]]
    return [{name: key[name] for name in key if name != "owner_id" or key[name] != "hoatoc-hub"} for key in keys]


async def test_the_handbooks_own_lines_verify_each_signature_without_our_code(world: World) -> None:
    names: dict[str, Any] = {}
    exec(lines_of_the_handbook(), names)
    order = await steps.held(world)
    contested = await appeal_steps.file(world, order)
    await appeal_steps.reply(world, contested)
    await appeal_steps.decide(world, contested)
    taken_back = await world.submit(worlds.freeze())
    await world.withdraw(taken_back.id)
    told = await silence_steps.ended(world)
    kinds: set[str] = set()
    for request_id in (order["request_id"], taken_back.id, told["request_id"]):
        bundle = await exported(world, request_id)
        keys = {key["kid"]: key["jwk"] for key in bundle["keys"]}
        for kind, _, _, signature, content in names["parts"](bundle):
            kinds.add(kind)
            kid = signatures.key_of(signature)
            assert names["holds"](signature, content, keys[kid])
            assert not names["holds"](signature, {**content, "more": 1}, keys[kid])
            assert not any(names["holds"](signature, content, keys[other]) for other in keys if other != kid)
    assert kinds == {kind.removeprefix("hoatoc-").removesuffix("+jws") for kind in Kind} - {
        *("review", "certification", "archive")
    }


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_handbooks_program_judges_a_file_line_by_line(world: World, tmp_path: Path) -> None:
    order = await steps.held(world)
    bundle = await exported(world, order["request_id"])
    program, file, keys = (tmp_path / name for name in ("judge.py", "evidence.json", "keys.json"))
    program.write_text(lines_of_the_handbook(), "utf-8")

    def judge(shown: Bundle, known: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
        file.write_text(json.dumps(shown), "utf-8")
        keys.write_text(json.dumps(known), "utf-8")
        command = [sys.executable, str(program), str(file), str(keys)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    def verdicts(shown: Bundle, known: list[dict[str, Any]]) -> dict[str, str]:
        done = judge(shown, known)
        assert done.returncode == 0, done.stderr
        return {kind: verdict.strip() for verdict, kind in re.findall(r"^([A-Z ]+|holds) ([a-z]+) ", done.stdout, re.M)}

    good = dict.fromkeys(["request", "approval", "order", "answer", "evidence"], "holds")
    assert verdicts(bundle, listed(bundle)) == good
    told = json.loads(json.dumps(bundle).replace("150000000", "250000000"))
    assert set(verdicts(told, listed(bundle)).values()) == {"WRONG"}
    moved = json.loads(json.dumps(bundle))
    moved["requests"][0]["approvals"][0]["signature"] = bundle["requests"][0]["signature"]
    assert verdicts(moved, listed(bundle))["approval"] == "WRONG"
    elsewhere = {**bundle, "hub": "https://another.example.vn"}
    assert verdicts(elsewhere, listed(bundle)) == {**dict.fromkeys(good, "WRONG"), "order": "holds"}
    for place, key in enumerate(listed(bundle)):
        fewer = [other for other in listed(bundle) if other is not key and other["kid"] != key["kid"]]
        assert "UNKNOWN KEY" in verdicts(bundle, fewer).values()
        renamed = [*fewer, {**key, "owner_id": "somebody"}]
        assert "WRONG" in verdicts(bundle, renamed).values(), place
        typeless = [*fewer, {name: value for name, value in key.items() if name != "kty"}]
        assert "it has no kty" in judge(bundle, typeless).stderr
    unsigned = json.loads(json.dumps(bundle))
    unsigned["requests"][0]["signature"] = None
    assert verdicts(unsigned, listed(bundle))["request"] == "UNSIGNED"


async def test_a_key_without_its_type_is_said_to_lack_it(world: World) -> None:
    order = await steps.held(world)
    bundle = await exported(world, order["request_id"])
    for member in ("kty", "crv", "x", "y"):
        known = [{name: value for name, value in key.items() if name != member} for key in listed(bundle)]
        assert wrong(bundle, known) == [f"keys.elsewhere: no {member}"]
        shorn = json.loads(json.dumps(bundle))
        for key in shorn["keys"]:
            del key["jwk"][member]
        assert "request.signature: key.members" in wrong(shorn)
