"""Two people to whom backups are sealed in tests, made once a run: certificates and keys as files."""

import functools
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from service.backup import recipients
from service.backup.recipients import Recipient


def certificate(folder: Path, name: str, bits: int = 3072, password: bytes | None = None) -> tuple[Path, Path]:
    """Make somebody's certificate and key in ``folder``; return both files."""
    key = rsa.generate_private_key(65537, bits)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    path, secret = folder / f"{name}.pem", folder / f"{name}.key"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    under = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(pem, form, under))
    return path, secret


@functools.cache
def people() -> tuple[tuple[Path, Path], tuple[Path, Path]]:
    """Return certificate and key of An and of Bình, whose key is under the password ``mật khẩu``."""
    folder = Path(tempfile.mkdtemp())
    return certificate(folder, "an"), certificate(folder, "binh", password="mật khẩu".encode())


def certificates() -> list[Path]:
    """Return both certificates."""
    return [path for path, _ in people()]


def opener() -> Recipient:
    """Return An, who opens what was sealed to both."""
    path, key = people()[0]
    return Recipient(path, recipients.private_key(key))
