"""The vault's master key in a PKCS#11 token (SoftHSM): it never leaves it, and a database moves there from a file."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import world as worlds
from builders import MASTER, Builder, make_hub, widened
from opening import opened, sealed_for
from pkcs11 import Attribute
from pkcs11.exceptions import AttributeSensitive, SessionHandleInvalid

from service import app
from service.engine import rekeying
from service.engine.hub import Hub
from service.models import RootKey, TenantKey
from service.settings import Settings
from service.vault import FileMasters, MasterMissing, SealBroken, Vault, sealing
from service.vault.hardware import TokenGone, TokenMasters
from workflows.terms import Actor, ActorKind

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
WHO = Actor(ActorKind.HUB, "test", worlds.OPERATOR)
# The library reads its configuration once a process: one folder of tokens for all tests of this module.
PIN = "123456"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}\nlog.level = ERROR\n")
    (folder / "pin").write_text(PIN)
    (folder / "pin").chmod(0o400)
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    init = ["softhsm2-util", "--init-token", "--free", "--label", "hoatoc", "--pin", PIN, "--so-pin", "654321"]
    subprocess.run(init, check=True, capture_output=True)
    yield folder
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


@pytest.fixture(scope="module")
def token(tokens: Path) -> TokenMasters:
    return TokenMasters(MODULE, "hoatoc", tokens / "pin", FileMasters.of(MASTER))


def test_a_key_is_wrapped_by_the_token_for_its_row_alone_and_never_leaves_it(token: TokenMasters) -> None:
    label = token.ids()[-1]
    wrapped = token.wrap(label, b"s" * 32, b"row-1")
    assert token.unwrap(label, wrapped, b"row-1") == b"s" * 32
    assert token.wrap(label, b"s" * 32, b"row-1") != wrapped
    for changed, row in ((wrapped, b"row-2"), (wrapped[:-1] + bytes([wrapped[-1] ^ 1]), b"row-1")):
        with pytest.raises(SealBroken):
            token.unwrap(label, changed, row)
    key = token._key(label)
    with pytest.raises(AttributeSensitive):
        key[Attribute.VALUE]
    assert (key[Attribute.NEVER_EXTRACTABLE], key[Attribute.SENSITIVE]) == (True, True)
    with pytest.raises(MasterMissing):
        token.unwrap("hoatoc-vault-99", wrapped, b"row-1")


async def test_a_database_moves_from_the_key_file_into_the_token(hub: Hub, token: TokenMasters) -> None:
    build = Builder(hub)
    request_id = await build.request()
    sealed = await sealed_for(hub, request_id, "targets", "row", "agency-a", "0000 made up")
    vault = Vault(token, MASTER)
    moved = Hub(**{name: getattr(hub, name) for name in Hub.__slots__} | {"vault": vault})
    assert await opened(moved, "targets", "row", "agency-a", sealed) == "0000 made up", "still by the file"
    label = token.ids()[-1]
    await rekeying.rotate_master(moved, WHO, label)
    assert {row.master for row in (*await build.rows(TenantKey), *await build.rows(RootKey))} == {label}
    assert await opened(moved, "targets", "row", "agency-a", sealed) == "0000 made up"
    # Whoever has the file alone opens nothing any more.
    with pytest.raises(MasterMissing):
        await opened(hub, "targets", "row", "agency-a", sealed)


async def test_without_the_token_what_was_opened_lately_still_opens_for_a_quarter_of_an_hour(
    hub: Hub, token: TokenMasters, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = Vault(token, MASTER)
    other = Hub(**{name: getattr(hub, name) for name in Hub.__slots__} | {"vault": vault})
    await rekeying.rotate_master(other, WHO, token.ids()[-1])
    request_id = await Builder(other).request()
    sealed = await sealed_for(other, request_id, "targets", "row", "agency-a", "0000 made up")

    def gone(_: str) -> Any:
        raise SessionHandleInvalid

    monkeypatch.setattr(token, "_key", gone)
    assert await opened(other, "targets", "row", "agency-a", sealed) == "0000 made up"
    now = sealing.clock.monotonic()
    monkeypatch.setattr(sealing.clock, "monotonic", lambda: now + 15 * 60 + 1)
    with pytest.raises(TokenGone):
        await opened(other, "targets", "row", "agency-a", sealed)


def test_the_pin_lies_in_a_file_of_the_owners_and_a_token_that_is_not_there_is_named(tokens: Path) -> None:
    (tokens / "loose").write_text(PIN)
    (tokens / "loose").chmod(0o440)
    with pytest.raises(PermissionError):
        TokenMasters(MODULE, "hoatoc", tokens / "loose", FileMasters.of())
    with pytest.raises(TokenGone):
        TokenMasters(MODULE, "another", tokens / "pin", FileMasters.of())
    with pytest.raises(ValueError, match="together"):
        Settings(pkcs11_module=MODULE)


async def test_a_drill_on_the_real_hubs_token_has_master_keys_of_its_own_there(
    database_url: str | None, tmp_path: Path, tokens: Path, token: TokenMasters
) -> None:
    settings = Settings(
        data_dir=tmp_path,
        database_url=database_url,
        drill=True,
        host="127.0.0.2",
        pkcs11_module=MODULE,
        pkcs11_token="hoatoc",
        pkcs11_pin_file=tokens / "pin",
    )
    real, drill = set(token.ids()), app.masters(settings, begin=False)
    assert drill.ids() and real.isdisjoint(drill.ids())
    # Neither counts the other's, and a rotation of one makes none for the other.
    made = drill.make()
    assert made == drill.ids()[-1] != drill.ids()[0] and made not in token.ids()
    assert token.make() in token.ids() and made == drill.ids()[-1]
    own, theirs = (each.wrap(each.ids()[-1], b"s" * 32, b"row-1") for each in (drill, token))
    for masters, label, wrapped in ((token, made, own), (drill, token.ids()[-1], theirs)):
        with pytest.raises(MasterMissing):
            masters.unwrap(label, wrapped, b"row-1")
    assert drill.unwrap(made, own, b"row-1") == b"s" * 32 and drill.where(made) == "token hoatoc"


async def test_a_hub_with_a_token_starts_and_has_no_key_file(
    database_url: str | None, tmp_path: Path, tokens: Path
) -> None:
    settings = Settings(
        data_dir=tmp_path,
        database_url=database_url,
        pkcs11_module=MODULE,
        pkcs11_token="hoatoc",
        pkcs11_pin_file=tokens / "pin",
    )
    first = make_hub(database_url, tmp_path)
    await first.database.write(lambda conn: conn.execute(RootKey.__table__.delete()))  # type: ignore[attr-defined]
    await first.database.close()
    opened_hub = widened(await app.open_hub(settings))
    try:
        build = Builder(opened_hub)
        assert (await build.row(RootKey)).master.startswith("hoatoc-vault-")
        assert not (settings.keys_dir / "vault.key").exists()
    finally:
        await app.close_hub(opened_hub)
