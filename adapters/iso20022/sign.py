"""XML signatures: ES256 by one key over a whole message, in one form, made and verified; nothing else is accepted.

XML Signature 1.1 with one reference to the whole document (URI ""), the enveloped-signature transform, exclusive
canonicalization, SHA-256, ECDSA over P-256 (RFC 4050's successor, XMLDSig 1.1, 6.4.3: r and s side by side, 64 bytes).
The form leaves a message nothing to choose: no algorithm, no identifier, no second reference, no key of its own. ADR
0042 says why.
"""

import base64
import binascii
import copy
import hashlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from lxml import etree

from adapters.iso20022 import xml
from adapters.iso20022.xml import Element

_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
_ENVELOPED = f"{xml.SIGNATURE}enveloped-signature"
_ES256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_HALF = 32  # bytes of r and of s
_LONGEST_KEY_NAME = 64

_make = xml.Maker(xml.SIGNATURE)
# What a signature may consist of: each element by its path, with its attributes; text stands where the value is None.
_FORM: tuple[tuple[str, dict[str, str]], ...] = (
    ("Signature", {}),
    ("Signature/SignedInfo", {}),
    ("Signature/SignedInfo/CanonicalizationMethod", {"Algorithm": _C14N}),
    ("Signature/SignedInfo/SignatureMethod", {"Algorithm": _ES256}),
    ("Signature/SignedInfo/Reference", {"URI": ""}),
    ("Signature/SignedInfo/Reference/Transforms", {}),
    ("Signature/SignedInfo/Reference/Transforms/Transform", {"Algorithm": _ENVELOPED}),
    ("Signature/SignedInfo/Reference/Transforms/Transform", {"Algorithm": _C14N}),
    ("Signature/SignedInfo/Reference/DigestMethod", {"Algorithm": _SHA256}),
    ("Signature/SignedInfo/Reference/DigestValue", {}),
    ("Signature/SignatureValue", {}),
    ("Signature/KeyInfo", {}),
    ("Signature/KeyInfo/KeyName", {}),
)
_WITH_TEXT = frozenset({"DigestValue", "SignatureValue", "KeyName"})


class SignatureInvalid(Exception):
    """A message's signature failed a check: ``missing``, ``malformed``, ``algorithm`` or ``invalid``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature is over, once its digest agreed: the only bytes that may be read further.

    ``kid`` names the key, without proof. Nothing is proved before ``verify`` returned.
    """

    kid: str
    content: bytes = field(repr=False)
    info: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    def verify(self, public: ec.EllipticCurvePublicKey) -> None:
        """Return if this key signed the content. Raises SignatureInvalid ``invalid``."""
        r, s = (int.from_bytes(half, "big") for half in (self.signature[:_HALF], self.signature[_HALF:]))
        try:
            public.verify(utils.encode_dss_signature(r, s), self.info, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise SignatureInvalid("invalid") from None


def sign(root: Element, place: Element, kid: str, private: ec.EllipticCurvePrivateKey) -> None:
    """Sign the whole document of ``root`` and put the signature into ``place``, an empty element inside it.

    Deterministic (RFC 6979): the same document and key give the same bytes, at every attempt and on every node.
    """
    info = _make(
        "SignedInfo",
        _make("CanonicalizationMethod", Algorithm=_C14N),
        _make("SignatureMethod", Algorithm=_ES256),
        _make(
            "Reference",
            _make("Transforms", _make("Transform", Algorithm=_ENVELOPED), _make("Transform", Algorithm=_C14N)),
            _make("DigestMethod", Algorithm=_SHA256),
            _make("DigestValue", _encode(hashlib.sha256(xml.canonical(root)).digest())),
            URI="",
        ),
    )
    value = _make("SignatureValue")
    signature = _make("Signature", info, value, _make("KeyInfo", _make("KeyName", kid)))
    place.append(signature)
    etree.indent(signature, "  ", level=3)
    made = private.sign(xml.canonical(info), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    r, s = utils.decode_dss_signature(made)
    value.text = _encode(r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big"))


def read(root: Element, place: Element | None) -> Signed:
    """Read the one signature of a document, which stands in ``place`` and nowhere else, without trusting its key.

    Raises SignatureInvalid: ``missing``, ``malformed`` (more, less or something else than the form above, or a second
    signature), ``algorithm``, or ``invalid`` where the digest is another document's.
    """
    found = list(root.iter(f"{{{xml.SIGNATURE}}}Signature"))
    if not found:
        raise SignatureInvalid("missing")
    # Whatever is of the signature's namespace belongs to the one signature: nothing is left to be mistaken for it.
    stray = sum(1 for each in root.iter() if xml.namespace_of(each) == xml.SIGNATURE) != len(_FORM)
    if len(found) > 1 or place is None or list(place) != found or stray:
        raise SignatureInvalid("malformed")
    signature = found[0]
    _check_form(signature)
    content = _without(root, signature)
    if _decode(xml.needed(signature, "SignedInfo/Reference/DigestValue"), 32) != hashlib.sha256(content).digest():
        raise SignatureInvalid("invalid")
    return Signed(
        kid=xml.needed(signature, "KeyInfo/KeyName"),
        content=content,
        info=xml.canonical(xml.inside(signature, "SignedInfo")),
        signature=_decode(xml.needed(signature, "SignatureValue"), 2 * _HALF),
    )


def _check_form(signature: Element) -> None:
    given = list(signature.iter())
    if len(given) != len(_FORM):
        raise SignatureInvalid("malformed")
    for element, (path, attributes) in zip(given, _FORM, strict=True):
        *parents, name = path.split("/")
        above = [each.tag for each in element.iterancestors()][: len(parents)]
        # In document order: what is above was looked at before.
        if [element.tag, *above] != [f"{{{xml.SIGNATURE}}}{each}" for each in (name, *reversed(parents))]:
            raise SignatureInvalid("malformed")
        if dict(element.attrib) != attributes:
            raise SignatureInvalid("algorithm" if element.get("Algorithm") else "malformed")
        said = "".join([element.text or "", *(child.tail or "" for child in element)]).strip()
        if bool(said) is not (name in _WITH_TEXT):
            raise SignatureInvalid("malformed")
    kid = xml.needed(signature, "KeyInfo/KeyName")
    if len(kid) > _LONGEST_KEY_NAME or not kid.isascii() or not kid.isprintable() or " " in kid:
        raise SignatureInvalid("malformed")


def _without(root: Element, signature: Element) -> bytes:
    """Return the canonical form of the document as it was before the signature was put into it."""
    number = list(root.iter()).index(signature)
    whole = copy.deepcopy(root)
    copied = list(whole.iter())[number]
    parent, tail = copied.getparent(), copied.tail
    parent.remove(copied)
    # The blanks behind the signature are its parent's, and stay.
    if tail:
        parent.text = (parent.text or "") + tail
    return xml.canonical(whole)


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decode(text: str, length: int) -> bytes:
    """Return the bytes of a base64 text, which may have line breaks. Raises SignatureInvalid ``malformed``."""
    plain = "".join(text.split())
    try:
        raw = base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError):
        raise SignatureInvalid("malformed") from None
    if len(raw) != length or _encode(raw) != plain:
        raise SignatureInvalid("malformed")
    return raw
