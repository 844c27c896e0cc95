"""The key files as one sealed file that either of two recipients opens, to be kept apart from the database's backup."""

import io
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7EnvelopeBuilder, PKCS7Options

from service.backup.manifest import BackupUnfit, sync_folder

NAME = "keys.p7m"
_LEAST_BITS = 3072
_LEAST_RECIPIENTS = 2


def seal(keys: Path, folder: Path, recipients: Sequence[Path]) -> Path:
    """Write all key files, sealed to the recipients' certificates (CMS, AES-256), into ``folder``; return the file.

    A recipient opens it with ``openssl cms -decrypt -inform DER -in keys.p7m -inkey own.key | tar x``. Raises
    ``BackupUnfit`` for fewer than two different recipients, or a key that is no RSA key of 3072 bits.
    """
    certificates = [_certificate(path) for path in recipients]
    numbers = {found.public_bytes(Encoding.DER) for found in certificates}
    if len(numbers) < _LEAST_RECIPIENTS:
        raise BackupUnfit("keys are sealed to two different recipients at least: one of them may be lost")
    builder = PKCS7EnvelopeBuilder().set_data(_packed(keys)).set_content_encryption_algorithm(algorithms.AES256)
    for certificate in certificates:
        builder = builder.add_recipient(certificate)
    sealed = builder.encrypt(Encoding.DER, [PKCS7Options.Binary])
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / NAME
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(sealed)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)
    return path


def _certificate(path: Path) -> x509.Certificate:
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError:
        raise BackupUnfit(f"{path} is no certificate in PEM form") from None
    key = found.public_key()
    if not isinstance(key, RSAPublicKey) or key.key_size < _LEAST_BITS:
        raise BackupUnfit(f"{path}: a recipient has an RSA key of {_LEAST_BITS} bits at least")
    return found


def _packed(keys: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(keys.iterdir()):
            if path.is_file():
                archive.add(path, arcname=path.name)
    return packed.getvalue()
