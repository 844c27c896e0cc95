"""Seals a letter: one PAdES signature (ETSI EN 319 142-1, baseline B) over the whole file, made and verified."""

from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from asn1crypto import keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import signers
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko_certvalidator.registry import SimpleCertificateStore

_FIELD = "HoaToc"


@dataclass(frozen=True, slots=True)
class Seal:
    """What seals: a P-256 private key and its certificate."""

    private: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def self_made(
    private: ec.EllipticCurvePrivateKey, kid: str, hub: str, not_before: datetime, not_after: datetime
) -> Seal:
    """Return a seal whose certificate the key itself signed: a reader compares the key with the hub's published ones.

    ``kid`` is the key's RFC 7638 thumbprint, ``hub`` the address at which the hub publishes its keys.
    """
    name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, hub[:64]),
            x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "Hỏa Tốc"),
            # Not the serial number, a PrintableString that has no place for base64url's underscore.
            x509.NameAttribute(x509.NameOID.COMMON_NAME, kid),
        ]
    )
    usage = x509.KeyUsage(
        *(True, True), *(False,) * 5, encipher_only=False, decipher_only=False
    )  # digitalSignature and contentCommitment, as EN 319 412-2 wants of a seal
    digest = hashes.Hash(hashes.SHA256())
    digest.update(kid.encode())
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        # By the key alone, so that each letter under one key names one certificate.
        .serial_number(int.from_bytes(digest.finalize()[:16], "big") >> 1)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(private, hashes.SHA256())
    )
    return Seal(private, made)


def seal(pdf: bytes, by: Seal, *, reason: str, place: str) -> bytes:
    """Return the PDF with the signature appended; ``reason`` and ``place`` are shown by the reader. Blocks."""
    private = keys.PrivateKeyInfo.load(
        by.private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    none_above = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    signer = signers.SimpleSigner(_asn1(by.certificate), private, none_above)
    about = signers.PdfSignatureMetadata(
        field_name=_FIELD,
        md_algorithm="sha256",
        subfilter=SigSeedSubFilter.PADES,
        reason=reason,
        location=place,
    )
    made = BytesIO()
    writer = IncrementalPdfFileWriter(BytesIO(pdf))
    signers.PdfSigner(about, signer).sign_pdf(writer, output=made)
    return made.getvalue()


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(certificate.public_bytes(serialization.Encoding.DER))
