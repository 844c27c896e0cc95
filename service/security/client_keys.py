"""The hub's keys for mutual TLS: one a file, found by the certificate that a participant's authority issued for it."""

import hashlib
import os
import stat
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from service.security.keyfile import FILE_MODE
from service.security.keyring import KeyUnfit

_LARGEST_FILE = 16_384


def make(folder: Path, name: str) -> str:
    """Make a P-256 key in a new file of ``folder``, mode 0400, and return the request to certify it, as PEM text.

    ``name`` is the common name that is asked for. The key's file is named by the key, so that none is replaced.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(_path(folder, key.public_key()), os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        file.flush()
        os.fsync(file.fileno())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def pair(folder: Path, certificate: str | None) -> tuple[str, str] | None:
    """Return a certificate, as PEM text, and the file of its key, as the transport takes them; None for no certificate.

    Raises KeyUnfit: ``key.file_content`` for what is no certificate of an elliptic curve key or a key file that does
    not belong to it, ``key.missing`` where this node has no such key, ``key.file_mode`` where others may read it.
    """
    if certificate is None:
        return None
    try:
        public = x509.load_pem_x509_certificates(certificate.encode())[0].public_key()
    except ValueError:
        raise KeyUnfit("key.file_content") from None
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise KeyUnfit("key.file_content")
    path = _path(folder, public)
    try:
        with path.open("rb") as file:
            # The opened file is asked, not the path: nobody can swap it in between.
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
                raise KeyUnfit("key.file_mode")
            private = serialization.load_pem_private_key(file.read(_LARGEST_FILE), password=None)
    except OSError:
        raise KeyUnfit("key.missing") from None
    except (ValueError, TypeError) as error:
        raise (error if isinstance(error, KeyUnfit) else KeyUnfit("key.file_content")) from None
    if private.public_key() != public:
        raise KeyUnfit("key.file_content")
    return certificate, str(path)


def _path(folder: Path, public: ec.EllipticCurvePublicKey) -> Path:
    encoded = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return folder / f"client-{hashlib.sha256(encoded).hexdigest()[:32]}.pem"
