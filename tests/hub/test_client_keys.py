"""The hub's keys for mutual TLS: found by their certificate, for their owner's eyes alone."""

from pathlib import Path

import pytest
import registry_forms as forms
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.security import client_keys
from service.security.keyring import KeyUnfit


def unfit(folder: Path, certificate: str) -> str:
    with pytest.raises(KeyUnfit) as refused:
        client_keys.pair(folder, certificate)
    return refused.value.code


def test_a_key_is_made_for_its_owner_alone_and_found_by_its_certificate(tmp_path: Path) -> None:
    first, second = (forms.certified(client_keys.make(tmp_path, name)) for name in ("hub.example", "hub.example"))
    files = [client_keys.pair(tmp_path, certificate) for certificate in (first, second)]
    assert len({file for _, file in files if file}) == 2
    for certificate, path in filter(None, files):
        assert certificate in (first, second)
        assert Path(path).stat().st_mode & 0o777 == 0o400
    assert client_keys.pair(tmp_path, None) is None


def test_a_key_that_is_missing_or_open_to_others_or_another_one_is_not_used(tmp_path: Path) -> None:
    certificate = forms.certified(client_keys.make(tmp_path, "hub.example"))
    (path,) = tmp_path.iterdir()
    path.chmod(0o440)
    assert unfit(tmp_path, certificate) == "key.file_mode"
    path.unlink()
    assert unfit(tmp_path, certificate) == "key.missing"
    for content in (b"no key", _other()):
        path.write_bytes(content)
        path.chmod(0o400)
        assert unfit(tmp_path, certificate) == "key.file_content"
        path.unlink()
    for text in ("no certificate", "", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"):
        assert unfit(tmp_path, text) == "key.file_content"


def _other() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
