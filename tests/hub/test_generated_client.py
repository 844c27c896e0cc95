"""A Python client that is generated from the contract alone files a request with a real hub and reads its timeline."""

import functools
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import httpx
import locked_tools
import pytest
import world as worlds
from apis import Api, Proofs

from service.security.signatures import Kind

pytest_plugins = ["api_fixtures"]

ROOT = Path(__file__).parents[2]
CLIENT = "generated_hub_client"
# The generator knows no XML; who speaks ISO 20022 has a library for its messages.
LEFT_OUT = "WARNING parsing POST /v1/iso20022 within orders. Endpoint will not be generated."


class Proven(Proofs):
    """The generated calls ask for a proof beforehand; only who sees the call itself can make it."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Replace what stands in for the proof."""
        del request.headers["DPoP"]
        yield from super().auth_flow(request)


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the client, as a package of its own."""
    commands = locked_tools.python(ROOT / "requirements" / "client.txt")
    folder = tmp_path_factory.mktemp("generated")
    # Unless it is told, a PDF is no answer to it.
    told_how = folder / "how.yaml"
    told_how.write_text("content_type_overrides:\n  application/pdf: application/octet-stream\n")
    told = subprocess.run(
        [
            *(commands / "openapi-python-client", "generate", "--path", ROOT / "openapi" / "hub.v1.json"),
            *("--config", told_how),
            *("--meta", "none", "--output-path", folder / CLIENT),
        ],
        # It forms its code with the ruff that it finds.
        env={**os.environ, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    assert [line for line in told.stdout.splitlines() if line.startswith("WARNING")] == [LEFT_OUT]
    return folder


@pytest.fixture
def part(generated: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import one module of the client by its name."""
    monkeypatch.syspath_prepend(str(generated))
    yield lambda name: importlib.import_module(f"{CLIENT}.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == CLIENT]:
        del sys.modules[name]


def calling(part: Any, api: Api) -> Any:
    """The generated client of the police system."""
    wire = {"transport": httpx.ASGITransport(api.app), "auth": Proven()}
    address = api.hub.settings.address
    return part("client").AuthenticatedClient(address, api.police.token, prefix="DPoP", httpx_args=wire)


async def test_the_generated_client_files_a_request_and_reads_its_timeline(api: Api, part: Any) -> None:
    client = calling(part, api)
    body = part("models").FreezeRequest.from_dict(worlds.freeze())
    submit: ModuleType = part("api.requests.submit_request")
    filing = functools.partial(submit.asyncio_detailed, client=client, body=body, d_po_p="")
    signature = api.world.sign(Kind.REQUEST, json.dumps(body.to_dict()).encode(), "maker")
    first = await filing(idempotency_key="generated-1", hoatoc_signature=signature)
    assert first.status_code == 201, first.content
    assert (first.parsed.state, first.parsed.recipients) == ("awaiting_approval", ["vietcombank"])
    await api.world.approve(UUID(str(first.parsed.id)))
    told = await part("api.requests.get_timeline").asyncio(first.parsed.id, client=client, d_po_p="")
    codes = [fact.code for fact in told.facts]
    assert codes[:2] == ["request.submitted", "request.approved"] and "order.placed" in codes
    # The key of the first call answers the first result again.
    again = await filing(idempotency_key="generated-1", hoatoc_signature=signature)
    assert (again.parsed, again.headers["idempotency-replayed"]) == (first.parsed, "true")


async def test_the_generated_client_reads_a_refusal_as_a_problem(api: Api, part: Any) -> None:
    client = calling(part, api)
    body = part("models").FreezeRequest.from_dict(worlds.freeze())
    refused = await part("api.requests.submit_request").asyncio(
        client=client, body=body, idempotency_key="generated-2", d_po_p=""
    )
    assert (refused.status, refused.code) == (403, "signature.missing")
