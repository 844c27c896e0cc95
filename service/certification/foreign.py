"""Changes a signed call under way: another target in it, or a form that its standard does not know."""

import json
from collections.abc import Mapping, Sequence

from adapters import signing
from adapters.iso20022 import sign, xml
from service.certification.parcels import Hand, Parcel
from workflows.terms import Channel

# The version of a message that there is not.
_NO_VERSION = "99"


def changed(
    content: bytes, headers: Mapping[str, str], parcel: Parcel, channel: Channel, secrets: Sequence[str], hub: Hand
) -> tuple[bytes, dict[str, str]]:
    """Return what really goes out instead of what an adapter made.

    A business message is changed after it was signed; in JSON the order inside was changed before, and the call around
    it is always that of who holds the secret. A foreign form is signed by ``hub``: nothing but the form is wrong.
    """
    given = dict(headers)
    if channel is Channel.ISO20022:
        if parcel.instead is not None:
            before, after = parcel.instead
            content = content.replace(before.encode(), after.encode())
        return (_of_unknown_version(content, hub) if parcel.foreign else content), given
    if parcel.foreign and channel is Channel.ETSI:
        content = _with_unknown_field(content)
        sent_at = int(given["webhook-timestamp"])
        given["webhook-signature"] = signing.sign(secrets, given["webhook-id"], sent_at, content)
    return content, given


def _with_unknown_field(content: bytes) -> bytes:
    message = json.loads(content)
    message["Header"]["Certification"] = "unknown"
    return json.dumps(message, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _of_unknown_version(content: bytes, hub: Hand) -> bytes:
    """Return the message with its document in a namespace that is not the one its header names, signed anew."""
    space = xml.namespace_of(list(xml.read(content))[1])
    root = xml.read(content.replace(f'"{space}"'.encode(), f'"{space[:-2]}{_NO_VERSION}"'.encode()))
    signature = xml.inside(next(iter(root)), "Sgntr")
    assert signature is not None, "a business message is always signed"
    for part in list(signature):
        signature.remove(part)
    sign.sign(root, signature, hub.kid, hub.private)
    return xml.written(root)
