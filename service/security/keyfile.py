"""The hub's private signing keys on disk: one JWK a file, readable by its owner alone."""

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwk

from service.security import compact
from service.security.keyring import KeyUnfit, SigningKey, coordinate, public_key
from service.security.refusal import TokenRefused

FILE_MODE = 0o400
_LARGEST_FILE = 4096
_MEMBERS = frozenset({"kty", "crv", "x", "y", "d", "kid", "use", "alg", "nbf", "exp"})


def save(key: SigningKey, path: Path) -> None:
    """Write a signing key to a new file with mode 0400, on disk when this returns.

    The file is a private JWK with the key's validity as ``nbf`` and ``exp``, whole seconds since 1970.
    Raises FileExistsError rather than replacing a key.
    """
    members = {"d": jwk.ECKey.import_key(key.private).as_dict(private=True)["d"], **key.public_jwk()}
    validity = {"nbf": int(key.not_before.timestamp()), "exp": int(key.not_after.timestamp())}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(members | validity, file)
        file.flush()
        os.fsync(file.fileno())


def load(path: Path) -> SigningKey:
    """Read a signing key.

    Raises KeyUnfit: ``key.file_mode`` where anybody but the owner may read or write the file, ``key.file_content``
    where it is no key file, ``key.pair`` where its halves or its thumbprint do not belong together. OSError passes.
    """
    with path.open("rb") as file:
        # The opened file is asked, not the path: nobody can swap it in between.
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
            raise KeyUnfit("key.file_mode")
        raw = file.read(_LARGEST_FILE + 1)
    members = _members(raw)
    try:
        private = ec.derive_private_key(coordinate(members["d"]), ec.SECP256R1())
    except ValueError:  # zero, or beyond the order of the curve; a KeyUnfit is a ValueError too
        raise KeyUnfit("key.file_content") from None
    key = SigningKey.of(private, not_before=_instant(members["nbf"]), not_after=_instant(members["exp"]))
    _, jkt = public_key({name: members[name] for name in ("kty", "crv", "x", "y", "use", "alg")})
    if key.kid != jkt or key.kid != members["kid"]:
        raise KeyUnfit("key.pair")
    return key


def _members(raw: bytes) -> dict[str, Any]:
    if len(raw) > _LARGEST_FILE:
        raise KeyUnfit("key.file_content")
    try:
        members = compact.strict_json(raw)
    except TokenRefused:
        raise KeyUnfit("key.file_content") from None
    if members.keys() != _MEMBERS:
        raise KeyUnfit("key.file_content")
    return members


def _instant(value: object) -> datetime:
    if not isinstance(value, int) or isinstance(value, bool):
        raise KeyUnfit("key.file_content")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        raise KeyUnfit("key.file_content") from None
