"""Keys: what may be enrolled, what is published, and how the hub's own keys lie on disk."""

import json
import os
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwk
from token_forge import CLIENT, DAY, JKT, KEY, NOW, OTHER_KEY, b64

from service.security import keyfile, keyring
from service.security.keyring import KeyUnfit, SigningKey, VerificationKey
from service.security.profiles import KeyPurpose

NAIVE = NOW.replace(tzinfo=None)
PUBLIC: dict[str, Any] = dict(jwk.ECKey.import_key(KEY).as_dict(private=False))
P384: dict[str, Any] = dict(jwk.ECKey.import_key(ec.generate_private_key(ec.SECP384R1())).as_dict(private=False))


def enrol(members: dict[str, Any], **changes: Any) -> VerificationKey:
    values: dict[str, Any] = {
        "issuer": CLIENT,
        "purpose": KeyPurpose.CLIENT_ASSERTION,
        "not_before": NOW - DAY,
        "not_after": NOW + DAY,
    }
    return VerificationKey.from_jwk(members, **(values | changes))


def test_an_enrolled_key_is_named_by_its_thumbprint_unless_it_names_itself() -> None:
    bare = {name: PUBLIC[name] for name in ("kty", "crv", "x", "y")}
    assert (enrol(bare).kid, enrol(bare).jkt) == (JKT, JKT)
    assert (enrol(bare | {"kid": "k1"}).kid, enrol(bare | {"kid": "k1"}).jkt) == ("k1", JKT)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        (jwk.ECKey.import_key(KEY).as_dict(private=True), "key.private"),
        (P384, "key.curve"),
        (PUBLIC | {"kty": "oct"}, "key.curve"),
        (PUBLIC | {"x5c": ["MIIB"]}, "key.members"),
        ({"kty": "EC", "crv": "P-256", "x": PUBLIC["x"]}, "key.members"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "key.members"),
        (PUBLIC | {"use": "enc"}, "key.use"),
        (PUBLIC | {"alg": "ES384"}, "key.use"),
        (PUBLIC | {"x": PUBLIC["x"] + "="}, "key.coordinate"),
        (PUBLIC | {"x": b64(b"\0" + KEY.public_key().public_numbers().x.to_bytes(32, "big"))}, "key.coordinate"),
        (PUBLIC | {"x": 5}, "key.coordinate"),
        (PUBLIC | {"x": "\ud800"}, "key.coordinate"),
        (PUBLIC | {"x": PUBLIC["y"]}, "key.point"),
        (PUBLIC | {"x": "A" * 43, "y": "A" * 43}, "key.point"),
        (PUBLIC | {"kid": ""}, "key.kid"),
        (PUBLIC | {"kid": 7}, "key.kid"),
        (PUBLIC | {"kid": 'a"b'}, "key.kid"),
    ],
)
def test_an_unfit_key_is_not_enrolled(members: dict[str, Any], code: str) -> None:
    with pytest.raises(KeyUnfit) as unfit:
        enrol(members)
    assert unfit.value.code == code


@pytest.mark.parametrize(
    "window",
    [{"not_after": NOW - DAY}, {"not_before": NAIVE}, {"not_after": NAIVE}],
)
def test_a_key_has_a_validity_with_a_time_zone(window: dict[str, Any]) -> None:
    with pytest.raises(KeyUnfit, match=r"key\.validity"):
        enrol(PUBLIC, **window)


def test_the_published_set_holds_two_different_keys_and_no_private_part() -> None:
    now, following = (SigningKey.generate(not_before=NOW, not_after=NOW + DAY) for _ in range(2))
    published = keyring.jwks([now, following])
    assert [key["kid"] for key in published["keys"]] == [now.kid, following.kid]
    assert all(key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"} for key in published["keys"])
    assert all(key["kid"] == jwk.ECKey.import_key(key).thumbprint() for key in published["keys"])  # type: ignore[arg-type]
    for too_few in ([], [now], [now, now]):
        with pytest.raises(ValueError, match="two different keys"):
            keyring.jwks(too_few)


def test_the_key_that_began_last_signs_and_none_signs_tokens_that_outlive_it() -> None:
    old = SigningKey.generate(not_before=NOW - DAY, not_after=NOW + timedelta(hours=1))
    new = SigningKey.generate(not_before=NOW, not_after=NOW + DAY)
    assert keyring.current([old, new], NOW - timedelta(seconds=1)) is old
    assert keyring.current([old, new], NOW) is keyring.current([new, old], NOW) is new
    assert keyring.current([new], NOW + DAY - timedelta(seconds=300)) is new
    for late in (timedelta(seconds=299), timedelta(0), -DAY):
        with pytest.raises(KeyUnfit, match=r"key\.none_valid"):
            keyring.current([old, new], NOW + DAY - late)


def test_a_saved_key_has_mode_0400_is_never_replaced_and_comes_back_the_same(tmp_path: Path) -> None:
    key = SigningKey.generate(not_before=NOW.replace(microsecond=0), not_after=NOW.replace(microsecond=0) + DAY)
    path = tmp_path / "signing.jwk"
    before = os.umask(0)
    try:
        keyfile.save(key, path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    back = keyfile.load(path)
    assert (back.kid, back.not_before, back.not_after) == (key.kid, key.not_before, key.not_after)
    assert back.private.private_numbers() == key.private.private_numbers()
    with pytest.raises(FileExistsError):
        keyfile.save(key, path)


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o644, 0o420, 0o402, 0o410])
def test_a_key_file_that_others_may_touch_is_refused(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "signing.jwk"
    keyfile.save(SigningKey.generate(not_before=NOW, not_after=NOW + DAY), path)
    path.chmod(mode)
    with pytest.raises(KeyUnfit, match=r"key\.file_mode"):
        keyfile.load(path)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"d": "A" * 43}, "key.file_content"),
        ({"d": "_" * 42 + "8"}, "key.file_content"),
        ({"d": None}, "key.file_content"),
        ({"nbf": True}, "key.file_content"),
        ({"exp": 10**30}, "key.file_content"),
        ({"exp": 0}, "key.validity"),
        ({"extra": 1}, "key.file_content"),
        ({"kid": "another"}, "key.pair"),
        ({name: jwk.ECKey.import_key(OTHER_KEY).as_dict()[name] for name in ("x", "y")}, "key.pair"),
    ],
)
def test_a_damaged_key_file_is_refused(change: dict[str, Any], code: str, tmp_path: Path) -> None:
    path = tmp_path / "signing.jwk"
    keyfile.save(SigningKey.generate(not_before=NOW, not_after=NOW + DAY), path)
    damaged = tmp_path / "damaged.jwk"
    damaged.touch(0o600)
    damaged.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(KeyUnfit) as unfit:
        keyfile.load(damaged)
    assert unfit.value.code == code


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"-----BEGIN EC PRIVATE KEY-----"])
def test_a_file_that_is_no_key_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "signing.jwk"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(KeyUnfit, match=r"key\.file_content"):
        keyfile.load(path)


def test_a_key_file_that_is_too_large_is_refused_though_it_holds_a_key(tmp_path: Path) -> None:
    path, padded = tmp_path / "signing.jwk", tmp_path / "padded.jwk"
    keyfile.save(SigningKey.generate(not_before=NOW, not_after=NOW + DAY), path)
    padded.touch(0o600)
    padded.write_text(path.read_text().ljust(4097))
    with pytest.raises(KeyUnfit, match=r"key\.file_content"):
        keyfile.load(padded)


def test_a_printed_key_shows_no_secret() -> None:
    key = SigningKey.generate(not_before=NOW, not_after=NOW + DAY)
    secret = str(jwk.ECKey.import_key(key.private).as_dict(private=True)["d"])
    assert secret not in repr(key)
    assert "private" not in repr(key)


def test_a_signing_key_on_another_curve_is_refused() -> None:
    with pytest.raises(KeyUnfit, match=r"key\.curve"):
        SigningKey.of(ec.generate_private_key(ec.SECP384R1()), not_before=NOW, not_after=NOW + DAY)
