"""T-FUZZ (P22): whatever is sent, no answer is a 5xx, each refusal is a problem of the contract and writes nothing."""

import functools
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import hypothesis
import pytest
import requests
import schemathesis
import steps
import trust_sizes
import world as worlds
from apis import Api, System, grown, hashed
from fuzz_calls import CONTRACT, EXAMPLES, Call, Deck
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from joserfc import jwt
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode

from service import clock
from service.security.signatures import Kind

pytest_plugins = ["api_fixtures"]

PROBLEM = Draft202012Validator(
    {**CONTRACT["components"]["schemas"]["Problem"], "components": {"schemas": CONTRACT["components"]["schemas"]}}
)
PROMISED = ("/v1", "/oauth", "/.well-known", "/healthz", "/readyz")
# What a refusal may leave: one fact, the head of its chain, and the proof that it spent.
LEFT = {"audit_entries", "audit_heads"}
SIGNED = {
    "submitRequest": Kind.REQUEST,
    "withdrawRequest": Kind.WITHDRAWAL,
    "endSilence": Kind.SILENCE,
    "answerAppeal": Kind.REPLY,
}
RENEW_TOKENS_AFTER = 100.0  # seconds, of 300


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Attacker:
    """Sends calls straight into the application, with the tokens and proofs of real systems, and judges the answers."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.systems = {"police": api.police, "bank": api.bank, "coordinator": api.coordinator, "admin": api.admin}
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.looked_at = 0
        self._renewed = clock.monotonic()

    async def try_out(self, call: Call, *, look: bool = False) -> None:
        """Send a call and judge its answer; ``look`` whether a refusal changed anything."""
        if clock.monotonic() - self._renewed > RENEW_TOKENS_AFTER:
            self._renewed = clock.monotonic()
            for system in self.systems.values():
                await self.api.sign_on(system)
        before = await self.api.counts() if look else {}
        try:
            answer = await self.send(call)
        except Exception as error:
            self.wrong.append(f"{type(error).__name__} of {call}")
            return
        self.statuses[answer.status] += 1
        fault = judge(call, answer)
        if fault:
            self.wrong.append(f"{answer.status} {fault}: {call}"[:2_000])
        if look and answer.status >= 400:
            self.looked_at += 1
            more = {name: by for name, by in grown(before, await self.api.counts()).items() if name not in LEFT}
            if more:
                self.wrong.append(f"{answer.status} and yet {more}: {call}"[:2_000])

    async def send(self, call: Call) -> Answer:
        """Send a call with its system's token and a fresh proof, and with a signature where one is due."""
        system = self.systems[call.who]
        headers: dict[str, str | bytes] = {"Host": "hub.test"}
        if call.body is not None:
            headers["Content-Length"] = str(len(call.body))
        if call.operation not in {"issueToken"}:
            headers |= {"Authorization": f"DPoP {system.token}", "DPoP": self._proof(system, call)}
        headers |= self._signature(system, call) | call.headers
        sent: list[Any] = []
        unread = [call.body or b""]

        async def receive() -> dict[str, Any]:
            if unread:
                return {"type": "http.request", "body": unread.pop(), "more_body": False}
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        pairs = [(name, _bytes(text)) for name, text in headers.items()]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": call.method,
            "scheme": "http",
            "path": unquote(call.path),
            "raw_path": call.path.encode("utf-8", "surrogatepass"),
            "query_string": call.query.encode("utf-8", "surrogatepass"),
            "root_path": "",
            "headers": [(name.lower().encode("latin-1", "replace"), value.strip()) for name, value in pairs],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8470),
        }
        await self.api.app(scope, receive, send)
        started = sent[0]
        told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in started["headers"]}
        return Answer(started["status"], told, b"".join(each.get("body", b"") for each in sent))

    def _proof(self, system: System, call: Call) -> str:
        query = call.query.encode("utf-8", "surrogatepass")
        given = {
            "htm": call.method,
            "htu": self.api.hub.settings.address + call.path.encode("utf-8", "surrogatepass").decode("latin-1"),
            "iat": int(clock.utc_now().timestamp()),
            "jti": f"{random.getrandbits(128):x}",
            "ath": hashed(system.token.encode()),
            **({} if call.method in ("GET", "HEAD") else {"bsh": hashed(call.body or b"")}),
            **({"qsh": hashed(query)} if call.method in ("GET", "HEAD") and query else {}),
        }
        public = system.key.as_dict(private=False)
        jwk = {name: public[name] for name in ("kty", "crv", "x", "y")}
        return jwt.encode({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk}, given, system.key)

    def _signature(self, system: System, call: Call) -> dict[str, str | bytes]:
        """Return the header with which somebody signs just this body, however broken it is, if it can be read."""
        kind = SIGNED.get(call.operation)
        if call.operation == "acknowledgeOrder":
            kind, who = Kind.ANSWER, system.tenant
        else:
            who = "maker"
        if kind is None or call.body is None or who not in self.api.world.keys:
            return {}
        about = None if kind is Kind.REQUEST else (call.path.split("/") + [""] * 4)[3]
        try:
            return {"Hoatoc-Signature": self.api.world.sign(kind, call.body, who, about)}
        except Exception:
            return {}


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1", "replace")


@functools.lru_cache(4_096)
def read_problem(body: bytes) -> tuple[str, ...]:
    """Return the status in a problem, and where it is not what the contract promises; most are the same few."""
    told = json.loads(body)
    return (str(told.get("status")), *(error.message for error in PROBLEM.iter_errors(told)))


def judge(call: Call, answer: Answer) -> str:
    """Return what is wrong with an answer, or nothing."""
    if answer.status >= 500:
        return answer.body[:300].decode("utf-8", "replace")
    if answer.status < 400:
        return ""
    kind = answer.headers.get("content-type", "")
    if kind.startswith("text/html") and not call.path.startswith(PROMISED):
        return ""  # a page tells people
    if kind != "application/problem+json":
        return f"is {kind}"
    status, *faults = read_problem(answer.body)
    if status != str(answer.status):
        faults.append("another status")
    if answer.status == 429 and "retry-after" not in answer.headers:
        faults.append("no Retry-After")
    return "; ".join(faults)


async def set_the_table(api: Api, chance: random.Random) -> Deck:
    """File a few things and return the calls about them."""
    filed = [await api.active(worlds.freeze()), await api.active(worlds.freeze())]
    waiting = (await api.file(worlds.freeze(case_number="02/2026/CA"))).json()
    order_ids = [str(order["id"]) for each in filed for order in await api.world.orders(UUID(each["id"]))]
    ids = [waiting["id"], *(request["id"] for request in filed)]
    targets = [{"kind": "phone", "value": "+84912000111"}, {"kind": "domain", "value": "vi-du.example"}]
    bodies: dict[str, list[Any]] = {
        "submitRequest": [
            *(worlds.freeze(), worlds.takedown(*targets), worlds.lift(ids[1])),
            *(steps.recall(), steps.disclose(), steps.trace()),
        ],
        "acknowledgeOrder": [
            {"outcome": "received"},
            {"outcome": "executed", "amount_held": {"value": "150000000", "currency": "VND"}},
            {"outcome": "refused", "reason": "no_such_account"},
            {"outcome": "executed", "amount_returned": {"value": "1", "currency": "VND"}},
            {"outcome": "executed", "disclosed": {"holder_name": "NGUYEN VAN MAU", "opened_on": "2024-05-06"}},
            {"outcome": "executed", "traced": steps.moved()},
        ],
        "withdrawRequest": [{"officer_id": "maker"}],
        "endSilence": [{"officer_id": "approver", "second_officer_id": "maker", "reason": "ordered"}],
        "fileAppeal": [{**EXAMPLES["fileAppeal"]["request"], "order_id": order_ids[0]}],
        "answerAppeal": [{"officer_id": "maker", "text": "Đã nhận."}],
    }
    # Systems that the test itself needs are not among those that it may suspend.
    others = ["techcombank", "bidv", "momo", "x"]
    return Deck(
        chance,
        {
            "request_id": [*ids, "00000000-0000-7000-8000-000000000000"],
            "order_id": [*order_ids, "00000000-0000-7000-8000-000000000000"],
            "appeal_id": ["00000000-0000-7000-8000-000000000000"],
            "reference": ["KN-261129-ABCDEF", "x"],
            "task_id": ["00000000-0000-7000-8000-000000000000"],
            "participant_id": others,
            "endpoint_id": ["00000000-0000-7000-8000-000000000000"],
            "contact_id": ["00000000-0000-7000-8000-000000000000"],
            "name": ["vn-default", "x"],
            "day": ["2026-12-24", "2027-01-01"],
        },
        bodies,
    )


async def test_mutated_good_calls_never_break_the_hub(api: Api, record_property: Callable[..., None]) -> None:
    chance = random.Random(trust_sizes.seed())
    wanted = trust_sizes.size(gate=2_500, full=36_500)
    attacker = Attacker(api)
    deck = await set_the_table(api, chance)
    for number in range(wanted):
        await attacker.try_out(deck.hostile() if number % 10 else deck.good(), look=number % 40 == 1)
    report(record_property, "T-FUZZ: mutated calls", attacker, api)
    assert attacker.wrong == []
    assert attacker.looked_at >= wanted // 80
    passed = sum(times for status, times in attacker.statuses.items() if status != 401)
    assert passed > wanted * 0.6, attacker.statuses
    assert {200, 201, 400, 403, 404, 409, 413, 415, 422} <= attacker.statuses.keys()


# Both databases in one process: what is sent to them is made once.
@pytest.mark.xdist_group("contract")
async def test_what_the_contract_allows_and_forbids_never_breaks_the_hub(
    api: Api, record_property: Callable[..., None]
) -> None:
    each = trust_sizes.size(gate=4, full=140)  # per operation and mode
    attacker = Attacker(api)
    for number, call in enumerate(drawn_from_the_contract(each)):
        await attacker.try_out(call, look=number % 40 == 1)
    report(record_property, "T-FUZZ: generated from the contract", attacker, api)
    assert attacker.wrong == []
    assert sum(attacker.statuses.values()) >= each * 60
    passed = sum(times for status, times in attacker.statuses.items() if status != 401)
    assert passed > sum(attacker.statuses.values()) * 0.5, attacker.statuses


def report(record_property: Callable[..., None], what: str, attacker: Attacker, api: Api) -> None:
    """Record what was tried before anything is asserted."""
    record_property(
        *trust_sizes.figure(
            "P22",
            what,
            n=sum(attacker.statuses.values()),
            violations=len(attacker.wrong),
            refused=sum(times for status, times in attacker.statuses.items() if status >= 400),
            looked_at=attacker.looked_at,
            database=api.hub.database.dialect,
        )
    )


@functools.cache
def drawn_from_the_contract(each: int) -> list[Call]:
    """Return what schemathesis makes of the committed contract: what each operation promises to take, and what not.

    It takes longer to make than to send, and is the same for both databases.
    """
    chance = random.Random(trust_sizes.seed())
    calls: list[Call] = []
    for found in schemathesis.openapi.from_dict(CONTRACT).get_all_operations():
        operation = found.ok()
        name = operation.definition.raw["operationId"]
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            for case in _drawn(operation.as_strategy(generation_mode=mode), each):
                call = _call(name, case, chance)
                if call is not None:
                    calls.append(call)
    return calls


def _drawn(strategy: Any, times: int) -> list[Any]:
    cases: list[Any] = []

    @hypothesis.seed(trust_sizes.seed())
    @settings(
        max_examples=times,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(case: Any) -> None:
        cases.append(case)

    try:
        draw()
    except Unsatisfiable:
        return []  # an operation without parameters or a body has nothing that could be wrong
    return cases


def _call(name: str, case: Any, chance: random.Random) -> Call | None:
    try:
        made = requests.Request(**case.as_transport_kwargs(base_url="http://hub.test")).prepare()
    except (ValueError, requests.RequestException):
        return None  # what the client library cannot write at all
    address = urlsplit(made.url or "")
    body = made.body.encode("utf-8", "surrogatepass") if isinstance(made.body, str) else made.body
    dropped = {"Host", "Content-Length", "Authorization", "DPoP", "Hoatoc-Signature"}
    if chance.random() < 0.1:
        dropped -= {"Authorization", "DPoP", "Hoatoc-Signature"}
    headers: dict[str, str | bytes] = {key: value for key, value in made.headers.items() if key not in dropped}
    query = "&".join(part for part in address.query.split("&") if not part.startswith("wait="))
    who = chance.choice(("police", "bank", "coordinator", "admin"))
    return Call(name, made.method or "GET", address.path or "/", who, query, body, headers)
