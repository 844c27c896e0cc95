"""The command that files a request: for trying a hub out by hand, and for scripts of an agency."""

import json
import uuid
from pathlib import Path
from typing import Annotated

import typer

from adapters.transport import HubAnswer, HubClient
from service.cli import context, output, proving, tokens
from service.cli.output import AsJson
from service.security import keyfile
from service.security.keyring import SigningKey
from service.security.signatures import Kind

_PATH = "/v1/requests"


def submit(
    file: Annotated[Path, typer.Argument(help="the request as JSON, see openapi/examples/requests")],
    client: Annotated[str, typer.Option(help="the id of your client system")],
    key: Annotated[Path, typer.Option(help="its private key, as hoatoc keygen wrote it")],
    officer_key: Annotated[Path, typer.Option(help="the private key of the officer that the request names")],
    hub: Annotated[str | None, typer.Option(help="http address of the hub on this machine")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="default: a new one")] = None,
    as_json: AsJson = False,
) -> None:
    """Sign a request as its officer, file it with a running hub and print what that answers."""
    body = context.read(file)
    with context.told():
        private = keyfile.load(key)
    address = tokens.address(hub)
    filed = context.run(_submit(address, private, client, body, officer_key, idempotency_key or str(uuid.uuid4())))
    answer = json.loads(filed.body)
    if filed.status != 201:
        fields = "".join(f"\n  {each['field']}: {each['message']}" for each in answer.get("errors", []))
        raise output.fail(f"{filed.status} {answer.get('code', '')}: {answer.get('detail', '')}{fields}")
    output.answer(as_json, answer)
    if not as_json:
        output.say(f"timeline: {address}/requests/{answer['id']}")


async def _submit(
    address: str, private: SigningKey, client: str, body: str, officer_key: Path, idempotency_key: str
) -> HubAnswer:
    granted = await tokens.ask(address, private, client)
    content, issuer = body.encode(), tokens.issuer(granted["access_token"])
    headers = {
        **tokens.proven(granted["access_token"], private, "POST", _PATH, content),
        "Content-Type": "application/json",
        "Idempotency-Key": idempotency_key,
        proving.HEADER: proving.signed(body, officer_key, Kind.REQUEST, issuer),
    }
    caller = HubClient(address)
    try:
        return await caller.post(_PATH, content=content, headers=headers)
    finally:
        await caller.aclose()
