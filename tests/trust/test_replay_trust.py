"""T-REPLAY (P9): a captured call is of no use a second time, on any node, later or after a restart, nor changed."""

import asyncio
import random
import string
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import httpx
import trust_sizes
import world as worlds
from apis import grown
from nodes_trust import CONTACT, CONTACTS, Nodes, Wired

Record = Callable[..., None]
FastForward = Callable[..., Awaitable[None]]
PATH_LETTERS = string.ascii_letters + string.digits + "/-._~?;%"
TOKEN_LETTERS = (string.ascii_letters + string.digits + "-_.").encode()
METHODS = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "POST")


def calls(nodes: Nodes, draw: random.Random) -> list[Wired]:
    """Calls that each have an effect of their own, of an administrator and of the police."""
    api = nodes.api
    day = date(2027, 1, 1) + timedelta(days=draw.randrange(3_000))
    withdrawn = f"/v1/requests/{uuid4()}/withdrawals"
    return [
        nodes.call("POST", CONTACTS, api.admin, CONTACT),
        nodes.call("POST", "/v1/participants/vietcombank/contacts", api.admin, CONTACT),
        nodes.call("PUT", f"/v1/calendar-days/{day}", api.admin, {"kind": "holiday"}),
        nodes.call("POST", withdrawn, api.police, {"officer_id": "maker"}),
    ]


async def filed(nodes: Nodes) -> Wired:
    """File a request, and return the call as it went over the wire."""
    answer = await nodes.api.file(worlds.freeze())
    assert answer.status_code == 201, answer.text
    sent = answer.request
    headers = tuple((name.lower(), value) for name, value in sent.headers.raw if name.lower() != b"content-length")
    return Wired("POST", sent.url.raw_path, headers, sent.content)


async def test_a_captured_call_is_refused_on_any_node_later_and_after_a_restart(
    nodes: Nodes, fast_forward: FastForward, record_property: Record
) -> None:
    api, draw = nodes.api, random.Random(trust_sizes.seed())
    wanted = trust_sizes.size(gate=500, full=5_000)
    taken: list[str] = []
    statuses: Counter[int] = Counter()

    async def replay(wired: Wired, door: httpx.AsyncClient) -> None:
        answer = await nodes.send(wired, door)
        statuses[answer.status_code] += 1
        if answer.status_code != 401:
            taken.append(f"{answer.status_code} {wired.method} {wired.path!r}")

    restarts = 0
    while statuses.total() < wanted:
        for system in (api.admin, api.police):
            await api.sign_on(system)
        captured = calls(nodes, draw)
        for wired in captured:
            first = await nodes.send(wired, draw.choice(nodes.doors))
            assert first.status_code in (200, 201, 404), first.text
        captured.append(await filed(nodes))
        before = await nodes.effects()
        # At once, on both nodes at a time.
        for wired in captured:
            await asyncio.gather(*(replay(wired, door) for door in nodes.doors[:2] * 2))
        # A node that has just started knows as much.
        if restarts < 3 or draw.random() < 0.1:
            restarts += 1
            await nodes.start(f"node-{restarts}")
        for wired in captured:
            await replay(wired, nodes.doors[-1])
        # Until the proof has aged, and beyond the token's own end.
        for seconds in (draw.randrange(5, 50), draw.randrange(10, 60), 300):
            await fast_forward(seconds=seconds)
            for wired in captured:
                await replay(wired, draw.choice(nodes.doors))
        more = grown(before, await nodes.effects())
        if more:
            taken.append(f"rows: {more}")
    record_property(
        *trust_sizes.figure(
            "P9",
            "T-REPLAY: replays",
            n=statuses.total(),
            violations=len(taken),
            restarts=restarts,
            database=api.hub.database.dialect,
        )
    )
    assert taken == []
    told = Counter(fact["data"] for fact in await api.facts("token.refused"))
    assert told.total() == statuses.total()
    assert sum(count for data, count in told.items() if "jti.spent" in data) > statuses.total() // 2


def changed(wired: Wired, draw: random.Random) -> tuple[str, Wired]:
    """Change one byte of a call: of its body, path, method, target, token or proof."""
    what = draw.choice(["body", "body", "path", "method", "target", "token", "proof"])
    match what:
        case "body":
            at = draw.randrange(len(wired.body))
            byte = draw.choice([each for each in range(256) if each != wired.body[at]])
            return what, replace(wired, body=wired.body[:at] + bytes([byte]) + wired.body[at + 1 :])
        case "path":
            at = draw.randrange(1, len(wired.path))
            letter = draw.choice([each for each in PATH_LETTERS.encode() if each != wired.path[at]])
            return what, replace(wired, path=wired.path[:at] + bytes([letter]) + wired.path[at + 1 :])
        case "method":
            at = draw.randrange(len(wired.method))
            letter = draw.choice([each for each in string.ascii_uppercase if each != wired.method[at]])
            misspelled = wired.method[:at] + letter + wired.method[at + 1 :]
            others = [each for each in METHODS if each != wired.method]
            return what, replace(wired, method=draw.choice([misspelled, *others]))
        case "target":
            tail = draw.choice([b"?", b"/", b"?a", b"?officer_id=x", b"//", b";a", b"%20", b"%2F"])
            return what, replace(wired, path=wired.path + tail)
    name = b"authorization" if what == "token" else b"dpop"
    given = dict(wired.headers)
    value = given[name]
    at = draw.randrange(5, len(value))
    letter = draw.choice(
        [each for each in (string.ascii_letters + string.digits + "-_.").encode() if each != value[at]]
    )
    given[name] = value[:at] + bytes([letter]) + value[at + 1 :]
    return what, replace(wired, headers=tuple(given.items()))


async def test_a_call_with_one_byte_changed_is_refused_and_the_right_one_still_works(
    nodes: Nodes, record_property: Record
) -> None:
    api, draw = nodes.api, random.Random(trust_sizes.seed())
    wanted = trust_sizes.size(gate=500, full=5_000)
    taken: list[str] = []
    tried: Counter[str] = Counter()
    while tried.total() < wanted:
        for system in (api.admin, api.police):
            await api.sign_on(system)
        for wired in calls(nodes, draw):
            before = await nodes.effects()
            for _ in range(20):
                what, other = changed(wired, draw)
                if other.path == wired.path + b"?":
                    continue  # a question mark with nothing behind it is the same address to every server
                tried[what] += 1
                answer = await nodes.send(other, draw.choice(nodes.doors))
                if answer.status_code < 400 or answer.status_code >= 500:
                    taken.append(f"{answer.status_code} {what}: {other.method} {other.path!r}")
            more = grown(before, await nodes.effects())
            if more:
                taken.append(f"rows: {more}")
            # Nothing was wrong with the call itself, and no attempt at it has used its proof up.
            right = await nodes.send(wired)
            assert right.status_code in (200, 201, 404), right.text
    record_property(
        *trust_sizes.figure(
            "P9",
            "T-REPLAY: one byte changed",
            n=tried.total(),
            violations=len(taken),
            **dict(sorted(tried.items())),
            database=api.hub.database.dialect,
        )
    )
    assert taken == []


async def test_what_differs_only_in_who_says_it_is_another_call(nodes: Nodes) -> None:
    api: Any = nodes.api
    stolen = nodes.call("POST", CONTACTS, api.admin, CONTACT)
    headers = dict(stolen.headers) | {b"authorization": f"DPoP {api.police.token}".encode()}
    answer = await nodes.send(replace(stolen, headers=tuple(headers.items())))
    assert answer.status_code == 401
    assert (await nodes.send(stolen, nodes.doors[1])).status_code == 201
    assert (await nodes.send(stolen)).status_code == 401
