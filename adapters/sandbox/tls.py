"""The sandbox's own certificate authority, made at first start and kept in a folder."""

import ipaddress
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAMES = ("localhost", "127.0.0.1", "::1")
_AUTHORITY_FOR, _SERVER_FOR, _RENEW_BEFORE = timedelta(days=3650), timedelta(days=365), timedelta(days=30)


class SandboxTls:
    """Makes or loads the authority and one server certificate for localhost.

    ``ca_pem`` is what an endpoint registers; ``files`` are the certificate and key that a server loads.
    """

    def __init__(self, folder: Path) -> None:
        """Use ``folder`` (made if missing, readable for its owner alone); keys stay in it and are never replaced."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        now = datetime.fromtimestamp(time.time(), UTC)
        authority_key = _key(folder / "authority.key")
        authority = _certificate(folder / "authority.pem", now) or _write(
            folder / "authority.pem", _self_signed(authority_key, now)
        )
        server_key = _key(folder / "server.key")
        if _certificate(folder / "server.pem", now) is None:
            _write(folder / "server.pem", _issued(server_key.public_key(), authority, authority_key, now))
        self.ca_pem = authority.public_bytes(serialization.Encoding.PEM).decode("ascii")
        self.files = (str(folder / "server.pem"), str(folder / "server.key"))


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    if path.exists():
        loaded = serialization.load_pem_private_key(path.read_bytes(), password=None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        return loaded
    key = ec.generate_private_key(ec.SECP256R1())
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return key


def _certificate(path: Path, now: datetime) -> x509.Certificate | None:
    """Return the kept certificate, or ``None`` where there is none that lasts for another month."""
    if not path.exists():
        return None
    kept = x509.load_pem_x509_certificate(path.read_bytes())
    return kept if kept.not_valid_after_utc > now + _RENEW_BEFORE else None


def _write(path: Path, certificate: x509.Certificate) -> x509.Certificate:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return certificate


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lasting: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(issuer_name=issuer, subject_name=subject, public_key=key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + lasting)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _self_signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = _named("Hỏa Tốc sandbox authority")
    builder = _builder(name, name, key.public_key(), now, _AUTHORITY_FOR)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.add_extension(_usage(certificates=True), critical=True).sign(key, hashes.SHA256())


def _issued(
    key: ec.EllipticCurvePublicKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    names: list[x509.GeneralName] = [x509.DNSName(NAMES[0])]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in NAMES[1:]]
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _builder(_named(NAMES[0]), authority.subject, key, now, _SERVER_FOR)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(identifier, critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
