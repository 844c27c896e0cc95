"""Reading and writing XML: one strict parser for what comes from outside, a maker of elements, canonical bytes."""

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

# What the front door lets in; a parser of its own must not be asked for more.
LARGEST = 65_536  # bytes
ENVELOPE = "urn:hoatoc:xsd:bizmsg:1"
ORDER = "urn:hoatoc:xsd:order:1"
ISO = "urn:iso:std:iso:20022:tech:xsd:"
SIGNATURE = "http://www.w3.org/2000/09/xmldsig#"
_DECLARED = (b"<?xml version='1.0' encoding='UTF-8'?>", b'<?xml version="1.0" encoding="UTF-8"?>')
# Another declared encoding is another text than the bytes that are kept and shown to a court.
_DECLARATION = re.compile(
    rb"""<\?xml\s+version=["']1\.0["'](\s+encoding=["']utf-8["'])?(\s+standalone=["'](yes|no)["'])?\s*\?>""",
    re.IGNORECASE,
)

Element = Any


class MessageRefused(Exception):
    """What came is no message that the hub understands; ``code`` is stable, ``place`` the element that is wrong."""

    def __init__(self, code: str, place: str = "") -> None:
        super().__init__(f"{code} {place}".rstrip())
        self.code = code
        self.place = place


def read(raw: bytes) -> Element:
    """Return the root of an XML text in UTF-8 that has no document type, comment or processing instruction.

    Nothing is fetched and no entity is expanded but the five that XML itself has. Attributes of other namespaces are
    refused too: ``xsi:schemaLocation`` would have a validator open files, ``xsi:type`` and ``xml:id`` change what
    stands there. Raises MessageRefused:
    ``xml.too_large``, ``xml.encoding``, ``xml.doctype``, ``xml.syntax`` or ``xml.not_plain``.
    """
    if len(raw) > LARGEST:
        raise MessageRefused("xml.too_large")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        raise MessageRefused("xml.encoding") from None
    # No byte order mark and no zero byte: nothing that could be read in another encoding either.
    if not raw.startswith(b"<") or b"\0" in raw or (raw.startswith(b"<?xml") and not _DECLARATION.match(raw)):
        raise MessageRefused("xml.encoding")
    # Before the parser sees it: no document of ours has one, and everything that bombs or fetches begins with it.
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise MessageRefused("xml.doctype")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        strip_cdata=True,
    )
    try:
        root = etree.fromstring(raw, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise MessageRefused("xml.syntax") from None
    if root.getroottree().docinfo.doctype:
        raise MessageRefused("xml.doctype")
    outside = root.getprevious() is not None or root.getnext() is not None
    if outside or any(not isinstance(node.tag, str) for node in root.iter()):
        raise MessageRefused("xml.not_plain")
    if any(str(name).startswith("{") for node in root.iter() for name in node.keys()):  # noqa: SIM118 - lxml's own
        raise MessageRefused("xml.not_plain")
    return root


def canonical(element: Element) -> bytes:
    """Return the exclusive canonical form without comments (W3C, Exclusive XML Canonicalization 1.0).

    Raises MessageRefused ``xml.not_plain`` for what has none: a namespace that is a relative address.
    """
    try:
        written: bytes = etree.tostring(element, method="c14n", exclusive=True, with_comments=False)
    except etree.C14NError:
        raise MessageRefused("xml.not_plain") from None
    return written


def written(root: Element) -> bytes:
    """Return a document as it goes out: declared as UTF-8, its elements as they stand in the tree."""
    text: bytes = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    # lxml writes apostrophes; banks' gateways that compare the first line know the quotation marks of the standard.
    return text.replace(*_DECLARED, 1) + b"\n"


class Maker:
    """Makes the elements of one namespace: ``make("MsgHdr", make("MsgId", "1"))``; what is None is left out."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def __call__(self, name: str, *content: "Element | str | None", **attributes: str) -> Element:
        """Return an element; a text is its text, an element its next child. Raises ValueError for what XML has not."""
        made = etree.Element(f"{{{self._namespace}}}{name}", attributes, nsmap={None: self._namespace})
        for each in content:
            if isinstance(each, str):
                made.text = each
            elif each is not None:
                made.append(each)
        return made


def name_of(element: Element) -> str:
    """Return an element's name without its namespace."""
    return str(etree.QName(element).localname)


def namespace_of(element: Element) -> str:
    """Return an element's namespace, ``""`` where it has none."""
    return etree.QName(element).namespace or ""


def inside(element: Element, path: str) -> Element | None:
    """Return the first element at ``A/B/C`` below, all in the element's own namespace; None where there is none."""
    return next(every(element, path), None)


def every(element: Element, path: str) -> Iterator[Element]:
    """Return all elements at ``A/B/C`` below, all in the element's own namespace."""
    space = namespace_of(element)
    found: Iterator[Element] = element.iterfind("/".join(f"{{{space}}}{part}" for part in path.split("/")))
    return found


def text(element: Element, path: str) -> str | None:
    """Return the text at ``A/B/C`` below, None where there is none."""
    found = inside(element, path)
    return None if found is None else (found.text or "")


def needed(element: Element, path: str) -> str:
    """Return the text at ``A/B/C`` below. Raises MessageRefused ``xml.value`` where there is none."""
    found = text(element, path)
    if not found:
        raise MessageRefused("xml.value", path)
    return found
