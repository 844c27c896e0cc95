"""Erasure: by two people, of what has ended, with its facts kept; what everybody is shown, and after a restore."""

import asyncio
import contextlib
import hashlib
import json
import logging
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import appeal_steps
import opening
import pytest
import registry_forms as forms
import sqlalchemy as sa
import steps
import world as worlds
from apis import Api
from builders import MASTER, table
from typer.testing import CliRunner, Result
from world import World

from service import audit, cli, clock, errors
from service.actions import changes, enroll_client, erase_request
from service.cli import context
from service.db import Database
from service.engine import erasing, erasures, evidence, retaining
from service.engine.erasing import Decided
from service.engine.hub import OPERATOR, Hub
from service.models import (
    Acknowledgement,
    ActionRequest,
    Approval,
    Attempt,
    AuditEntry,
    Dispatch,
    Erasure,
    IdempotencyKey,
    Order,
    QueueItem,
    SubjectKey,
    Target,
    Task,
)
from service.queries import erasures as matches
from service.queries import inbox, requests
from service.schemas.common import ERASED
from service.schemas.registry import NewClient
from service.security import keyfile
from service.security.keyring import SigningKey
from service.security.principals import ScopeMissing
from service.vault import Erased
from workflows.terms import DispatchKind, DispatchState, OrderState, Role, TargetKind

pytest_plugins = ["api_fixtures"]

ASKER, CONFIRMER = changes.local_administrator("nguoi-hoi"), forms.administrator("nguoi-xac-nhan")
WHY = Decided("15/QD-XOA", "a", datetime(2026, 11, 29, tzinfo=UTC), "b")
ACCOUNT = "9990001112223"


@pytest.fixture
async def world(hub: Hub) -> World:
    made = World(hub)
    await made.settle_in()
    await forms.enrolled(hub, CONFIRMER)
    return made


async def over(world: World) -> dict[str, Any]:
    """A freeze that was executed and lifted, everything delivered; returns its order."""
    order = await steps.held(world)
    lifted = await world.active(worlds.lift(order["request_id"]))
    [lift] = await world.orders(lifted.id)
    await world.answer(lift, outcome="lifted")
    await arrive(world)
    return order


async def arrive(world: World) -> None:
    async def unit(conn: Any) -> None:
        await conn.execute(sa.delete(table(QueueItem)))
        await conn.execute(sa.update(table(Dispatch)).values(state=DispatchState.DELIVERED))
        await conn.execute(sa.update(table(Task)).values(resolved_at=sa.func.hub_now()))

    await world.hub.writer.run(unit)


async def erase(world: World, request_id: UUID) -> int:
    await erase_request.ask(world.hub, ASKER, str(request_id), "15/QD-XOA")
    return await erase_request.confirm(world.hub, CONFIRMER, str(request_id))


async def test_what_is_in_force_or_under_way_is_not_erased(world: World) -> None:
    order = await steps.held(world)
    assert await _refused(world, order) == "erasure.not_ended"
    for model, state in ((ActionRequest, "closed"), (Order, OrderState.LIFTED)):
        await _set(world, model, state)
    assert await _refused(world, order) == "erasure.under_way", "its order waits to be delivered"
    assert await erasing.run(world.hub, order["request_id"], world.hub.actor, WHY) == 0
    [key] = await world.rows(SubjectKey, id=order["request_id"])
    assert key["wrapped"] and await world.rows(Erasure) == []


async def _refused(world: World, order: dict[str, Any]) -> str:
    with pytest.raises(errors.Conflict) as refused:
        await erase_request.ask(world.hub, ASKER, str(order["request_id"]), "15/QD-XOA")
    return refused.value.code


async def _set(world: World, model: Any, state: str) -> None:
    await world.hub.writer.run(lambda conn: conn.execute(sa.update(table(model)).values(state=state)))


async def test_a_hold_that_still_stands_is_not_erased_though_its_request_is_closed(world: World) -> None:
    order = await steps.held(world)
    await arrive(world)
    await _set(world, ActionRequest, "closed")
    async with world.hub.database.read() as conn:
        assert await erasing.obstacle(conn, [order["request_id"]]) == "erasure.not_ended"


async def test_an_erasure_takes_two_people(world: World) -> None:
    order = await over(world)
    name = str(order["request_id"])
    with pytest.raises(errors.Conflict) as nobody:
        await erase_request.confirm(world.hub, CONFIRMER, name)
    asker = await forms.enrolled(world.hub, forms.administrator("nguoi-hoi"))
    await erase_request.ask(world.hub, asker, name, "15/QD-XOA")
    with pytest.raises(errors.Conflict) as twice:
        await erase_request.ask(world.hub, CONFIRMER, name, "15/QD-XOA")
    with pytest.raises(errors.Conflict) as alone:
        await erase_request.confirm(world.hub, asker, name)
    with pytest.raises(errors.Forbidden) as without_a_key:
        await erase_request.confirm(world.hub, changes.local_administrator("somebody-else"), name)
    codes = [refused.value.code for refused in (nobody, twice, alone, without_a_key)]
    assert codes == ["erasure.not_asked", "erasure.asked", "erasure.same_person", "second.key_needed"]
    assert [key["wrapped"] is None for key in await world.rows(SubjectKey, id=order["request_id"])] == [False]
    with pytest.raises(ScopeMissing):
        await erase_request.ask(world.hub, world.coordinator, name, "15/QD-XOA")
    assert await erase_request.confirm(world.hub, CONFIRMER, name) == 2, "the lift is erased with what it lifts"
    [row] = await world.rows(Erasure)
    assert (row["decision"], row["asked_by"], row["confirmed_by"]) == ("15/QD-XOA", "nguoi-hoi", "nguoi-xac-nhan")
    with pytest.raises(Erased):
        await erase_request.confirm(world.hub, CONFIRMER, name)


async def test_of_an_erased_request_the_facts_stay_and_everything_else_says_erased(world: World) -> None:
    order = await over(world)
    request_id, hub = order["request_id"], world.hub
    told = await world.facts(request_id)
    assert await erase(world, request_id) == 2
    assert await world.facts(request_id) == [*told, "request.erased"]
    async with hub.database.read() as conn:
        assert (await audit.verify(conn)).findings == ()
        seen = await requests.one(conn, hub.vault, world.police, request_id)
        assert seen is not None and seen.erased
        assert [(target.value, target.holder_name) for target in seen.targets] == [(ERASED, ERASED)]
        theirs = await inbox.order(conn, hub.vault, world.participant("vietcombank"), order["id"])
        assert theirs is not None and (theirs.erased, theirs.body, theirs.signature) == (True, {}, None)
        assert theirs.acknowledgements[0].amount_held is not None
        with pytest.raises(Erased):
            await requests.body(conn, hub.vault, world.police, request_id)
        assert await matches.about(conn, hub.vault, TargetKind.ACCOUNT, ACCOUNT) == []
    with pytest.raises(Erased):
        await evidence.export(hub, str(request_id))
    with pytest.raises(Erased):
        await world.answer(order, outcome="executed", amount_held={"value": "1", "currency": "VND"})


async def test_no_index_digest_or_signature_answers_a_guess(world: World) -> None:
    order = await over(world)
    request_id = order["request_id"]
    await erase(world, request_id)
    [target] = await world.rows(Target, request_id=request_id)
    assert (target["value_index"], target["sha256"]) == (b"", None)
    head = bytes([2]) + request_id.bytes + bytes(12)
    assert target["value_sealed"] == target["holder_sealed"] == head, "a stolen copy of the key opens nothing here"
    assert {row["subject_index"] for row in await world.rows(Order, request_id=request_id)} == {b""}
    for model in (ActionRequest, Approval, Acknowledgement):
        for row in await world.rows(model):
            assert (row["body_sha256"], row["signature"]) == ("", None), model.__name__
    assert await world.rows(IdempotencyKey) == []
    [key] = await world.rows(SubjectKey, id=request_id)
    assert (key["wrapped"], key["tenant_key_id"]) == (None, None) and key["destroyed_at"] is not None


async def test_digests_that_retention_left_go_with_the_request(world: World, fast_forward: Any) -> None:
    order = await over(world)
    dispatches, attempts = table(Dispatch), table(Attempt)
    [carried] = await world.rows(Dispatch, order_id=order["id"], kind=DispatchKind.ORDER)
    head = await opening.sealed_for(world.hub, order["request_id"], "attempts", carried["id"], worlds.AGENCY, ACCOUNT)
    attempt = {
        "tenant": worlds.AGENCY,
        "dispatch_id": carried["id"],
        "attempt": 1,
        "node": "node-a",
        "lease_id": carried["id"],
        "started_at": await steps.now(world),
        "latency_ms": 1,
        "answer_head_sealed": head,
    }

    async def unit(conn: Any) -> None:
        await conn.execute(sa.insert(attempts).values(**attempt))
        await conn.execute(sa.update(dispatches).values(settled_at=sa.func.hub_now()))

    await world.hub.writer.run(unit)
    await fast_forward(days=91)
    assert (await retaining.retain(world.hub)).reduced

    async def left() -> list[str]:
        told = [row["message_sha256"] for row in await world.rows(Dispatch)]
        answered = [row["answer_head_sha256"] for row in await world.rows(Attempt)]
        return [digest for digest in (*told, *answered) if digest is not None]

    assert hashlib.sha256(ACCOUNT.encode()).hexdigest() in await left()
    await erase(world, order["request_id"])
    assert await left() == []


async def test_what_a_reader_kept_in_the_embedded_log_goes_with_the_next_round_of_retention(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = world.hub
    if hub.database.dialect != "sqlite":
        return
    order = await over(world)
    [key] = await world.rows(SubjectKey, id=order["request_id"])
    path = Path(str(hub.database.engine.url.database))
    told: list[str] = []
    monkeypatch.setattr(erasures._log, "warning", told.append)

    def is_left() -> bool:
        return key["wrapped"] in path.with_name(f"{path.name}-wal").read_bytes()

    # No test waits five seconds for a reader that stays.
    await hub.writer.run(lambda conn: conn.execute(sa.text("PRAGMA busy_timeout=50")))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM subject_keys").fetchall()
        await erase(world, order["request_id"])
        assert told == ["erasure.copies_left"] and is_left()
    await retaining.retain(hub)
    assert told == ["erasure.copies_left"] and not is_left()


async def test_an_appeal_against_an_erased_request_shows_that_it_is(world: World) -> None:
    order = await steps.held(world)
    appeal = await appeal_steps.file(world, order)
    await appeal_steps.reply(world, appeal)
    await appeal_steps.decide(world, appeal)
    await world.answer(order, outcome="lifted")
    await arrive(world)
    await erase(world, order["request_id"])
    seen = await appeal_steps.shown(world, appeal.id)
    assert (seen.statement, seen.answer, seen.decision, seen.appellant) == (ERASED, ERASED, ERASED, None)


async def test_a_subject_is_found_by_its_identifier_over_all_agencies(world: World) -> None:
    order = await over(world)
    async with world.hub.database.read() as conn:
        [found] = await matches.about(conn, world.hub.vault, TargetKind.ACCOUNT, ACCOUNT)
        assert await matches.about(conn, world.hub.vault, TargetKind.ACCOUNT, "9990001112224") == []
    assert (found.request_id, found.tenant) == (order["request_id"], worlds.AGENCY)


async def test_a_restored_backup_is_erased_again_from_the_ledger(world: World) -> None:
    hub, order = world.hub, await over(world)
    names = ("subject_keys", "targets", "erasures")
    before = {name: await _rows(world, name) for name in names}
    await erase(world, order["request_id"])
    lines = (Path(hub.settings.data_dir) / erasures.FILE).read_text("utf-8")
    entries = erasures.read(lines)
    assert [entry.request_id for entry in entries] == [order["request_id"]]
    assert ACCOUNT not in lines and "NGUYEN VAN MAU" not in lines
    await _put_back(world, before)
    async with hub.database.read() as conn:
        seen = await requests.one(conn, hub.vault, world.police, order["request_id"])
        assert seen is not None and not seen.erased
    # The database of the backup has forgotten it; the file beside it has not.
    assert await erasures.ledger(hub) == entries
    done = await erasures.reapply(hub, entries)
    assert (done.erased, done.left) == ((order["request_id"],), ())
    async with hub.database.read() as conn:
        seen = await requests.one(conn, hub.vault, world.police, order["request_id"])
        assert seen is not None and seen.erased and seen.targets[0].value == ERASED
    again = await erasures.reapply(hub, entries)
    assert (again.erased, again.already) == ((), (order["request_id"],))
    with pytest.raises(ValueError, match="ledger"):
        erasures.read('{"request_id": 1}\n')


async def _rows(world: World, name: str) -> list[dict[str, Any]]:
    return [dict(row) for row in await world.rows(_MODELS[name])]


_MODELS: dict[str, Any] = {"subject_keys": SubjectKey, "targets": Target, "erasures": Erasure}


async def _put_back(world: World, before: dict[str, list[dict[str, Any]]]) -> None:
    async def unit(conn: Any) -> None:
        await conn.execute(sa.delete(table(Erasure)))
        for name in ("subject_keys", "targets"):
            rows = table(_MODELS[name])
            for row in before[name]:
                await conn.execute(sa.update(rows).where(rows.c.id == row["id"]).values(row))

    await world.hub.writer.run(unit)


async def test_the_doors_answer_for_an_erased_request_and_never_break(api: Api) -> None:
    await forms.enrolled(api.world.hub, CONFIRMER)
    order = await over(api.world)
    await erase(api.world, order["request_id"])
    about = f"/v1/requests/{order['request_id']}"
    for path, who, status in (
        (about, api.police, 200),
        (about, api.coordinator, 200),
        (f"{about}/timeline", api.police, 200),
        (f"/v1/orders/{order['id']}", api.bank, 200),
        (f"/v1/orders/{order['id']}/letter", api.bank, 409),
        (f"{about}/body", api.police, 409),
    ):
        answer = await api.get(path, who)
        assert answer.status_code == status, answer.text
        assert ACCOUNT not in answer.text
    assert answer.json()["code"] == "request.erased"


@pytest.fixture
def at_the_machine(
    world: World, database_url: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    monkeypatch.setenv("HOATOC_DATA_DIR", str(tmp_path))
    if database_url:
        monkeypatch.setenv("HOATOC_DATABASE_URL", database_url)
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    (keys / "vault.key").write_bytes(MASTER)
    (keys / "vault.key").chmod(0o400)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    runner = CliRunner()

    async def run(*arguments: str, who: str = "nguoi-hoi", **more: Any) -> Result:
        monkeypatch.setattr(context, "account", lambda: who)
        return await asyncio.to_thread(runner.invoke, cli.app, list(arguments), catch_exceptions=False, **more)

    yield run
    root.handlers[:], root.level = handlers, level


async def shown(world: World, name: str, path: Path) -> list[str]:
    """Enrol an administrator's system and return the options by which he shows its key."""
    now = clock.utc_now()
    key = SigningKey.generate(not_before=now, not_after=now + timedelta(days=1))
    keyfile.save(key, path)
    system = NewClient.model_validate({"id": name, "roles": [Role.HUB_ADMIN], "key": key.public_jwk()})
    await enroll_client.enroll(world.hub, changes.local_administrator("root"), OPERATOR, system)
    return ["--by", name, "--key", str(path)]


async def test_an_operator_finds_asks_and_another_one_erases_by_his_own_key(
    world: World, at_the_machine: Any, tmp_path: Path
) -> None:
    order = await over(world)
    found = await at_the_machine("erase", "find", "--kind", "account", "--json", input=f"{ACCOUNT}\n")
    # The runner shows what was typed; a terminal does so itself.
    [line] = json.loads(found.stdout[found.stdout.index("[") :])
    assert line["erasable"] == "yes"
    assert (await at_the_machine("erase", "ask", line["request"], "--decision", "15/QD-XOA")).exit_code == 0
    another_account = await at_the_machine("erase", "confirm", line["request"], who="nguoi-khac")
    assert another_account.exit_code == 2 and "--by" in another_account.stderr
    second = await shown(world, "nguoi-khac", tmp_path / "second.jwk")
    done = await at_the_machine("erase", "confirm", line["request"], *second, "--json")
    assert json.loads(done.stdout) == {"requests_erased": 2}
    [entry] = [json.loads(text) for text in (await at_the_machine("erase", "ledger")).stdout.splitlines()]
    assert entry["request_id"] == str(order["request_id"]) and entry["confirmed_by"] == "nguoi-khac"
    export = await at_the_machine("evidence", "export", line["request"])
    assert export.exit_code == 1 and "request.erased" in export.stderr, "it says so, and does not break"


async def test_who_searched_is_read_in_both_languages_and_never_for_whom(world: World, at_the_machine: Any) -> None:
    await over(world)
    await at_the_machine("erase", "find", "--kind", "account", input=f"{ACCOUNT}\n")
    await at_the_machine("erase", "find", "--kind", "phone", input="+84912345678\n", who="nguoi-khac")
    latest, first = json.loads((await at_the_machine("audit", "searches", "--json")).stdout)
    assert (first["actor"], first["participant"], first["found"]) == ("nguoi-hoi", "hoatoc-hub", 1)
    assert (latest["actor"], latest["found"]) == ("nguoi-khac", 0)
    assert first["text"] == "Requests were searched by bank account, on the hub's own machine (1 found)."
    told = (await at_the_machine("audit", "searches", "hoatoc-hub", "--lang", "vi")).stdout
    assert "Đã tra cứu yêu cầu theo số điện thoại, tại máy chủ của trung tâm (thấy 0)." in told and ACCOUNT not in told
    (heads,) = (await at_the_machine("audit", "searches", worlds.AGENCY)).stdout.splitlines()
    assert heads.startswith("at\tparticipant\t")
    asked = await at_the_machine("audit", "searches", "--about", "account", "--json", input=f"{ACCOUNT}\n")
    assert [each["actor"] for each in json.loads(asked.stdout[asked.stdout.index("[") :])] == ["nguoi-hoi"]
    asked = await at_the_machine("audit", "searches", "--about", "account", "--json", input="999\n")
    assert json.loads(asked.stdout[asked.stdout.index("[") :]) == []
    assert (await at_the_machine("audit", "verify")).exit_code == 0


async def test_who_looks_up_an_identifier_at_the_machine_is_on_record_and_it_is_not(
    world: World, at_the_machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await over(world)
    for account in (ACCOUNT, "9990001112224"):
        await at_the_machine("erase", "find", "--kind", "account", input=f"{account}\n", who="nguoi-to-mo")
    hit, miss = [row for row in await world.rows(AuditEntry) if row["code"] == "person.searched"]
    assert (hit["chain"], hit["actor_id"], miss["actor_id"]) == ("tenant:hoatoc-hub", "nguoi-to-mo", "nguoi-to-mo")
    assert [json.loads(row["data"])["found"] for row in (hit, miss)] == [1, 0]
    assert json.loads(hit["data"])["by"] == "account" and "999000111" not in hit["data"] + miss["data"]

    async def unwritten(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Database, "write", unwritten)
    silent = await at_the_machine("erase", "find", "--kind", "account", input=f"{ACCOUNT}\n")
    assert silent.exit_code == 1 and "reading.unrecorded" in silent.stderr and "HT-" not in silent.stdout


async def test_an_operator_lists_every_key_and_replaces_them(world: World, at_the_machine: Any, tmp_path: Path) -> None:
    await steps.held(world)
    listed = json.loads((await at_the_machine("keys", "list", "--json")).stdout)
    kinds = {each["kind"] for each in listed}
    assert {"vault.master", "vault.tenant", "vault.request", "vault.officer", "hub.token", "hub.order"} <= kinds
    assert {"public.officer.signature", "public.participant.signature"} <= kinds
    assert MASTER.hex() not in json.dumps(listed)
    prepared = json.loads((await at_the_machine("keys", "rotate", "vault", "--prepare", "--json")).stdout)
    states = {each["key"]: each["state"] for each in await _masters(at_the_machine)}
    assert states[prepared["prepared"]] == "next" and states[prepared["in_force"]] == "current"
    turned = json.loads((await at_the_machine("keys", "rotate", "vault", "--json")).stdout)
    assert turned["master"] == prepared["prepared"] and turned["rewrapped"] >= 1
    states = {each["key"]: each["state"] for each in await _masters(at_the_machine)}
    assert states == {prepared["prepared"]: "current", prepared["in_force"]: "unused"}
    tenants = json.loads((await at_the_machine("keys", "rotate", "tenant", "--json")).stdout)
    assert tenants["rewrapped"] >= 1
    one = await at_the_machine("keys", "rotate", "tenant", worlds.AGENCY)
    nobody = await at_the_machine("keys", "rotate", "tenant", "nobody")
    assert (one.exit_code, nobody.exit_code) == (0, 1)
    for series in ("tokens", "orders"):
        replaced = json.loads((await at_the_machine("keys", "rotate", series, "--json")).stdout)
        kind = f"hub.{series.removesuffix('s')}"
        listed = json.loads((await at_the_machine("keys", "list", "--json")).stdout)
        assert {each["state"] for each in listed if each["kind"] == kind} == {"current", "next"}
        assert replaced["kid"] in {each["key"] for each in listed if each["state"] == "next"}
    assert (await at_the_machine("erase", "find", "--kind", "account", input=f"{ACCOUNT}\n")).stdout != ""


async def _masters(at_the_machine: Any) -> list[dict[str, Any]]:
    listed = json.loads((await at_the_machine("keys", "list", "--json")).stdout)
    return [each for each in listed if each["kind"] == "vault.master"]
