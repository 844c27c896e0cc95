"""Three levels of keys: what a field is bound to, what a rotation changes, and what an earlier build left behind."""

import os
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
import world as worlds
from builders import AGENCY, MASTER, Builder, make_hub, table
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from opening import opened, sealed_for
from world import World

from service.engine import rekeying, resealing
from service.engine.hub import Hub
from service.models import ActionRequest, Officer, RootKey, SubjectKey, Target, TenantKey
from service.models.subject_key import KeyOwner
from service.queries import requests
from service.vault import FileMasters, KeyRow, MasterMissing, SealBroken, Vault, roots, subjects
from service.vault.masters import derived
from workflows.terms import Actor, ActorKind

WHO = Actor(ActorKind.HUB, "test", worlds.OPERATOR)


@pytest.fixture
def world(hub: Hub) -> World:
    return World(hub)


async def key_of(hub: Hub, request_id: UUID) -> KeyRow:
    async with hub.database.read() as conn:
        return (await subjects.by_id(conn, [request_id]))[request_id]


async def test_what_was_sealed_opens_for_its_table_row_and_tenant_alone(hub: Hub, build: Builder) -> None:
    request_id = await build.request()
    sealed = await sealed_for(hub, request_id, "targets", "row-1", AGENCY, "0000 made up")
    assert await opened(hub, "targets", "row-1", AGENCY, sealed) == "0000 made up"
    for elsewhere in (("orders", "row-1", AGENCY), ("targets", "row-2", AGENCY), ("targets", "row-1", "agency-b")):
        with pytest.raises(SealBroken):
            await opened(hub, *elsewhere, sealed)
    for place in (1, 20, len(sealed) - 1):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(SealBroken):
            await opened(hub, "targets", "row-1", AGENCY, bytes(changed))


async def test_the_key_of_one_subject_does_not_open_another_ones_fields(hub: Hub, build: Builder) -> None:
    one, two = await build.request(), await build.request()
    sealed = await sealed_for(hub, one, "targets", "row", AGENCY, "0000 made up")
    # Whoever can write the database lets the head name the other subject, or exchanges the wrapped keys.
    renamed = sealed[:1] + two.bytes + sealed[17:]
    with pytest.raises(SealBroken):
        await opened(hub, "targets", "row", AGENCY, renamed)
    keys = table(SubjectKey)
    other = sa.select(keys.c.wrapped).where(keys.c.id == two).scalar_subquery()
    await hub.database.write(lambda conn: conn.execute(sa.update(keys).where(keys.c.id == one).values(wrapped=other)))
    with pytest.raises(SealBroken):
        await opened(hub, "targets", "row", AGENCY, sealed)


async def test_the_same_text_is_never_sealed_into_the_same_bytes(hub: Hub, build: Builder) -> None:
    request_id = await build.request()
    values = {await sealed_for(hub, request_id, "targets", "row", AGENCY, "0000 made up") for _ in range(20)}
    assert len(values) == 20


async def test_filing_a_request_begins_one_key_and_everything_about_it_is_sealed_under_it(world: World) -> None:
    await world.settle_in()
    filed = await world.active(worlds.freeze())
    [key] = await world.rows(SubjectKey, kind=KeyOwner.REQUEST)
    assert (key["id"], key["subject"], key["tenant"]) == (filed.id, str(filed.id), worlds.AGENCY)
    heads = set()
    for sealed in resealing.TABLES:
        if sealed.kind is KeyOwner.REQUEST:
            for row in await _all(world.hub, sealed.table):
                heads |= {row[column.name][:17] for column in sealed.columns if row[column.name]}
    assert heads == {bytes([2]) + filed.id.bytes}


async def test_a_tenant_has_one_key_at_a_time_and_each_its_own(hub: Hub, build: Builder) -> None:
    for agency in (AGENCY, AGENCY, "agency-b"):
        await build.participant(agency, worlds.Sector.AGENCY)
        await hub.database.write(
            lambda conn, of=agency: subjects.begin(conn, hub.vault, of, KeyOwner.REQUEST, str(uuid4()))
        )
    keys = await build.rows(TenantKey)
    assert sorted(key.tenant for key in keys) == [AGENCY, "agency-b"]
    assert len({key.wrapped for key in keys}) == 2


async def test_a_tenant_key_of_a_transaction_that_was_undone_wraps_nothing(hub: Hub, build: Builder) -> None:
    await build.participant(AGENCY, worlds.Sector.AGENCY)

    class Undone(Exception):
        pass

    async def unit(conn: Any) -> None:
        await subjects.begin(conn, hub.vault, AGENCY, KeyOwner.REQUEST, "undone")
        raise Undone

    with pytest.raises(Undone):
        await hub.database.write(unit)
    assert hub.vault.current(AGENCY) is not None, "this node remembers a key that is nowhere"
    request_id = await build.request()
    sealed = await sealed_for(hub, request_id, "targets", "row", AGENCY, "0000 made up")
    [kept] = await build.rows(TenantKey)
    assert (await key_of(hub, request_id)).tenant_key_id == kept.id
    assert await opened(hub, "targets", "row", AGENCY, sealed) == "0000 made up"


async def test_two_nodes_read_and_write_while_a_tenants_key_is_rotated(
    hub: Hub, build: Builder, database_url: str | None, tmp_path: Path
) -> None:
    before = [await build.request() for _ in range(5)]
    sealed = [await sealed_for(hub, each, "targets", "row", AGENCY, f"{each}") for each in before]
    other = hub if database_url is None else make_hub(database_url, tmp_path, "node-b")
    old = hub.vault.current(AGENCY)
    assert old is not None
    other.vault.remember(old)
    # Read by one node before the rotation, used after it.
    held = await key_of(other, before[0])
    assert await rekeying.rotate_tenant(hub, WHO, AGENCY) >= 5
    for each, value in zip(before, sealed, strict=True):
        for node in (hub, other):
            assert await opened(node, "targets", "row", AGENCY, value) == f"{each}"
    late = other.vault.seal(held, "targets", "late", "0000 made up")
    assert await opened(hub, "targets", "late", AGENCY, late) == "0000 made up"
    # The other node still remembers the old key; what it begins is wrapped by the new one all the same.
    begun = await other.database.write(
        lambda conn: subjects.begin(conn, other.vault, AGENCY, KeyOwner.REQUEST, "after")
    )
    [kept] = await build.rows(TenantKey, tenant=AGENCY)
    assert kept.id != old.tenant_key_id and kept.retired_at is None
    assert begun.tenant_key_id == kept.id
    assert {key.tenant_key_id for key in await build.rows(SubjectKey, tenant=AGENCY)} == {kept.id}
    assert "key.rotated" in await build.facts(f"tenant:{AGENCY}")
    if other is not hub:
        await other.database.close()


async def test_a_rotation_that_broke_off_goes_on(hub: Hub, build: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    requests_ = [await build.request() for _ in range(4)]
    sealed = [await sealed_for(hub, each, "targets", "row", AGENCY, f"{each}") for each in requests_]
    monkeypatch.setattr(rekeying, "BATCH", 2)
    real, rounds = rekeying._rewrap_subjects, 0

    async def broken(*args: Any) -> int:
        nonlocal rounds
        rounds += 1
        if rounds == 2:
            raise ConnectionResetError
        return await real(*args)

    monkeypatch.setattr(rekeying, "_rewrap_subjects", broken)
    with pytest.raises(ConnectionResetError):
        await rekeying.rotate_tenant(hub, WHO, AGENCY)
    assert len(await build.rows(TenantKey, tenant=AGENCY)) == 2, "nothing that is needed was deleted"
    for each, value in zip(requests_, sealed, strict=True):
        assert await opened(hub, "targets", "row", AGENCY, value) == f"{each}"
    assert await rekeying.finish_tenant(hub, AGENCY) > 0
    assert len(await build.rows(TenantKey, tenant=AGENCY)) == 1
    for each, value in zip(requests_, sealed, strict=True):
        assert await opened(hub, "targets", "row", AGENCY, value) == f"{each}"


async def test_a_new_master_key_wraps_everything_and_a_node_without_it_says_so(
    database_url: str | None, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    masters = _masters(here)
    hub = _with(make_hub(database_url, tmp_path), masters)
    build = Builder(hub)
    request_id = await build.request()
    sealed = await sealed_for(hub, request_id, "targets", "row", AGENCY, "0000 made up")
    other = _with(make_hub(database_url, tmp_path, "node-b"), _masters(there))
    new = masters.make()
    assert await rekeying.rotate_master(hub, WHO, new) == len(await build.rows(TenantKey))
    assert {row.master for row in await build.rows(TenantKey)} == {new}
    assert (await build.row(RootKey)).master == new
    assert await opened(hub, "targets", "row", AGENCY, sealed) == "0000 made up"
    with pytest.raises(MasterMissing):
        await opened(other, "targets", "row", AGENCY, sealed)
    name = Path(masters.where(new)).name
    (there / name).write_bytes((here / name).read_bytes())
    (there / name).chmod(0o400)
    assert await opened(other, "targets", "row", AGENCY, sealed) == "0000 made up", "without a restart"
    # The old file is needed no more, and its absence does not begin another one.
    (here / "vault.key").unlink()
    again = await roots.open_vault(hub.database, FileMasters.at(here))
    assert again.blind_index("a", "account", "1") == hub.vault.blind_index("a", "account", "1")
    for each in (hub, other):
        await each.database.close()


def test_a_master_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    made = FileMasters.at(tmp_path).make()
    for name in ("vault.key", f"vault-2-{made}.key"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o400
        (tmp_path / name).chmod(0o440)
        with pytest.raises(PermissionError):
            FileMasters.at(tmp_path)
        (tmp_path / name).chmod(0o400)


async def test_a_vault_opens_only_the_database_of_its_own_keys(hub: Hub) -> None:
    with pytest.raises(MasterMissing):
        await roots.open_vault(hub.database, FileMasters.of(os.urandom(32)))


async def test_what_an_earlier_build_sealed_opens_and_is_sealed_anew(hub: Hub, build: Builder) -> None:
    request_id = await build.request()
    [target] = await build.rows(Target, request_id=request_id)

    def earlier(name: str, row: Any, tenant: str, text: str) -> bytes:
        nonce = os.urandom(12)
        cipher = AESGCM(derived(MASTER, f"hoatoc|seal|{tenant}"))
        return b"\x01" + nonce + cipher.encrypt(nonce, text.encode(), f"{name}|{row}|{tenant}|1".encode())

    await build.change(Target, target.id, value_sealed=earlier("targets", target.id, AGENCY, "0001 made up"))
    await build.change(ActionRequest, request_id, body_sealed=earlier("requests", request_id, AGENCY, '{"a":1}'))
    await build.change(Officer, "officer-a", name_sealed=earlier("officers", "officer-a", AGENCY, "Nguyễn Văn Cũ"))
    keys, wanted = table(SubjectKey), (request_id,)
    await hub.database.write(lambda conn: conn.execute(sa.delete(keys).where(keys.c.id.in_(wanted))))
    # The other fields of this request lost their key with it; the test asks about the earlier ones.
    await build.change(ActionRequest, request_id, contact_sealed=earlier("requests", request_id, AGENCY, "{}"))
    async with hub.database.read() as conn:
        assert await resealing.count(conn) == 3
        seen = await requests.one(conn, hub.vault, _police(), request_id)
        assert seen is not None and seen.targets[0].value == "0001 made up"
    assert await resealing.reseal(hub) == 3
    async with hub.database.read() as conn:
        assert await resealing.count(conn) == 0
        seen = await requests.one(conn, hub.vault, _police(), request_id)
        assert seen is not None and seen.targets[0].value == "0001 made up"
        assert await requests.body(conn, hub.vault, _police(), request_id) == b'{"a":1}'
    officer = await build.row(Officer, id="officer-a")
    assert await opened(hub, "officers", "officer-a", AGENCY, officer.name_sealed) == "Nguyễn Văn Cũ"
    assert await resealing.reseal(hub) == 0


async def test_an_earlier_database_keeps_its_blind_indexes(hub: Hub, build: Builder, tmp_path: Path) -> None:
    await build.request()
    await hub.database.write(lambda conn: conn.execute(sa.delete(table(RootKey))))
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "vault.key").write_bytes(MASTER)
    (tmp_path / "keys" / "vault.key").chmod(0o400)
    vault = await roots.open_vault(hub.database, FileMasters.at(tmp_path / "keys"))
    assert vault.blind_index(AGENCY, "account", "1") == Vault.of(MASTER).blind_index(AGENCY, "account", "1")


def _masters(folder: Path) -> FileMasters:
    folder.mkdir()
    (folder / "vault.key").write_bytes(MASTER)
    (folder / "vault.key").chmod(0o400)
    return FileMasters.at(folder)


def _with(hub: Hub, masters: FileMasters) -> Hub:
    return Hub(**{name: getattr(hub, name) for name in Hub.__slots__} | {"vault": Vault(masters, MASTER)})


def _police() -> Any:
    return worlds._principal("client-a", AGENCY, worlds.Sector.AGENCY, worlds.Role.READER)


async def _all(hub: Hub, rows: sa.Table) -> list[dict[str, Any]]:
    async with hub.database.read() as conn:
        return [dict(row._mapping) for row in (await conn.execute(sa.select(rows))).all()]
