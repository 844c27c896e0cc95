"""What a real hub sends over mutual TLS is verified by the official libraries of Python and JavaScript, and by Java."""

import base64
import json
import os
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import locked_tools
import pytest
import rfc8785
import sqlalchemy as sa
import world as worlds
from builders import SECRET, Builder, put_in_force, table
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import ECKey
from registry_forms import ADMIN
from rigs import FastForward, Rig
from standardwebhooks.webhooks import Webhook as Official
from standardwebhooks.webhooks import WebhookVerificationError
from wire_servers import Authority, Heard, says, serving
from world import World

from adapters import signing
from adapters.registry import Adapters
from adapters.transport import Transport
from adapters.webhook import Webhook
from service import db
from service.actions import rotate_endpoint_secret
from service.engine.hub import Hub
from service.models import Endpoint, PublicKey
from service.security import client_keys

HERE = Path(__file__).parent / "official"
BANK = "vietcombank"
BATCH = "application/cloudevents-batch+json"


@pytest.fixture(scope="session")
def modules() -> Path:
    """The folder of the locked modules of JavaScript."""
    return locked_tools.node(HERE)


@dataclass(frozen=True)
class Delivery:
    """One call as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it carries."""
        told = json.loads(self.body)
        return told if isinstance(told, list) else [told]

    @property
    def signatures(self) -> list[tuple[str, str, str]]:
        """Of each order: the header's ``kid``, what the hub signed, and its signature."""
        found = []
        for event in self.events:
            text = event.get("hoatocsignature") or self.headers["hoatoc-signature"]
            head, _, tail = text.partition("..")
            said = json.loads(base64.urlsafe_b64decode(head + "=="))
            assert (said["typ"], said["sub"]) == ("hoatoc-order+jws", event["data"]["order_id"])
            payload = base64.urlsafe_b64encode(rfc8785.dumps(event["data"])).rstrip(b"=").decode()
            found.append((said["kid"], f"{head}.{payload}", tail))
        return found


def deliveries(heard: Heard) -> list[Delivery]:
    """All calls that a server heard."""
    found = []
    for head, body in zip(heard.heads, heard.bodies, strict=True):
        pairs = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
        found.append(Delivery({name.lower(): value for name, _, value in pairs}, body))
    return found


Cases = Sequence[tuple[Delivery, str]]


@dataclass
class Judges:
    """The three libraries; each says whether a secret signed a delivery, and whether the hub signed its orders."""

    modules: Path
    keys: dict[str, dict[str, str]]

    def agree(self, *cases: tuple[Delivery, str]) -> list[tuple[bool, list[bool]]]:
        """Return what all three say of each delivery and secret; they must say the same."""
        told = [self.python(cases), self.javascript(cases), self.java(cases)]
        assert told[0] == told[1] == told[2], told
        return told[0]

    def python(self, cases: Cases) -> list[tuple[bool, list[bool]]]:
        """The official library, and joserfc."""
        registry = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)

        def genuine(delivery: Delivery, secret: str) -> bool:
            try:
                Official(secret).verify(delivery.body, delivery.headers)
            except WebhookVerificationError:
                return False
            return True

        def ordered(kid: str, signed: str, tail: str) -> bool:
            try:
                jws.deserialize_compact(f"{signed}.{tail}", ECKey.import_key(self.keys[kid]), registry=registry)
            except BadSignatureError:
                return False
            return True

        return [(genuine(each, secret), [ordered(*order) for order in each.signatures]) for each, secret in cases]

    def javascript(self, cases: Cases) -> list[tuple[bool, list[bool]]]:
        """The official library, and Node's crypto."""
        lines = []
        for delivery, secret in cases:
            orders = [
                {"jwk": self.keys[kid], "signed": signed, "signature": tail}
                for kid, signed, tail in delivery.signatures
            ]
            asked = {"secret": secret, "headers": delivery.headers, "orders": orders}
            lines.append(json.dumps({**asked, "body": base64.b64encode(delivery.body).decode()}))
        told = [json.loads(line) for line in run(["node", str(HERE / "verify.mjs")], lines, MODULES=str(self.modules))]
        return [(outcome["genuine"], outcome["ordered"]) for outcome in told]

    def java(self, cases: Cases) -> list[tuple[bool, list[bool]]]:
        """Java's own library."""
        lines, names = [], ("webhook-id", "webhook-timestamp", "webhook-signature")
        for delivery, secret in cases:
            signed = [delivery.headers[name] for name in names]
            lines.append("\t".join(["hmac", secret, *signed, base64.b64encode(delivery.body).decode()]))
            for kid, text, tail in delivery.signatures:
                lines.append("\t".join(["es256", self.keys[kid]["x"], self.keys[kid]["y"], text, tail]))
        told = iter([line == "true" for line in run(["java", str(HERE / "Verify.java")], lines)])
        return [(next(told), [next(told) for _ in each.signatures]) for each, _ in cases]


def run(command: list[str], lines: list[str], **environment: str) -> list[str]:
    """Give lines to a program and return those that it gives back."""
    given = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | environment
    text = "".join(f"{line}\n" for line in lines)
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=given, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
async def judges(hub: Hub, modules: Path) -> Judges:
    """The libraries, with the hub's keys as everybody may read them."""
    return Judges(modules, {})


@pytest.fixture
async def bank(hub: Hub, build: Builder, rig: Rig, tmp_path: Path) -> AsyncIterator[tuple[World, Heard, Any]]:
    """A network whose bank takes orders over mutual TLS, one a call at first; its server and its endpoint."""
    world = World(hub)
    await world.settle_in()
    servers, clients = Authority(tmp_path, "servers of the bank"), Authority(tmp_path, "clients of the bank")
    asked = x509.load_pem_x509_csr(client_keys.make(hub.settings.keys_dir, "hub.example").encode())
    public: Any = asked.public_key()
    shown = clients._builder(asked.subject, public).sign(clients._key, hashes.SHA256())
    transport = Transport(allow_loopback=True)
    rig.delivery._adapters = Adapters(Webhook(hub.settings.address))
    rig.delivery._transport = transport
    async with serving(says("202 Accepted"), servers.issue("localhost"), client_ca=clients.pem) as heard:
        endpoint = await build.endpoint(
            BANK,
            position=0,
            url=f"https://localhost:{heard.port}/",
            network="127.0.0.0/8",
            port=heard.port,
            ca_pem=servers.pem,
            client_certificate=shown.public_bytes(serialization.Encoding.PEM).decode(),
        )
        yield world, heard, endpoint
    await transport.aclose()


async def known(world: World, judges: Judges) -> None:
    """Let the judges read the hub's keys."""
    rows = await world.rows(PublicKey, owner_kind="hub")
    judges.keys = {row["kid"]: {name: row["jwk"][name] for name in ("kty", "crv", "x", "y")} for row in rows}


async def freezes(world: World, count: int) -> None:
    """So many active freezes of different accounts."""
    for number in range(count):
        target = {**worlds.freeze()["target"], "value": f"99900011{number:05d}"}
        await world.active(worlds.freeze(case_number=f"{number}/2026/CA", target=target))


async def test_one_order_and_a_batch_are_verified_by_each_of_them(
    bank: tuple[World, Heard, Any], judges: Judges, rig: Rig
) -> None:
    world, heard, endpoint = bank
    await known(world, judges)
    await freezes(world, 1)
    assert await rig.round() == 1

    async def declared(conn: Any) -> None:
        of = table(Endpoint)
        # The first administrator proposes, the second approves.
        await conn.execute(sa.update(of).where(of.c.id == endpoint).values(approved_sha256=None, batch=True))
        await put_in_force(conn, endpoint)

    await world.hub.writer.run(declared, reach=db.HUB)
    await freezes(world, 4)
    assert await rig.round() == 4
    one, batch = deliveries(heard)
    assert (len(one.events), len(batch.events)) == (1, 4)
    assert (one.headers["content-type"], batch.headers["content-type"]) == ("application/cloudevents+json", BATCH)
    assert "hoatoc-signature" not in batch.headers
    # None of the three takes anything else for them.
    now = int(datetime.now(UTC).timestamp())
    cases = [(one, SECRET), (batch, SECRET)]
    for each in (one, batch):
        late = {**each.headers, "webhook-timestamp": str(now - 400)}
        cases += [(each, signing.new_secret()), (Delivery(each.headers, forged(each.body)), SECRET)]
        renamed = {**each.headers, "webhook-id": "msg_other"}
        cases += [(Delivery(late, each.body), SECRET), (Delivery(renamed, each.body), SECRET)]
    told = judges.agree(*cases)
    assert told[:2] == [(True, [True]), (True, [True] * 4)]
    assert [genuine for genuine, _ in told[2:]] == [False] * 8
    assert [all(ordered) for _, ordered in told[2:]] == [True, False, True, True] * 2


def forged(body: bytes) -> bytes:
    """A body in which somebody asks for another amount."""
    assert b"150000000" in body
    return body.replace(b"150000000", b"150000001")


async def test_during_a_rotation_both_secrets_verify_and_afterwards_the_new_one_alone(
    bank: tuple[World, Heard, Any], judges: Judges, rig: Rig, fast_forward: FastForward
) -> None:
    world, heard, endpoint = bank
    await known(world, judges)
    rotated = await rotate_endpoint_secret.rotate(world.hub, ADMIN, BANK, endpoint)
    assert rotated.secret is not None
    await freezes(world, 1)
    assert await rig.round() == 1
    await fast_forward(hours=25)
    await freezes(world, 1)
    assert await rig.round() == 1
    during, after = deliveries(heard)
    assert len(during.headers["webhook-signature"].split(" ")) == 2
    cases = [(during, SECRET), (during, rotated.secret), (after, rotated.secret), (after, SECRET)]
    assert [genuine for genuine, _ in judges.agree(*cases)] == [True, True, True, False]


def test_the_lock_names_no_host_and_has_an_integrity_for_each_package() -> None:
    text = (HERE / "package-lock.json").read_text()
    assert "resolved" not in text and "://" not in text
    packages = {name: each for name, each in json.loads(text)["packages"].items() if name}
    assert packages and all(each["integrity"].startswith("sha512-") for each in packages.values())
