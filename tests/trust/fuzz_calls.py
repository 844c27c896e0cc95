"""Hostile calls: good ones of every operation, changed at random in their JSON, bytes, address and headers."""

import copy
import json
import random
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

FOLDER = Path(__file__).parents[2] / "openapi"
CONTRACT: dict[str, Any] = json.loads((FOLDER / "hub.v1.json").read_text("utf-8"))
EXAMPLES: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted((FOLDER / "examples").glob("*/*.json"))
}
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW")

# What once broke somebody's server, each as a value of JSON, written raw.
NASTY_JSON = (
    *("null", "true", "false", "0", "-0", "-1", "1.5", "1e999", "-1e-999", "NaN", "-Infinity", "1" * 400, "1e5"),
    *("9007199254740993", "-9223372036854775809", '""', '" "', "[]", "{}", "[[]]", '{"":""}', "[" * 40 + "]" * 40),
    *('"\\u0000"', '"\\ud800"', '"\\udfff\\ud800"', '"\\u202e"', '"\\u200f"', '"\\ufeff"', '"\\uffff"', '"\U0001f46e"'),
    *('"2026-02-30"', '"0001-01-01"', '"9999-12-31"', '"2026-11-29T24:00:00Z"', '"0001-01-01T00:00:00+14:00"'),
    *('"9999-12-31T23:59:59-14:00"', '"2026-11-29T10:00:60Z"', '"2026-11-29"', '"-2026-11-29T10:00:00Z"', '"1e9"'),
    *('"\'; DROP TABLE requests; --"', '"%00%s%n"', '"../../etc/passwd"', '"{{7*7}}"', '"=1+1"', '"\\r\\nX: y"'),
    *('"' + "a" * 5_000 + '"', '"' + "ế" * 300 + '"', '"e\\u0302\\u0301"', '"00000000-0000-0000-0000-000000000000"'),
    *('"１２３"', '"٣"', '"+84"', '"http://[::1"', '"https://\\u0000"', '"a@b"', '"P1D"', "1" + "0" * 14, '"\\u2028"'),
)
NASTY_TEXT = (
    *(
        "",
        " ",
        "0",
        "-1",
        "null",
        "NaN",
        "1e9",
        "%00",
        "%ff",
        "%ED%A0%80",
        "%E2%80%AE",
        "..",
        "../..",
        "%2e%2e%2f",
        "%2F",
    ),
    *("a" * 300, "%C4%83" * 50, "*", "'", "%22", "%0d%0aX:%20y", "9" * 40, "2026-02-30", "9999-12-31", "0001-01-01"),
    *(
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "true",
        "%F0%9F%91%AE",
        "%EF%BF%BF",
    ),
    *(
        "2026-11-29T10:00:00Z",
        "0001-01-01T00:00:00%2B14:00",
        "9999-12-31T23:59:59-14:00",
        "{x}",
        "%7B%7B7*7%7D%7D",
        ";a=b",
    ),
)
NASTY_HEADERS = (
    *(
        b"",
        b" ",
        b"\xff\xfe",
        b"\xc4\x83",
        b"a" * 9_000,
        b"a,b",
        b'"',
        b"'; --",
        b"..",
        b"null",
        b"e30..e30",
        b"e30.e30.e30",
    ),
    *(
        b"0",
        b"-1",
        b"1e9",
        b"=?utf-8?q?x?=",
        b"a" * 256,
        b"\t",
        b"application/json; charset=utf-16",
        b"chunked",
        b"gzip",
    ),
)
HEADERS = (
    *("Idempotency-Key", "Hoatoc-Signature", "Authorization", "DPoP", "Content-Type", "Content-Encoding", "Accept"),
    *("Accept-Language", "Host", "Cookie", "X-Forwarded-For", "Expect", "Range", "If-None-Match", "Transfer-Encoding"),
    *("Content-Length", "Hoatoc-Presence", "Sec-Fetch-Site", "Connection", "Upgrade", "X-" + "x" * 200),
)


@dataclass
class Call:
    """One call, as it will be sent; ``who`` is the name of a system, headers that are bytes are sent as they are."""

    operation: str
    method: str
    path: str
    who: str
    query: str = ""
    body: bytes | None = None
    headers: dict[str, str | bytes] = field(default_factory=dict)
    signs: bool = True

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path


class Deck:
    """Good calls of every operation, about things that exist, and hostile ones made of them."""

    def __init__(self, draw: random.Random, things: Mapping[str, list[str]], bodies: Mapping[str, list[Any]]) -> None:
        """Take chance, the ids to put into paths by parameter, and better bodies than the examples'."""
        self.draw, self.things, self.bodies = draw, things, bodies
        self.operations = [
            (path, method.upper(), each) for path, item in CONTRACT["paths"].items() for method, each in item.items()
        ]

    def good(self) -> Call:
        """Return a call that its operation may well take."""
        path, method, operation = self.draw.choice(self.operations)
        name = operation["operationId"]
        filled = path
        for parameter in self._parameters(operation, "path"):
            known = self.things.get(parameter["name"], ["x"])
            filled = filled.replace(f"{{{parameter['name']}}}", self.draw.choice(known))
        call = Call(name, method, filled, self.draw.choice(_WHO.get(name.lower(), _WHO[""])))
        chosen = [each for each in self._parameters(operation, "query") if self.draw.random() < 0.3]
        call.query = urlencode({each["name"]: self._value(each) for each in chosen if each["name"] != "wait"})
        if "requestBody" in operation:
            given = self.bodies.get(name) or [EXAMPLES.get(name, {}).get("request", {})]
            body, (kind, *_) = self.draw.choice(given), operation["requestBody"]["content"]
            is_xml = kind == "application/xml"
            call.body = body.encode() if is_xml else json.dumps(body, ensure_ascii=False).encode()
            call.headers["Content-Type"] = kind
            call.headers["Idempotency-Key"] = f"{self.draw.getrandbits(64):x}"
        return call

    def hostile(self) -> Call:
        """Return a good call with one to three things wrong with it."""
        call = copy.deepcopy(self.good())
        ways = [self._json, self._json, self._json, self._bytes, self._path, self._query, self._header, self._method]
        for _ in range(self.draw.choice((1, 1, 1, 2, 3))):
            self.draw.choice(ways)(call)
        return call

    def _parameters(self, operation: Mapping[str, Any], where: str) -> Iterator[Mapping[str, Any]]:
        return (each for each in operation.get("parameters", []) if each.get("in") == where)

    def _value(self, parameter: Mapping[str, Any]) -> str:
        schema = parameter.get("schema", {})
        if "enum" in schema:
            return str(self.draw.choice(schema["enum"]))
        if schema.get("type") == "integer":
            return str(self.draw.randint(1, 200))
        return self.draw.choice(["", "a", "HT-261124-RVRVKX", "2026-11-20T00:00:00Z", *self.things["request_id"]])

    def _json(self, call: Call) -> None:
        if call.body is None:
            return self._query(call)
        try:
            document = json.loads(call.body)
        except ValueError:
            return self._bytes(call)
        places = list(_places(document))
        if not places:
            call.body = self.draw.choice(NASTY_JSON).encode()
            return None
        holder, key = self.draw.choice(places)
        way = self.draw.randrange(5)
        if way == 0 and isinstance(holder, dict):
            del holder[key]
        elif way == 1 and isinstance(holder, dict):
            holder[self.draw.choice(("extra", "", "__proto__", "$ref", "ế", str(key).upper()))] = holder[key]
        elif way == 2:
            holder[key] = (
                copy.deepcopy(document)
                if self.draw.random() < 0.5
                else [holder[key]] * self.draw.choice((0, 2, 99, 500))
            )
        else:
            mark = "\U0010fffd"
            holder[key] = mark
            text = json.dumps(document, ensure_ascii=False)
            call.body = text.replace(f'"{mark}"', self.draw.choice(NASTY_JSON), 1).encode("utf-8", "surrogatepass")
            return None
        call.body = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
        return None

    def _bytes(self, call: Call) -> None:
        raw = bytearray(call.body or b"")
        at = self.draw.randrange(len(raw) + 1)
        match self.draw.randrange(6):
            case 0:
                raw[at:at] = self.draw.randbytes(self.draw.choice((1, 2, 8, 200)))
            case 1:
                del raw[at : at + self.draw.choice((1, 4, 50, 5_000))]
            case 2:
                raw[at : at + 1] = bytes([self.draw.randrange(256)])
            case 3:
                raw = raw * 2
            case 4:
                raw[at:at] = b" " * self.draw.choice((1_000, 60_000, 70_000))
            case 5:
                raw[0:0] = self.draw.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"[", b"{", b'"'))
        call.body = bytes(raw)

    def _path(self, call: Call) -> None:
        parts = call.path.split("/")
        at = self.draw.randrange(1, len(parts))
        parts[at] = self.draw.choice(NASTY_TEXT)
        call.path = "/".join(parts)

    def _query(self, call: Call) -> None:
        name = self.draw.choice(
            ("state", "action", "after", "limit", "reference", "submitted_from", "request_id", "q", "x")
        )
        more = f"{name}={self.draw.choice(NASTY_TEXT)}"
        call.query = f"{call.query}&{more}" if call.query else more
        if self.draw.random() < 0.05:
            call.query += "&a=1" * self.draw.choice((20, 50, 2_000))

    def _header(self, call: Call) -> None:
        name = self.draw.choice(HEADERS)
        if self.draw.random() < 0.2:
            text = "".join(self.draw.choices(string.printable[:95], k=self.draw.choice((1, 10, 300))))
            call.headers[name] = quote(text, safe=string.punctuation + " ").strip()
        else:
            call.headers[name] = self.draw.choice(NASTY_HEADERS)

    def _method(self, call: Call) -> None:
        call.method = self.draw.choice(METHODS)


_POLICE, _BANK, _DESK, _ADMIN = "police", "bank", "coordinator", "admin"
_WHO: Mapping[str, tuple[str, ...]] = {
    "": (_POLICE, _BANK, _DESK, _ADMIN, _ADMIN),
    **dict.fromkeys(("submitrequest", "approverequest", "reviewrequest", "withdrawrequest"), (_POLICE,)),
    **dict.fromkeys(("answerappeal", "decideappeal", "listwrongfulholds"), (_POLICE,)),
    **dict.fromkeys(("acknowledgeorder", "listorders", "getorder"), (_BANK,)),
    "fileappeal": (_BANK, _DESK),
    **dict.fromkeys(("resolvetask", "answercallback", "listtasks", "listescalations"), (_DESK,)),
}


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(pairs):
        yield node, key
        yield from _places(value)
