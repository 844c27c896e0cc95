"""The schemas of the messages that are spoken, as the registration authority publishes them, and the one validator."""

import functools
from pathlib import Path
from typing import Any

from lxml import etree

from adapters.iso20022 import xml
from adapters.iso20022.xml import Element, MessageRefused

FOLDER = Path(__file__).parent / "data" / "xsd"
HEADER = "head.001.001.04"
DETAILS = "hoatoc.order.1"

# What the hub sends.
FREEZE = "camt.103.001.03"
EXTEND = "camt.048.001.07"
LIFT = "camt.049.001.07"
READ_BACK = "camt.046.001.08"
RECALL = "camt.056.001.11"
DISCLOSE = "auth.001.001.02"
CONFIDENTIALITY = "auth.003.001.01"
# A trace is the same inquiry: not about who owns an account but about what moved on it.
TRACE = DISCLOSE
SENT = frozenset({FREEZE, EXTEND, LIFT, READ_BACK, RECALL, DISCLOSE, CONFIDENTIALITY})
# What banks answer.
RECEIPT = "camt.025.001.09"
RESERVATION = "camt.047.001.08"
RESOLUTION = "camt.029.001.13"
DISCLOSED = "auth.002.001.02"
REJECT = "admi.002.001.01"
ANSWERS = frozenset({RECEIPT, RESERVATION, RESOLUTION, DISCLOSED, REJECT})


def check(element: Element, name: str) -> None:
    """Return if an element is valid by the schema ``name``. Raises MessageRefused ``xml.schema`` with the first place.

    The place is made of element names alone: what stood in them may be a person's.
    """
    schema = _schema(name)
    # A tree of its own: namespaces and identifiers of what is around it are none of the schema's business.
    alone = etree.fromstring(xml.canonical(element), etree.XMLParser(resolve_entities=False, no_network=True))
    if not schema.validate(alone):
        raise MessageRefused("xml.schema", _place(schema.error_log[0]))


@functools.cache
def _schema(name: str) -> Any:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    return etree.XMLSchema(etree.parse(FOLDER / f"{name}.xsd", parser))


def _place(error: Any) -> str:
    found = (error.path or "").split("/")
    return "/".join(part.rpartition(":")[2] for part in found if part)[-200:]
