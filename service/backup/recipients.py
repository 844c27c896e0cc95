"""Seals bytes to the certificates of at least two people (CMS, AES-256), so that either of them opens them alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7EnvelopeBuilder, PKCS7Options, pkcs7_decrypt_der

from service.backup.manifest import BackupUnfit

_LEAST_BITS = 3072
_LEAST_RECIPIENTS = 2


def read(recipients: Sequence[Path]) -> list[x509.Certificate]:
    """Return the recipients' certificates. Raises ``BackupUnfit`` for fewer than two different ones, or a weak key."""
    certificates = [_certificate(path) for path in recipients]
    numbers = {found.public_bytes(Encoding.DER) for found in certificates}
    if len(numbers) < _LEAST_RECIPIENTS:
        raise BackupUnfit("a backup is sealed to two different recipients at least: one of them may be lost")
    return certificates


def seal(data: bytes, certificates: Sequence[x509.Certificate]) -> bytes:
    """Return ``data`` as enveloped CMS in DER form, which any of the recipients opens."""
    builder = PKCS7EnvelopeBuilder().set_data(data).set_content_encryption_algorithm(algorithms.AES256)
    for certificate in certificates:
        builder = builder.add_recipient(certificate)
    return builder.encrypt(Encoding.DER, [PKCS7Options.Binary])


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who opens a backup: the certificate that it was sealed to, and its key."""

    certificate: Path
    key: RSAPrivateKey

    def unseal(self, sealed: bytes) -> bytes:
        """Open what was sealed to this recipient among others. Raises ``BackupUnfit``."""
        try:
            return pkcs7_decrypt_der(sealed, _certificate(self.certificate), self.key, [])
        except ValueError:
            raise BackupUnfit("the backup was not sealed to this recipient, or the sealed key was changed") from None


def private_key(path: Path, password: bytes | None = None) -> RSAPrivateKey:
    """Read a recipient's key in PEM form. Raises ``BackupUnfit``, and ``TypeError`` where it wants a password."""
    try:
        found = load_pem_private_key(path.read_bytes(), password)
    except ValueError:
        raise BackupUnfit(f"{path} is no key in PEM form, or the password is another one") from None
    if not isinstance(found, RSAPrivateKey):
        raise BackupUnfit(f"{path} is no RSA key")
    return found


def _certificate(path: Path) -> x509.Certificate:
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError:
        raise BackupUnfit(f"{path} is no certificate in PEM form") from None
    key = found.public_key()
    if not isinstance(key, RSAPublicKey) or key.key_size < _LEAST_BITS:
        raise BackupUnfit(f"{path}: a recipient has an RSA key of {_LEAST_BITS} bits at least")
    return found
