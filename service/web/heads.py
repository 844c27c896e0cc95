"""The limits of a request's head: its size, its headers and its address, checked before anything is made of them."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

from service.errors import FieldError, HeadTooLarge, MalformedInput, UrlTooLong
from service.web import strict_json

LARGEST_HEAD = 16_384  # bytes; the server's own limit counts only what arrives in pieces
MOST_HEADERS = 64
LONGEST_URL = 4_096  # bytes of path and query
MOST_PARAMETERS = 32

# Two of these are two readings of one request (RFC 9110, 5.3): a proxy in front may take the other one. The body's own
# headers are the body guard's, and of a token or proof given twice there is a fact.
_ONCE = frozenset({b"host", b"transfer-encoding", b"content-encoding", b"idempotency-key", b"hoatoc-signature"})
# The beginning of HTTP/2 looks like a request of a version of its own.
_VERSIONS = frozenset({"1.0", "1.1"})
_LINE_BREAKS = frozenset("\t\n\r")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

Headers = Mapping[bytes, Sequence[bytes]]


def check(scope: Scope) -> Headers:
    """Return the headers by name. Raises HeadTooLarge, UrlTooLong or MalformedInput, with the header's name."""
    if scope["http_version"] not in _VERSIONS:
        raise MalformedInput("head.malformed")
    given: list[tuple[bytes, bytes]] = scope["headers"]
    if len(given) > MOST_HEADERS:
        raise HeadTooLarge("head.too_many", max=MOST_HEADERS)
    # A name, a colon, a space, a value and the end of a line.
    if sum(len(name) + len(value) + 4 for name, value in given) > LARGEST_HEAD:
        raise HeadTooLarge("head.too_large", max=LARGEST_HEAD)
    headers: dict[bytes, list[bytes]] = {}
    for name, value in given:
        headers.setdefault(name.lower(), []).append(value)
        if _CONTROL.search(value):
            raise MalformedInput("head.malformed")
    for name in _ONCE & headers.keys():
        if len(headers[name]) > 1:
            _refuse("head.repeated", name)
    _check_coding(headers)
    _check_address(scope)
    return headers


def _check_coding(headers: Headers) -> None:
    coding = headers.get(b"transfer-encoding")
    if coding is None:
        return
    # RFC 9112, 6.1 and 6.3: what is coded in another way, or has two lengths, is how requests are smuggled.
    if coding[0].strip().lower() != b"chunked" or b"content-length" in headers:
        _refuse("head.transfer_coding", b"transfer-encoding")


def _check_address(scope: Scope) -> None:
    path = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    if len(path) + len(query) > LONGEST_URL:
        raise UrlTooLong("url.too_long", max=LONGEST_URL)
    if not path.startswith(b"/"):
        raise MalformedInput("url.malformed")  # no proxy is here to take an address of another host
    if query.count(b"&") >= MOST_PARAMETERS:
        raise MalformedInput("url.too_many_parameters", max=MOST_PARAMETERS)
    try:
        text = unquote_to_bytes(path + b"?" + query).decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedInput("url.malformed") from None
    if strict_json.has_control(text) or not _LINE_BREAKS.isdisjoint(text):
        raise MalformedInput("url.malformed")


def _refuse(code: str, name: bytes) -> None:
    field = "-".join(word.capitalize() for word in name.decode("ascii").split("-"))
    raise MalformedInput(code, fields=(FieldError(field, code),))
