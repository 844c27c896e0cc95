"""The starters of the handbook, in three languages, as a bank would run them: each against a real hub."""

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import journey_network
import pytest
import sqlalchemy as sa
from journey_network import AGENCY, Network, Police
from journey_processes import ROOT, Process, until

from adapters import signing, webhook
from adapters.base import DeliveryFailed, Endpoint, Message
from adapters.sandbox.behaviour import Silent
from adapters.transport import Transport
from service import clock
from service.models import Dispatch
from workflows.terms import Channel, DispatchKind, Sector

STARTERS = ROOT / "service" / "handbook" / "starters"
GOLDEN = ROOT / "tests" / "wire" / "golden" / "webhook"
BANK = "vietcombank"
AMOUNT = 1_000_000
_DISPATCHES = sa.inspect(Dispatch).local_table
pytestmark = pytest.mark.xdist_group("processes")


def command(language: str, folder: Path) -> list[str]:
    """How a starter is run; Java's is compiled first."""
    if language == "python":
        return [sys.executable, str(STARTERS / "receiver.py")]
    if language == "javascript":
        return ["node", str(STARTERS / "receiver.mjs")]
    classes = folder / "classes"
    sources = [str(path) for path in sorted(STARTERS.glob("*.java"))]
    subprocess.run(["javac", "-Xlint:all", "-Werror", "-d", str(classes), *sources], check=True)
    return ["java", "-cp", str(classes), "Receiver"]


class Starter:
    """One starter as a process of its own, with the keys that its bank enrolled."""

    def __init__(self, network: Network, language: str, folder: Path) -> None:
        self._command = command(language, folder)
        self.log = folder / "starter.log"
        sandbox, tls = network.sandboxes[BANK], network.settings.data_dir / "tls"
        for name, key in (("client", network.keys[BANK]), ("answers", network.signers[BANK].as_dict(private=True))):
            (folder / f"{name}.jwk").write_text(json.dumps(key))
        # During a rotation it knows two; the one that it does not need comes first.
        self.secret: str = sandbox._secret
        self.port: int = sandbox._server.port
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "PYTHONDONTWRITEBYTECODE": "1",
            "HUB": network.settings.address,
            "PARTICIPANT": BANK,
            "CLIENT": f"{BANK}-system",
            "CLIENT_KEY": str(folder / "client.jwk"),
            "ANSWER_KEY": str(folder / "answers.jwk"),
            "SECRETS": f"{signing.new_secret()} {self.secret}",
            "BOOKS": str(folder / "books"),
            "PORT": str(self.port),
            "TLS_CERT": str(tls / "server.pem"),
            "TLS_KEY": str(tls / "server.key"),
        }
        self.endpoint = Endpoint(
            "starter", Channel.WEBHOOK, sandbox.url, "127.0.0.1/32", self.port, (tls / "authority.pem").read_text()
        )

    @property
    def told(self) -> list[str]:
        """What it said, line by line."""
        return self.log.read_text().splitlines()

    async def says(self, line: str) -> None:
        """Wait for a line."""

        async def said() -> bool:
            return line in self.told

        await until(said, 30, lambda: f"{line!r} in\n" + "\n".join(self.told))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it until it takes calls, and end it without a warning."""
        with self.log.open("ab") as log:
            child = await asyncio.create_subprocess_exec(
                *self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        try:

            async def listens() -> bool:
                assert child.returncode is None, self.told
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return True
                return False

            await until(listens, 60, lambda: "it listens\n" + "\n".join(self.told))
            yield
        finally:
            child.kill()
            await child.wait()


class Wire:
    """What somebody sends to the starter who is not the hub's own delivery."""

    def __init__(self, starter: Starter, transport: Transport, source: str) -> None:
        self._starter, self._transport, self._source = starter, transport, source

    async def post(self, message: Message, *, secret: str = "", ago: int = 0, **changed: Any) -> int:
        """Send a message, signed so long ago with this secret (its own one, if none is given); return the status."""
        content = webhook.cloud_event(message, self._source)
        sent_at = int(clock.utc_now().timestamp()) - ago
        headers = {
            "Content-Type": webhook.CONTENT_TYPE,
            "webhook-id": message.id,
            "webhook-timestamp": str(sent_at),
            "webhook-signature": signing.sign([secret or self._starter.secret], message.id, sent_at, content),
            "Hoatoc-Signature": message.signature or "",
            **changed,
        }
        endpoint, status = self._starter.endpoint, 0

        async def answered() -> bool:
            nonlocal status
            # A machine that is busy may not take a connection at once: the hub would come again too.
            with contextlib.suppress(DeliveryFailed):
                try:
                    receipt = await self._transport.post(
                        endpoint.url, content=content, headers=headers, endpoint=endpoint
                    )
                    status = receipt.status
                except DeliveryFailed as failed:
                    if failed.status is None:
                        raise
                    status = failed.status
            return bool(status)

        await until(answered, 30, "an answer of the starter")
        return status


async def filed(police: Police, body: dict[str, Any]) -> str:
    """File a request, have a second officer approve it where that is needed, and return its id."""
    answer = await police.submit(body)
    assert answer.status == 201, answer.body
    request_id: str = json.loads(answer.body)["id"]
    if json.loads(answer.body)["state"] == "active":
        return request_id
    approved = await police.approve(request_id, body, f"{AGENCY}-approver")
    assert approved.status == 201, approved.body
    return request_id


async def reaches(police: Police, request_id: str, state: str) -> dict[str, Any]:
    """Wait until a request's only order is in a state, and return it."""

    async def is_so() -> bool:
        [order] = (await police.read(f"/v1/requests/{request_id}"))["order_list"]
        return bool(order["state"] == state)

    await until(is_so, 60, f"the order is {state}", every=0.2)
    [order] = (await police.read(f"/v1/requests/{request_id}"))["order_list"]
    return dict(order)


async def message_of(network: Network, police: Police, order_id: str) -> Message:
    """The message that carried an order, as the bank itself may read it."""
    bank = network.police(BANK)
    try:
        shown = await bank.read(f"/v1/orders/{order_id}")
    finally:
        await bank.client.aclose()
    async with journey_network.reading(network.settings) as database, database.read() as conn:
        query = sa.select(_DISPATCHES).where(_DISPATCHES.c.order_id == UUID(order_id))
        row = (await conn.execute(query.where(_DISPATCHES.c.kind == DispatchKind.ORDER))).one()
    return Message(
        id=f"msg_{row.id.hex}",
        type=row.message_type,
        kind=DispatchKind.ORDER,
        subject=order_id,
        occurred_at=row.created_at,
        sequence=shown["body"]["sequence"],
        body=shown["body"],
        signature=shown["signature"],
    )


@pytest.mark.parametrize("language", ["python", "javascript", "java"])
async def test_a_starter_verifies_deduplicates_keeps_order_and_answers(language: str, tmp_path: Path) -> None:
    async with asyncio.timeout(240):
        settings = journey_network.settings_of(tmp_path, None, policy="vn-default")
        network = await journey_network.enroll(settings, {BANK: (Sector.BANK, Silent())})
        starter, transport = Starter(network, language, tmp_path), Transport(allow_loopback=True)
        wire, police = Wire(starter, transport, settings.address), network.police(AGENCY)
        async with Process(settings).running():
            async with starter.running():
                frozen = await filed(police, journey_network.freeze("9990000000001", BANK, AMOUNT))
                order = await reaches(police, frozen, "executed")
                assert order["amount_held"]["value"] == str(AMOUNT)
                freeze = await message_of(network, police, order["id"])
                acted = f"acted freeze {order['id']}"
                await starter.says(f"answered freeze {order['id']}")

                # Asked what it holds now, it says so, and the agency reads it.
                asked = await police.post(f"/v1/orders/{order['id']}/read-backs", {})
                assert asked.status == 201, asked.body
                await starter.says(f"answered read_back {order['id']}")
                told = (await police.read(f"/v1/requests/{frozen}/timeline"))["facts"]
                assert "hold.confirmed" in [fact["code"] for fact in told]

                # The same once more is known, while somebody has connected who says nothing. Nothing else is let in.
                _, silent = await asyncio.open_connection("127.0.0.1", starter.port)
                assert await wire.post(freeze) == 202
                silent.close()
                assert await wire.post(freeze, secret=signing.new_secret()) == 401
                assert await wire.post(freeze, ago=400) == 401
                assert await wire.post(freeze, ago=-400) == 401
                assert await wire.post(freeze, **{"webhook-id": "msg_other"}) == 401
                forged = replace(freeze, id="msg_forged", body={**freeze.body, "whole_account": True})
                assert await wire.post(forged) == 401
                assert await wire.post(replace(freeze, id="msg_unsigned", signature="")) == 401
                # An order of a drill is read as one too: this one was never signed, a foreign kind would be let pass.
                drill = {**freeze.body, "drill": True}
                assert await wire.post(replace(freeze, id="msg_drill", body=drill)) == 401
                assert await wire.post(replace(freeze, id="msg_late", type="vn.hoatoc.notice.escalation")) == 204

                lifted = await filed(police, journey_network.demand("lift", original_request_id=frozen))
                lift = (await reaches(police, lifted, "executed"))["id"]
                await starter.says(f"answered lift {lift}")
                # What was ordered before the lift is not obeyed after it, under whatever name it comes.
                assert await wire.post(replace(freeze, id="msg_overtaken")) == 202
                await starter.says(f"overtaken freeze {order['id']}")
                read_back = f"acted read_back {order['id']}"
                assert [line for line in starter.told if line.startswith("acted")] == [
                    acted,
                    read_back,
                    f"acted lift {lift}",
                ]
                # What is known already is not answered again either: whoever is older than the lift came before it.
                assert starter.told.count(f"answered freeze {order['id']}") == 1
            # Killed and started again, it has forgotten nothing.
            async with starter.running():
                assert await wire.post(freeze) == 202
                second = await filed(police, journey_network.freeze("9990000000002", BANK, AMOUNT))
                order = await reaches(police, second, "executed")
            assert len([line for line in starter.told if line.startswith("acted freeze")]) == 2
            # The lift of a hold whose freeze is still under way: whoever has the lift does not freeze any more.
            (tmp_path / "books").unlink()
            async with starter.running():
                lift_first = await message_of(network, police, lift)
                assert await wire.post(lift_first) == 202
                await starter.says(f"answered lift {lift}")
                assert await wire.post(freeze) == 202

                async def overtaken_again() -> bool:
                    return starter.told.count(f"overtaken freeze {freeze.subject}") == 2

                await until(overtaken_again, 30, lambda: "\n".join(starter.told))
            assert starter.told.count(acted) == 1
        await police.client.aclose()
        await transport.aclose()


def test_a_starter_is_short() -> None:
    sources = [path for path in STARTERS.iterdir() if path.is_file()]
    assert {path.suffix for path in sources} == {".py", ".mjs", ".java"}
    lines = {path.name: path.read_text("utf-8").splitlines() for path in sources}
    assert [name for name, text in lines.items() if len(text) >= 100] == []
    # A line that nobody reads without scrolling would be a way around it.
    assert [name for name, text in lines.items() for line in text if len(line) > 120] == []


def test_the_handbook_names_every_starter_and_counts_its_lines() -> None:
    page = (STARTERS.parent / "en" / "quickstart-participant.md").read_text("utf-8")
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \| ([^|]+) \| (\d+) \+ (\d+) \| [^|]+ \|$", page, re.MULTILINE)
    counted = {path.name: len(path.read_text("utf-8").splitlines()) for path in STARTERS.iterdir() if path.is_file()}
    named: list[str] = []
    for receiver, beside, of_receiver, of_others in rows:
        (first,), others = _files(receiver), _files(beside)
        assert (counted[first], sum(counted[name] for name in others)) == (int(of_receiver), int(of_others)), first
        named += [first, *others]
    assert sorted(named) == sorted(counted)


def _files(cell: str) -> list[str]:
    return re.findall(r"\(\.\./starters/([^)]+)\)", cell)


def test_java_cuts_out_of_every_order_that_the_hub_sends_what_was_signed() -> None:
    source = (STARTERS / "Receiver.java").read_text("utf-8")
    written = source.partition("Pattern EVENT = Pattern.compile(")[2].partition(");")[0]
    pattern = re.compile("".join(json.loads(f'"{part}"') for part in re.findall(r'"((?:[^"\\]|\\.)*)"', written)))
    golden = [path for path in sorted(GOLDEN.glob("*.json")) if '"type":"vn.hoatoc.order.' in path.read_text("utf-8")]
    assert {"freeze.json", "drill-freeze.json", "lift.json", "read-back.json"} <= {path.name for path in golden}
    for path in golden:
        found = pattern.fullmatch(path.read_text("utf-8").strip())
        assert found is not None, path.name
        event = json.loads(path.read_text("utf-8"))
        assert (json.loads(found[1]), found[2]) == (event["data"], event["id"]), path.name


def test_the_order_of_the_members_is_promised_to_those_who_cut() -> None:
    """Java has no JSON of its own: its starter cuts ``data`` out of what came."""
    at = clock.utc_now() - timedelta(hours=1)
    message = Message(
        "msg_1", "vn.hoatoc.order.freeze", DispatchKind.ORDER, "o", at, 1, {"b": 'x","type":"', "a": None}
    )
    content = webhook.cloud_event(message, "https://hub.example").decode()
    assert content.startswith(
        '{"data":{"a":null,"b":"x\\",\\"type\\":\\""},"datacontenttype":"application/json","id":"'
    )
    assert content.endswith('"type":"vn.hoatoc.order.freeze"}')
