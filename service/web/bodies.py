"""The guard of bodies: what is too large, of the wrong type or not strict JSON is answered before any route sees it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import metrics
from service.errors import FieldError, HubError, MalformedInput, TooLarge, Unavailable, WrongType
from service.web import heads, pointer, problems, strict_json
from service.web.heads import Headers

LARGEST_BODY = 65_536  # bytes
LARGEST_FORM = 8_192
BODY_WITHIN = 20.0  # seconds from the first byte asked for to the last one
MOST_PARAMETERS = 16
# A page on which an officer answers holds a pasted text, or a hundred targets; the paper behind a request is a scan.
LARGEST_ANSWER = 262_144
LARGEST_PAPER = 8_388_608
# A file of evidence that a browser without scripts sends to be checked.
LARGEST_EVIDENCE = 8_388_608
MOST_EVIDENCE = 2
# They are kept in memory while they come, before anybody knows whose they are.
MOST_PAPERS = 8
_COME_BACK = 5  # seconds

_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})


def read_form(raw: bytes, *, most: int = MOST_PARAMETERS, cleans: bool = False) -> dict[str, str]:
    """Return the parameters of a form. Raises MalformedInput for a broken one, or one that names a parameter twice.

    RFC 6749, section 3.2: request parameters must not be included more than once. With ``cleans``, characters that
    nobody sees are taken out instead of refused: what people copy out of a messenger has them.
    """
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=most,
        )
    except ValueError:
        raise MalformedInput("form.malformed") from None
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        field = pointer.build([twice]).removeprefix("/")
        raise MalformedInput("form.duplicate_parameter", fields=(FieldError(field, "form.duplicate_parameter"),))
    if cleans:
        return {name: strict_json.without_controls(value) for name, value in values.items()}
    if any(strict_json.has_control(each) for pair in pairs for each in pair):
        raise MalformedInput("form.malformed")
    return values


@dataclass(frozen=True, slots=True)
class Rule:
    """What the routes under one prefix read: ``keep_as`` names the parsed value in ``scope["state"]``.

    ``at_once`` is how many such bodies one node takes in at a time; None: as many as come.
    """

    largest: int
    media_type: str | None = None
    read: Callable[[bytes], Any] | None = None
    keep_as: str = ""
    at_once: int | None = None


_JSON = Rule(LARGEST_BODY, "application/json", strict_json.parse, "json")
# Read behind the token alone, by its own door: no parser sees a stranger's XML.
_XML = Rule(LARGEST_BODY, "application/xml")
_FORM = Rule(LARGEST_FORM, "application/x-www-form-urlencoded", read_form, "form")
_PAPER = Rule(LARGEST_PAPER, at_once=MOST_PAPERS)
_EVIDENCE = Rule(LARGEST_EVIDENCE, at_once=MOST_EVIDENCE)
_ANSWER = Rule(LARGEST_ANSWER)
_RULES = (
    ("/v1/iso20022", _XML),
    ("/v1", _JSON),
    ("/oauth", _FORM),
    ("/requests/new/paper", _PAPER),
    ("/requests/new", _ANSWER),
    ("/audit/verify", _EVIDENCE),
)
_ANY = Rule(LARGEST_FORM)
_MACHINES = ("/v1", "/oauth")
# Makes a page of an error, with headers added: left by the console in the application's state, for it stands above.
PageOf = Callable[[Scope, HubError, Mapping[str, str]], ASGIApp]


class BodyGuard:
    """Reads the body, checks it, keeps ``raw_body`` and its parsed value in ``scope["state"]`` and replays it.

    A body is refused where none is defined (RFC 9110, 9.3.1: a GET with one is how requests are smuggled past a proxy),
    and so is a head beyond its limits.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._inside: Counter[Rule] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        held: Rule | None = None
        headers: Headers = {}
        try:
            try:
                headers = heads.check(scope)
                if scope["method"] in _WITHOUT_BODY:
                    _check_absent(headers)
                    replayed = receive
                else:
                    rule = next((rule for prefix, rule in _RULES if _under(prefix, scope["path"])), _ANY)
                    _check_headers(headers, rule)
                    held = self._hold(rule)
                    raw = await _read(receive, rule.largest)
                    if raw is None:
                        return  # the client has gone: there is nobody to answer
                    state = scope.setdefault("state", {})
                    state["raw_body"] = raw
                    if rule.read:
                        state[rule.keep_as] = rule.read(raw)
                    replayed = _replay(raw, receive)
            except HubError as error:
                # What is left of the body is never read: the connection ends with the answer.
                await _refusal(scope, headers, error)(scope, receive, send)
                return
            await self.app(scope, replayed, send)
        finally:
            if held is not None:
                self._inside[held] -= 1

    def _hold(self, rule: Rule) -> Rule | None:
        if rule.at_once is None:
            return None
        if self._inside[rule] >= rule.at_once:
            metrics.SHED.labels("body").inc()
            raise Unavailable("overloaded", retry_after=_COME_BACK)
        self._inside[rule] += 1
        return rule


def _refusal(scope: Scope, headers: Headers, error: HubError) -> ASGIApp:
    """Return the problem; who sent a form with a browser gets the page that the console made of it."""
    close = {"Connection": "close"}
    asks_for_page = any(b"text/html" in value for value in headers.get(b"accept", []))
    page: PageOf | None = getattr(scope["app"].state, "page_of", None) if "app" in scope else None
    if not asks_for_page or page is None or any(_under(prefix, scope["path"]) for prefix in _MACHINES):
        return problems.answer(error, close)
    return page(scope, error, close)


def _under(prefix: str, path: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}/")


def _check_absent(headers: Headers) -> None:
    length = headers.get(b"content-length", [b"0"])
    if b"transfer-encoding" in headers or any(value.strip() != b"0" for value in length):
        raise MalformedInput("body.not_expected")


def _check_headers(headers: Headers, rule: Rule) -> None:
    length = headers.get(b"content-length", [])
    if len(length) > 1 or any(not value.isdigit() for value in length):
        raise MalformedInput("body.length", fields=(FieldError("Content-Length", "body.length"),))
    # Long digit strings are not converted: more digits than the limit has is more bytes than it allows.
    if any(len(value.lstrip(b"0")) > 8 or int(value[-9:]) > rule.largest for value in length):
        raise TooLarge("body.too_large", max=rule.largest)
    if headers.get(b"content-encoding", [b"identity"]) != [b"identity"]:
        raise WrongType("body.content_encoding", fields=(FieldError("Content-Encoding", "body.content_encoding"),))
    types = headers.get(b"content-type", [])
    if rule.media_type and not (len(types) == 1 and _is_type(types[0], rule.media_type)):
        field = FieldError("Content-Type", "body.content_type", {"expected": rule.media_type})
        raise WrongType("body.content_type", fields=(field,), expected=rule.media_type)


def _is_type(value: bytes, media_type: str) -> bool:
    kind, *parameters = value.decode("latin-1").lower().split(";")
    return kind.strip() == media_type and all(
        each.strip().replace('"', "") in {"", "charset=utf-8"} for each in parameters
    )


async def _read(receive: Receive, largest: int) -> bytes | None:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if len(body) > largest:
                    raise TooLarge("body.too_large", max=largest)
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise MalformedInput("body.incomplete", seconds=int(BODY_WITHIN)) from None


def _replay(raw: bytes, receive: Receive) -> Receive:
    waiting = True

    async def replay() -> Message:
        nonlocal waiting
        if waiting:
            waiting = False
            return {"type": "http.request", "body": raw, "more_body": False}
        return await receive()

    return replay
