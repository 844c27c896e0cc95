"""Every route of the contract and every page with an id, by every caller, with an own, a foreign and a missing id."""

import json
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import etsi_steps
import httpx
import registry_forms
import world as worlds
from apis import System
from fastapi.routing import APIRoute, iter_route_contexts
from iso_bank import Bank
from isolation_stage import AGENCY, HEADER, OFFICER_NAME, Caller, Stage

from adapters.etsi import terms
from adapters.iso20022 import terms as bank_terms
from service import clock
from service.console import doors
from service.contract import examples
from service.security import console_session
from service.security.scopes import Scope
from service.security.signatures import Kind

HUB = json.loads((Path(__file__).parents[2] / "openapi" / "hub.v1.json").read_text("utf-8"))
_PLACES = re.compile(r"\{(\w+)\}")
# An answer's own instant and number; everything else of two answers is compared byte by byte.
OWN_TO_AN_ANSWER = frozenset({"date", "x-request-id"})
_OWN_INSTANT = re.compile(r'"Timestamp":"[^"]*"')

Values = dict[str, str]
Body = Callable[[Stage, Caller, Values], tuple[Any, dict[str, str]]]


@dataclass(frozen=True)
class Route:
    """A way in: an operation of the contract, or a page of the console."""

    name: str
    method: str
    path: str
    slots: tuple[str, ...]
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    scopes: frozenset[str] = frozenset()
    is_page: bool = False


@dataclass(frozen=True)
class Attempt:
    """One thing to try: ``slot`` gets a foreign id and a missing one, or (None) the list is read with ``query``."""

    route: Route
    caller: str
    slot: str | None
    kind: str
    query: tuple[tuple[str, str], ...] = ()


class Uncovered(AssertionError):
    """The contract has something that this walk does not know how to ask for: it must be taught."""


def operations() -> list[Route]:
    """Return the operations of the committed contract."""
    found = []
    for path, item in HUB["paths"].items():
        for method, operation in item.items():
            parameters = operation.get("parameters", [])
            parameters = [_resolved(each) for each in parameters]
            placed = [each["name"] for each in parameters if each["in"] == "path"]
            name = operation["operationId"]
            slots = tuple(_slot(name, each) for each in placed) + tuple(_IN_BODY.get(name, ()))
            query = {each["name"]: each["schema"] for each in parameters if each["in"] == "query"}
            if ("requestBody" in operation) != (name in BODIES):
                raise Uncovered(f"{name}: the walk has no body for it, or one too many")
            scopes = frozenset(scope for each in operation["security"] for scope in each["accessToken"])
            found.append(Route(name, method.upper(), path, slots, query, scopes))
    return found


# No pages of people: numbers of this node, and streams, whose isolation test_streams and test_board_pages see to.
_NO_PAGES = ("/metrics", "/v1/orders/stream", "/board/events", "/wall/events", "/delivery/events")


def pages(app: Any) -> list[Route]:
    """Return the console's pages, as the application has them."""
    found = []
    every = {
        (context.path, method)
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute)
        and not context.include_in_schema
        and context.path not in _NO_PAGES
        for method in set(context.methods or ()) - {"HEAD"}
    }
    for path, method in sorted(every):
        placed = _PLACES.findall(path)
        unknown = [each for each in placed if each not in _PAGE_SLOTS and each not in _NO_ID]
        if unknown:
            raise Uncovered(f"{path}: the walk does not know {unknown}")
        if method == "POST" and path not in _FORMS:
            raise Uncovered(f"{path}: the walk has no form for it")
        slots = tuple(_PAGE_SLOTS[each] for each in placed if each in _PAGE_SLOTS)
        scopes = _FORM_SCOPES.get(path, frozenset()) if method == "POST" else frozenset()
        found.append(Route(f"{method} {path}", method, path, slots, scopes=scopes, is_page=True))
    return found


def deck(stage: Stage, routes: list[Route], callers: list[str], draw: random.Random) -> list[Attempt]:
    """Return everything that there is to try: each route and id, by each caller, own, foreign and missing, shuffled."""
    found = [each for route in routes for caller in callers for each in _of(stage, route, caller, draw)]
    draw.shuffle(found)
    return found


def sample(stage: Stage, whole: list[Attempt]) -> list[Attempt]:
    """Return of a deck each route, id and kind by somebody whom the door lets in, and each route by each role."""
    first: dict[tuple[str, ...], Attempt] = {}
    for each in whole:
        # Each list is read whole by each who may read it: what is a stranger's there differs.
        reader = each.caller if each.kind == "list" else ""
        if is_let_in(stage, each):
            first.setdefault((each.route.name, each.slot or "", each.kind, reader), each)
    picked = set(first.values())
    met = {pair for each in picked for pair in _roles(stage, each.caller, each.route)}
    for each in whole:
        if not met.issuperset(_roles(stage, each.caller, each.route)):
            met |= _roles(stage, each.caller, each.route)
            picked.add(each)
    return [each for each in whole if each in picked]


def _roles(stage: Stage, caller: str, route: Route) -> set[tuple[str, str]]:
    # Who holds two roles shows nothing of either; nobody is a role of his own.
    roles = stage.callers[caller].roles
    return {(roles[0] if roles else caller, route.name)} if len(roles) < 2 else set()


def uncovered(stage: Stage, asked: set[Attempt], routes: list[Route], roles: Iterable[str], *, whole: bool) -> set[str]:
    """Return what nobody asked for: a route by a role, and in a whole walk an id of a route by a role."""
    met, ids = set(), set()
    for each in asked:
        for role, name in _roles(stage, each.caller, each.route):
            met.add((role, name))
            ids.add((role, name, each.slot, "foreign" if each.kind == "missing" else each.kind))
    missed = {f"{route.name} by {role}" for route in routes for role in roles if (role, route.name) not in met}
    if whole:
        missed |= {
            f"{kind} {slot} of {route.name} by {role}"
            for route in routes
            for slot in route.slots
            for role in roles
            for kind in _kinds(stage, role, slot)
            if (role, route.name, slot, kind) not in ids
        }
    return missed


def _kinds(stage: Stage, role: str, slot: str) -> set[str]:
    if slot in _EVERYBODYS:
        return {"shared"}
    mine = [each for each in stage.callers.values() if (each.roles or (each.name,)) == (role,)]
    return {"foreign", *(["own"] if any(stage.ids(each, slot, own=True) for each in mine) else [])}


def is_change(stage: Stage, attempt: Attempt) -> bool:
    """Tell whether this is somebody who may, and acts upon what is his: it comes behind all that changes nothing."""
    return attempt.kind == "own" and attempt.route.method != "GET" and is_let_in(stage, attempt)


def is_let_in(stage: Stage, attempt: Attempt) -> bool:
    """Tell whether the door lets this caller ask at all, whatever he asks about."""
    who = stage.callers[attempt.caller]
    if not attempt.route.scopes:
        return who.system is not None
    return who.system is not None and not attempt.route.scopes.isdisjoint(stage.principal(who).scopes)


def _of(stage: Stage, route: Route, caller: str, draw: random.Random) -> Iterator[Attempt]:
    who = stage.callers[caller]
    for slot in route.slots:
        if slot in _EVERYBODYS:
            yield Attempt(route, caller, slot, "shared")
            continue
        # Nothing is foreign to those who watch over all: what is missing must be missing for them too.
        yield Attempt(route, caller, slot, "foreign" if stage.ids(who, slot, own=False) else "missing")
        if stage.ids(who, slot, own=True):
            yield Attempt(route, caller, slot, "own")
    if route.slots:
        # What hangs on an id is asked for by its id: whose it is decides, not how a page of it is turned.
        return
    yield Attempt(route, caller, None, "plain")
    if "limit" in route.query:
        yield Attempt(route, caller, None, "list", (("limit", "200"),))
    for name, schema in route.query.items():
        for value in _query_values(stage, who, name, schema, draw):
            yield Attempt(route, caller, None, "filter", ((name, value),))


def _query_values(stage: Stage, who: Caller, name: str, schema: Mapping[str, Any], draw: random.Random) -> list[str]:
    choices = _choices(schema)
    if choices:
        return choices
    if name == "after":
        # The cursor of a page that somebody else got: it says where to go on, never whose rows.
        return [*_PLAIN_FILTERS[name], draw.choice(stage.cursors)]
    if name in _FILTER_SLOTS:
        slot = _FILTER_SLOTS[name]
        foreign, own = stage.ids(who, slot, own=False), stage.ids(who, slot, own=True)
        picked = [draw.choice(ids) for ids in (foreign, own) if ids]
        return [*picked, missing(slot, draw)]
    if name in _PLAIN_FILTERS:
        return list(_PLAIN_FILTERS[name])
    raise Uncovered(f"the walk does not know the filter {name}")


def _choices(schema: Mapping[str, Any]) -> list[str]:
    for each in (schema, *schema.get("anyOf", ())):
        each = _resolved(each)
        if "enum" in each:
            return [str(value) for value in each["enum"]]
        if each.get("type") == "boolean":
            return ["true", "false"]
    return []


def _resolved(each: Mapping[str, Any]) -> Any:
    while "$ref" in each:
        found: Any = HUB
        for part in each["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        each = found
    return each


def missing(slot: str, draw: random.Random) -> str:
    """Return an id of a slot that nobody ever had, spelt like the others."""
    if slot in {"request_id", "order_id", "appeal_id", "task_id", "endpoint_id", "contact_id"}:
        return str(UUID(int=draw.getrandbits(128), version=4))
    letters = "".join(draw.choices("ABCDEFGHJKMNPQRSTVWXYZ", k=10))
    made = {
        "reference": f"HT-261129-{letters[:6]}",
        "appeal_reference": f"KN-261129-{letters}",
        "kid": letters * 4 + "abc",
        "officer_id": f"officer-{letters.lower()}",
        "client_id": f"client-{letters.lower()}",
        "participant_id": f"member-{letters.lower()}",
        "policy": "policy-" + letters.lower(),
        "day": "2027-03-04",
        "case_number": f"CASE-{letters}",
    }
    return made[slot]


class Walker:
    """Makes the calls of an attempt and says what is wrong with the answers."""

    def __init__(self, stage: Stage, draw: random.Random) -> None:
        self._stage, self._draw = stage, draw
        self._calls = 0
        self.asked: set[Attempt] = set()
        self.found_own: set[str] = set()

    async def judge(self, attempt: Attempt) -> list[str]:
        """Try one thing; return what this caller learnt or changed that is not its own."""
        self._calls += 1
        # What acts upon its own may stop somebody's system, who then gets no token any more.
        if self._calls % 150 == 0 and not is_change(self._stage, attempt):
            await self._stage.sign_on()
        who = self._stage.callers[attempt.caller]
        self.asked.add(attempt)
        if attempt.slot is None:
            return self._leaks(attempt, who, await self._call(attempt.route, who, {}, dict(attempt.query)))
        others = {slot: self._other(who, slot) for slot in attempt.route.slots if slot != attempt.slot}
        absent = missing(attempt.slot, self._draw)
        if attempt.kind == "foreign":
            value = self._draw.choice(self._stage.ids(who, attempt.slot, own=False))
        elif attempt.kind == "own":
            value = self._draw.choice(self._stage.ids(who, attempt.slot, own=True))
        else:
            value = absent
        others["slot"] = attempt.slot
        answer = await self._call(attempt.route, who, {**others, attempt.slot: value})
        wrong = self._leaks(attempt, who, answer)
        if attempt.kind == "shared":
            return wrong
        if attempt.kind == "missing":
            if _is_taken(answer) and not attempt.route.is_page:
                wrong.append(f"{attempt}: a missing {attempt.slot} was answered {answer.status_code}")
            return wrong
        if attempt.kind == "own" and is_change(self._stage, attempt):
            # What it changes is the caller's own; whether anything else was is told by a digest of the others' rows.
            return wrong
        other = await self._call(attempt.route, who, {**others, attempt.slot: absent})
        if attempt.kind == "own":
            if answer.status_code in {200, 409}:
                self.found_own.add(attempt.route.name)
            if not is_let_in(self._stage, attempt):
                wrong += self._told_by_a_closed_door(attempt, answer, other)
            return wrong
        if _is_taken(answer) and not attempt.route.is_page:
            wrong.append(f"{attempt}: a foreign {attempt.slot} was answered {answer.status_code}")
        if self._shown(answer, value) != self._shown(other, absent):
            wrong.append(f"{attempt}: foreign {self._shown(answer, value)} is not {self._shown(other, absent)}")
        return wrong

    @staticmethod
    def _told_by_a_closed_door(attempt: Attempt, answer: httpx.Response, other: httpx.Response) -> list[str]:
        # Whoever may not ask is told the same of what is his member's own: he has no power, whatever there is.
        if attempt.route.is_page and not attempt.route.scopes:
            return []
        if not _is_taken(answer) and answer.status_code == other.status_code:
            return []
        return [f"{attempt}: without the scope its own is {answer.status_code}, a missing one {other.status_code}"]

    def _leaks(self, attempt: Attempt, who: Caller, answer: httpx.Response) -> list[str]:
        # A page repeats its own address, in the links to the other language, and that of the page its form stood on.
        text = answer.text
        for repeated in _addresses(answer) if attempt.route.is_page else ():
            text = text.replace(repeated, "")
        told = set(self._stage.leaks(who, text))
        if attempt.kind == "own" and attempt.route.name == "POST /requests/{request_id}/evidence":
            # Who signed stands in the evidence about an agency's own request, and nobody of another agency.
            told.discard(f"{OFFICER_NAME}-{who.tenant}")
        wrong = [f"{attempt}: tells {secret}" for secret in sorted(told)]
        if answer.status_code >= 500 and attempt.route.name != "getReadiness":
            wrong.append(f"{attempt}: answered {answer.status_code}")
        if attempt.kind in {"filter", "list"} and answer.status_code == 200:
            wrong += self._strangers(attempt, who, answer.json())
        return wrong

    def _strangers(self, attempt: Attempt, who: Caller, page: Mapping[str, Any]) -> list[str]:
        slot, member = _LISTED[attempt.route.name]
        shown = [str(item[member]) for item in page["items"]]
        known = self._stage.owners.get(slot, {})
        return [
            f"{attempt}: lists {value}"
            for value in shown
            if value in known and not self._stage.may_know(who, slot, value)
        ]

    @staticmethod
    def _shown(answer: httpx.Response, asked: str) -> tuple[int, str, list[tuple[str, str]]]:
        kept = [(name, value) for name, value in answer.headers.items() if name not in OWN_TO_AN_ANSWER]
        text = _OWN_INSTANT.sub('"Timestamp":""', answer.text)
        if "text/html" in answer.headers.get("content-type", ""):
            for repeated in _addresses(answer):
                text = text.replace(repeated, repeated.replace(asked, "asked"))
        return answer.status_code, text, sorted(kept)

    def _other(self, who: Caller, slot: str) -> str:
        own = self._stage.ids(who, slot, own=True) if slot not in _EVERYBODYS else []
        if slot == "participant_id" and who.tenant in own:
            return who.tenant
        return self._draw.choice(own) if own else missing(slot, self._draw)

    async def _call(
        self, route: Route, who: Caller, values: Values, query: Mapping[str, str] | None = None
    ) -> httpx.Response:
        path = route.path
        for name in _PLACES.findall(route.path):
            path = path.replace(f"{{{name}}}", _NO_ID.get(name) or values[_slot(route.name, name, page=route.is_page)])
        http = self._stage.api.http
        if route.is_page:
            return await self._visit(route, who, path, values)
        body, headers = BODIES[route.name](self._stage, who, values) if route.name in BODIES else (None, {})
        if who.system is not None:
            headers = {**headers, **who.system.headers}
        # An XML message comes as bytes.
        how = "data" if route.name == "issueToken" else "content" if isinstance(body, bytes) else "json"
        sent: dict[str, Any] = {} if body is None else {how: body}
        return await http.request(route.method, path, params=query, headers=headers, **sent)

    async def _visit(self, route: Route, who: Caller, path: str, values: Values) -> httpx.Response:
        http, headers = self._stage.api.http, {}
        # Nobody leaves in the middle of the walk.
        if who.session and path != "/sign-out":
            headers["Cookie"] = f"{doors._COOKIE}={who.session}"
        sent: dict[str, Any] = {}
        if route.method == "POST":
            token = console_session.csrf_token(console_session.SessionToken(who.session))
            sent["data"] = {"csrf_token": token, **_FORMS[route.path](self._stage, who, values)}
        return await http.request(route.method, path, headers=headers, **sent)


def _addresses(answer: httpx.Response) -> tuple[str, str]:
    path = answer.request.url.path
    return path, path.rpartition("/")[0]


def _is_taken(answer: httpx.Response) -> bool:
    # ETSI's protocol says no inside of a 200.
    return answer.status_code < 400 and '"ErrorInformation"' not in answer.text


def _slot(operation: str, parameter: str, *, page: bool = False) -> str:
    if page:
        return _PAGE_SLOTS[parameter]
    found = {("getAppealState", "reference"): "appeal_reference", ("getPolicy", "name"): "policy"}.get(
        (operation, parameter)
    ) or {("setPolicy", "name"): "policy"}.get((operation, parameter), parameter)
    if found not in _KNOWN_SLOTS:
        raise Uncovered(f"{operation}: the walk does not know the path's {parameter}")
    return found


_KNOWN_SLOTS = frozenset(
    {
        *("request_id", "order_id", "appeal_id", "appeal_reference", "task_id", "participant_id"),
        *("endpoint_id", "contact_id", "policy", "day"),
    }
)
# What is kept for all: there is no foreign one. Whoever has an appeal's reference may ask for its state.
_EVERYBODYS = frozenset({"policy", "day", "appeal_reference"})
_PAGE_SLOTS = {
    "request_id": "request_id",
    "order_id": "order_id",
    "task_id": "task_id",
    "participant_id": "participant_id",
    "reference": "appeal_reference",
}
# Whose value is a secret of the one link, or names a document: no id of anybody's.
_NO_ID = {"token": "a-link-that-nobody-was-given", "contract": "hub"}
_FILTER_SLOTS = {
    "request_id": "request_id",
    "participant_id": "participant_id",
    "reference": "reference",
    "case_number": "case_number",
}
_PLAIN_FILTERS: Mapping[str, tuple[str, ...]] = {
    "submitted_from": ("2026-01-01T00:00:00Z",),
    "submitted_to": ("2036-01-01T00:00:00Z",),
    "limit": ("1", "2", "200"),
    "wait": ("0",),
    "after": ("0", "MDAwMA", "vietcombank"),
    "q": ("ca-tinh", "bank", "cong an"),
}
# The member of a list's items by which the row is known, and whose ids those are.
_LISTED = {
    "listRequests": ("request_id", "id"),
    "listOrders": ("order_id", "subject"),
    "listAppeals": ("appeal_id", "id"),
    "listEscalations": ("escalation_id", "id"),
    "listTasks": ("task_id", "id"),
    "listParticipants": ("participant_id", "id"),
}
_IN_BODY: Mapping[str, tuple[str, ...]] = {
    "submitRequest": ("request_id", "officer_id"),
    "approveRequest": ("officer_id",),
    "reviewRequest": ("officer_id",),
    "withdrawRequest": ("officer_id",),
    "endSilence": ("officer_id",),
    "answerAppeal": ("officer_id",),
    "decideAppeal": ("officer_id",),
    "fileAppeal": ("order_id",),
    "exchangeMessage": ("order_id",),
    "receiveBusinessMessage": ("order_id",),
    "enrollKey": ("officer_id",),
    "suspendParticipant": ("officer_id", "client_id", "endpoint_id"),
    "resumeParticipant": ("officer_id",),
    "revokeKey": ("kid",),
}


def _sign(stage: Stage, who: Caller, kind: Kind, body: Any, about: str | None) -> str:
    signer = {"ca-tinh-79": "approver", "ca-tinh-01": "approver-b"}.get(who.tenant, who.tenant)
    signer = signer if signer in stage.world.keys else "maker"
    return stage.world.sign(kind, json.dumps(body).encode(), signer, about)


def _signed(kind: Kind, slot: str | None, body: Callable[[Values], Any]) -> Body:
    def make(stage: Stage, who: Caller, values: Values) -> tuple[Any, dict[str, str]]:
        made = body(values)
        about = None if slot is None else values[slot]
        return made, {HEADER: _sign(stage, who, kind, made, about)}

    return make


def _inside(kind: Kind, slot: str, body: Callable[[Values], Any]) -> Body:
    def make(stage: Stage, who: Caller, values: Values) -> tuple[Any, dict[str, str]]:
        made = body(values)
        return {**made, "signature": _sign(stage, who, kind, made, values[slot])}, {}

    return make


def _plain(body: Callable[[Values], Any]) -> Body:
    return lambda _stage, _who, values: (body(values), {})


def _silence_end(stage: Stage, who: Caller, values: Values) -> tuple[Any, dict[str, str]]:
    body = {"officer_id": values["officer_id"], "second_officer_id": "second", "reason": "proceedings_ended"}
    signed = _sign(stage, who, Kind.SILENCE, body, values["request_id"])
    return {**body, "second_signature": signed}, {HEADER: signed}


def _lift(stage: Stage, who: Caller, values: Values) -> tuple[Any, dict[str, str]]:
    body = {**worlds.lift(UUID(values["request_id"])), "officer_id": values["officer_id"]}
    return body, {HEADER: _sign(stage, who, Kind.REQUEST, body, None), "Idempotency-Key": uuid4().hex}


def _receipt(stage: Stage, who: Caller, values: Values) -> tuple[bytes, dict[str, str]]:
    key = stage.world.keys.get(who.tenant, stage.world.keys["maker"])
    private: Any = key.private_key
    bank = Bank(
        private, key.thumbprint(), hub=stage.world.hub.settings.address, at=clock.utc_now(), name=uuid4().hex[:12]
    )
    raw = bank.receipt(bank_terms.reference(values["order_id"], 1), "PDNG")
    return raw, {"Content-Type": "application/xml"}


def _stop(values: Values) -> dict[str, str]:
    return {"kind": "officer", "id": values["officer_id"]}


def _stop_one(_stage: Stage, _who: Caller, values: Values) -> tuple[Any, dict[str, str]]:
    # What is asked about is what is stopped; one's own is stopped only inside another's, where it is not found.
    slot = values["slot"] if values["slot"] != "participant_id" else "officer_id"
    return {"kind": slot.removesuffix("_id"), "id": values[slot]}, {}


def _hi1(stage: Stage, who: Caller, values: Values) -> tuple[Any, dict[str, str]]:
    """Read an order's task and answer it: by turns, so that both are asked of own, foreign and missing ones."""
    telecom = etsi_steps.Telecom(stage.api, who.system or System("nobody"))
    order_id = values["order_id"]
    is_read = UUID(order_id).int % 2
    action = {"GET": {"Identifier": order_id}} if is_read else etsi_steps.update(order_id, terms.TAKEDOWN, "Pending")
    body = telecom.message(action, transaction=str(UUID(int=1)))
    return body, {} if is_read else {HEADER: _sign(stage, who, Kind.ANSWER, body, order_id)}


def _jwk() -> dict[str, str]:
    return registry_forms.jwk().model_dump(exclude_none=True)


_OFFICER = {"number": "SH-1", "name": "Nguyen Van Thu", "rank": "dai_uy", "powers": ["order"]}
_MAILBOX = {"name": "Tran Thi Thu", "reached_by": {"channel": "email", "address": "truc.ban@bank.example"}}

_WEBHOOK = {
    "url": "https://orders.bank.example/hoatoc",
    "network": "203.0.113.0/24",
    "ca_pem": registry_forms.CA_PEM,
}

_LOST = {"which": "dead", "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
BODIES: Mapping[str, Body] = {
    "issueToken": lambda _stage, _who, _values: ({"grant_type": "client_credentials"}, {}),
    "submitRequest": _lift,
    "approveRequest": _inside(Kind.APPROVAL, "request_id", lambda values: {"officer_id": values["officer_id"]}),
    "reviewRequest": _inside(Kind.REVIEW, "request_id", lambda values: {"officer_id": values["officer_id"]}),
    "withdrawRequest": _signed(Kind.WITHDRAWAL, "request_id", lambda values: {"officer_id": values["officer_id"]}),
    "endSilence": _silence_end,
    "exchangeMessage": _hi1,
    "acknowledgeOrder": _signed(Kind.ANSWER, "order_id", lambda _: {"outcome": "received"}),
    "receiveBusinessMessage": _receipt,
    "fileAppeal": _plain(
        lambda values: {"order_id": values["order_id"], "ground": "wrong_person", "statement": "Xin xem xet."}
    ),
    "answerAppeal": _signed(
        Kind.REPLY, "appeal_id", lambda values: {"officer_id": values["officer_id"], "text": "Dang xac minh."}
    ),
    "decideAppeal": _inside(
        Kind.DECISION,
        "appeal_id",
        lambda values: {
            "officer_id": values["officer_id"],
            "outcome": "upheld",
            "reason_code": "person_not_involved",
            "text": "Khong lien quan.",
        },
    ),
    "readBackOrder": _plain(lambda _: {}),
    "resolveTask": _plain(lambda _: {"note": "Da goi."}),
    "previewReplay": _plain(lambda _: _LOST),
    "replayDispatches": _plain(lambda _: _LOST),
    "answerCallback": _plain(lambda _: {"outcome": "denied"}),
    "enrollClient": _plain(lambda _: {"id": "new-system", "roles": ["reader"], "key": _jwk()}),
    "enrollKey": _plain(lambda values: {"officer_id": values["officer_id"], "key": _jwk()}),
    "enrollOfficer": _plain(lambda _: {"id": f"new-{uuid4().hex[:8]}", **_OFFICER}),
    "registerEndpoint": _plain(lambda _: {"channel": "webhook", "purpose": "orders", **_WEBHOOK}),
    "recordCertification": _plain(lambda _: examples.load()["recordCertification"].requests["recordCertification"]),
    "proposeEndpoint": _plain(lambda _: {"channel": "webhook", **_WEBHOOK}),
    "approveEndpoint": _plain(lambda _: {"sha256": "0" * 64}),
    "refuseEndpoint": _plain(lambda _: {"sha256": "0" * 64}),
    "rotateEndpointSecret": _plain(lambda _: {}),
    "addContact": _plain(lambda _: _MAILBOX),
    "announceMaintenance": _plain(lambda _: {"ends_at": "2036-01-01T00:00:00Z", "reason": "upgrade"}),
    "endMaintenance": _plain(lambda _: {"window_id": "01935a10-0000-7000-8000-000000000061"}),
    "setDutyPhone": _plain(lambda _: {"phone": "+842838387342"}),
    "suspendParticipant": _stop_one,
    "resumeParticipant": _plain(_stop),
    "revokeKey": _plain(lambda values: {"kid": values["kid"]}),
    "setPolicy": _plain(lambda _: {"text": "no policy"}),
    "setTimeLimit": _plain(lambda _: {"stage": "execute"}),
    "setCalendarDay": _plain(lambda _: {"kind": "nonsense"}),
}

_QUESTIONS = (
    *("action", "text", "found", "targets", "measure", "asked", "window", "amount"),
    *("payment", "case", "basis", "urgency", "end", "document", "contact"),
)
# The power behind a form about an id: without it, what is one's own member's is as shut as what is not there.
_FORM_SCOPES: Mapping[str, frozenset[Scope]] = {
    "/requests/{request_id}/approve": frozenset({Scope.REQUESTS_READ}),
    "/requests/{request_id}/callbacks": frozenset({Scope.TASKS_RESOLVE}),
    "/requests/{request_id}/follow-ups": frozenset({Scope.REQUESTS_WRITE}),
    "/tasks/{task_id}/resolutions": frozenset({Scope.TASKS_RESOLVE}),
    "/orders/{order_id}/escalations": frozenset({Scope.TASKS_RESOLVE}),
    "/participants/{participant_id}/maintenance": frozenset({Scope.TASKS_RESOLVE}),
    "/participants/{participant_id}/maintenance-ends": frozenset({Scope.TASKS_RESOLVE}),
}
_FORMS: Mapping[str, Callable[[Stage, Caller, Values], dict[str, str]]] = {
    "/requests/{request_id}/approve": lambda stage, who, values: {
        "officer_id": "approver" if who.tenant == AGENCY else "approver-b",
        "kind": "approval",
        "signature": _sign(stage, who, Kind.APPROVAL, {}, values["request_id"]),
    },
    "/requests/{request_id}/callbacks": lambda _stage, _who, _values: {"outcome": "denied"},
    "/tasks/{task_id}/resolutions": lambda _stage, _who, _values: {"note": "làm xong"},
    "/delivery/previews": lambda _stage, _who, _values: {"which": "dead", "participant_id": "vietcombank"},
    "/delivery/replays": lambda _stage, _who, _values: {"which": "dead", "since": "2026-01-01T00:00"},
    "/orders/{order_id}/escalations": lambda _stage, _who, _values: {},
    "/requests/{request_id}/follow-ups": lambda _stage, _who, _values: {"action": "lift"},
    "/requests/{request_id}/next-hop": lambda _stage, _who, _values: {
        "kind": "account",
        "value": "9990001112223",
        "institution": "970436",
        "amount": "1",
    },
    "/requests/{request_id}/evidence": lambda _stage, _who, _values: {},
    "/audit/verify": lambda _stage, _who, _values: {},
    "/requests/{request_id}/notes": lambda _stage, _who, _values: {"text": "ghi chú"},
    "/participants/{participant_id}/maintenance": lambda _stage, _who, _values: {"ends_at": "2036-01-01T00:00"},
    "/participants/{participant_id}/maintenance-ends": lambda _stage, _who, _values: {
        "window_id": "01935a10-0000-7000-8000-000000000061"
    },
    # Whoever may file keeps a draft of his own by them, and files nothing: a word is no signature.
    **{
        f"/requests/new{path}": lambda _stage, _who, _values: {"action": "freeze", "signature": "x"}
        for path in ("", "/paper", "/digest", "/sign", *(f"/{each}" for each in _QUESTIONS))
    },
    "/board": lambda _stage, _who, _values: {"text": "NGUYEN VAN MAU"},
    "/": lambda _stage, _who, _values: {"text": "NGUYEN VAN MAU"},
    "/audit": lambda _stage, _who, _values: {"actor": "approver"},
    "/sign-in/{token}": lambda _stage, _who, _values: {},
    "/sign-in/provider/ended": lambda _stage, _who, _values: {"logout_token": "x"},
    "/sign-in/passkey": lambda _stage, _who, _values: {"credential_id": "x"},
    "/sign-in/passkey/begin": lambda _stage, _who, _values: {},
    # An id of a session, passkey or screen is told to nobody but its own person: what is sent here is nobody's.
    "/sessions/ends": lambda _stage, _who, _values: {"which": str(uuid4())},
    "/sessions/stays": lambda _stage, _who, _values: {},
    "/sessions/passkeys": lambda _stage, _who, _values: {"data": "x", "client_data": "x"},
    "/sessions/passkeys/removals": lambda _stage, _who, _values: {"which": str(uuid4())},
    "/wall": lambda _stage, _who, _values: {"code": "ABCD-EFGH"},
    "/displays": lambda _stage, _who, _values: {"name": ""},
    "/displays/ends": lambda _stage, _who, _values: {"which": str(uuid4())},
    "/sign-out": lambda _stage, _who, _values: {},
}
