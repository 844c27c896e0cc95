"""One business message: the header head.001, signed over the whole, beside its document, in one envelope."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from lxml import etree

from adapters.iso20022 import schemas, sign, terms, xml
from adapters.iso20022.sign import Signed
from adapters.iso20022.xml import Element, MessageRefused

_make = xml.Maker(xml.ENVELOPE)
_head = xml.Maker(xml.ISO + schemas.HEADER)
_FORBIDDEN = frozenset({"CpyDplct", "PssblDplct"})


class Party(NamedTuple):
    """Who a message is from or to: the id at the hub, or the hub's address; ``bin`` and ``bic`` where known."""

    id: str
    bin: str | None = None
    bic: str | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says: the message's own id, which message it is, who from and to, when it was made.

    ``drill`` marks an exercise: the business service (``BizSvc``) is then another one.
    """

    id: str
    definition: str
    sender: Party
    receiver: Party
    made_at: datetime
    drill: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """A message that is whole and valid, whose signature fits its bytes and whose key nobody has checked yet.

    ``document`` is what stands below ``Document`` in the signed bytes, ``audience`` the address of the hub that it is
    for (``""`` where it names none), ``drill`` whether it says that it is an exercise.
    """

    id: str
    definition: str
    audience: str
    signed_at: datetime
    document: Element
    signed: Signed
    drill: bool = False


def seal(header: Header, document: Element, kid: str, private: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the message as it goes out: the same bytes from the same content and key. Raises ValueError.

    ``document`` is the message's own root, such as ``CretRsvatn``; everything is validated before it is signed.
    """
    outer = xml.Maker(xml.ISO + header.definition)("Document", document)
    signature = _head("Sgntr")
    head = _head(
        "AppHdr",
        _head("Fr", _party(header.sender)),
        _head("To", _party(header.receiver)),
        _head("BizMsgIdr", header.id),
        _head("MsgDefIdr", header.definition),
        _head("BizSvc", terms.DRILL_SERVICE if header.drill else terms.SERVICE),
        _head("CreDt", instant(header.made_at)),
    )
    root = _make("BizMsg", head, outer)
    etree.indent(root, "  ")
    try:
        schemas.check(head, schemas.HEADER)
        schemas.check(outer, header.definition)
    except MessageRefused as refused:
        raise ValueError(str(refused)) from None
    head[-1].tail, signature.tail = "\n    ", "\n  "
    head.append(signature)
    sign.sign(root, signature, kid, private)
    return xml.written(root)


def open_(raw: bytes) -> Opened:
    """Read a message and check everything but whose key signed it.

    Raises MessageRefused (``xml.…``) and SignatureInvalid. What is returned was read from the bytes that the
    signature's digest is over, never from what came around them.
    """
    root = xml.read(raw)
    head, _ = _parts(root)
    signed = sign.read(root, xml.inside(head, "Sgntr"))
    head, outer = _parts(xml.read(signed.content))
    emptied = xml.inside(head, "Sgntr")
    if emptied is not None:
        head.remove(emptied)  # the signature stood there, which its own bytes cannot hold
    schemas.check(head, schemas.HEADER)
    definition = xml.needed(head, "MsgDefIdr")
    if definition not in schemas.ANSWERS | schemas.SENT or xml.namespace_of(outer) != xml.ISO + definition:
        raise MessageRefused("xml.message", "AppHdr/MsgDefIdr")
    schemas.check(outer, definition)
    service = xml.text(head, "BizSvc")
    if service not in (terms.SERVICE, terms.DRILL_SERVICE):
        raise MessageRefused("xml.value", "AppHdr/BizSvc")
    if any(xml.name_of(each) in _FORBIDDEN for each in head):
        # Whether it is a repetition is seen by its id; a flag would be another message under the same one.
        raise MessageRefused("xml.value", "AppHdr/PssblDplct")
    return Opened(
        id=_identifier(xml.needed(head, "BizMsgIdr")),
        definition=definition,
        audience=xml.text(head, "To/OrgId/Id/OrgId/Othr/Id") or "",
        signed_at=_read_instant(xml.needed(head, "CreDt")),
        document=outer[0],
        signed=signed,
        drill=service == terms.DRILL_SERVICE,
    )


def instant(at: datetime) -> str:
    """Return an instant in UTC, to the second where it is whole."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _parts(root: Element) -> tuple[Element, Element]:
    children = list(root)
    if root.tag != f"{{{xml.ENVELOPE}}}BizMsg" or root.attrib or len(children) != 2:
        raise MessageRefused("xml.envelope", "BizMsg")
    head, outer = children
    if head.tag != f"{{{xml.ISO}{schemas.HEADER}}}AppHdr" or xml.name_of(outer) != "Document":
        raise MessageRefused("xml.envelope", "BizMsg")
    if any((text or "").strip() for text in (root.text, head.tail, outer.tail)):
        raise MessageRefused("xml.envelope", "BizMsg")
    return head, outer


def _party(party: Party) -> Element:
    other = _head("Othr", _head("Id", party.id), _head("SchmeNm", _head("Prtry", terms.SCHEME)))
    if party.bin is None and party.bic is None:
        return _head("OrgId", _head("Id", _head("OrgId", other)))
    return _head("FIId", terms.institution(_head, bin_=party.bin, bic=party.bic, member=party.id))


def _identifier(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise MessageRefused("xml.value", "AppHdr/BizMsgIdr")
    return text


def _read_instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise MessageRefused("xml.value", "AppHdr/CreDt") from None
    if datetime.fromisoformat(text).tzinfo is None:
        raise MessageRefused("xml.value", "AppHdr/CreDt")
    return at
