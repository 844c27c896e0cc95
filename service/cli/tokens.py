"""Commands for keys and tokens: a new key pair, an access token from a running hub, a link to sign in."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import uuid4

import typer
from joserfc import jwk, jwt

from adapters.transport import HubClient
from service import clock
from service.actions import make_sign_in_link
from service.cli import context, output
from service.cli.output import AsJson
from service.engine.hub import OPERATOR
from service.schemas.policies import NewSignInLink
from service.security import compact, keyfile
from service.security.keyring import SigningKey
from service.settings import Settings
from workflows.terms import Role

_VALID_FOR = timedelta(days=365)
_ASSERTION_LASTS = 60
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def keygen(file: Annotated[Path, typer.Argument(help="where the private key goes, readable by you alone")]) -> None:
    """Make a P-256 key pair: the private JWK into a new file of mode 0400, the public one to the standard output."""
    now = clock.utc_now()
    key = SigningKey.generate(not_before=now, not_after=now + _VALID_FOR)
    with context.told():
        keyfile.save(key, file)
    output.say(json.dumps(key.public_jwk()))


def token(
    client: Annotated[str, typer.Argument(help="the client's id")],
    key: Annotated[Path, typer.Option(help="its private key, as hoatoc keygen wrote it")],
    hub: Annotated[
        str | None, typer.Option(help="http address of the hub on this machine; default: the settings'")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Get an access token of a few minutes from the running hub, by a signed assertion."""
    chosen = context.settings()
    with context.told():
        private = keyfile.load(key)
    granted = context.run(_ask_for_token(chosen, hub, _assertion(private, client, chosen.address)))
    if as_json:
        output.answer(True, granted)
    else:
        output.say(granted["access_token"])


def sign_in_link(
    person: Annotated[str, typer.Argument(help="the person's id: small letters, digits, '-', '.' and '_'")],
    role: Annotated[Role, typer.Option()] = Role.COORDINATOR,
    participant: Annotated[str, typer.Option(help="for whom the person works")] = OPERATOR,
    as_json: AsJson = False,
) -> None:
    """Make a single-use link to the console, valid for 15 minutes."""
    address = context.settings().address
    body = context.parse(lambda: NewSignInLink(participant_id=participant, person=person, role=role))
    made = context.act(lambda open_hub: make_sign_in_link.make(open_hub, context.person(), body), writes=True)
    url = f"{address}{made.path}"
    if as_json:
        output.answer(True, {"url": url, "expires_at": made.expires_at.isoformat()})
    else:
        output.say(url)


def _assertion(private: SigningKey, client: str, issuer: str) -> str:
    now = int(clock.utc_now().timestamp())
    header = {"alg": compact.ALGORITHM, "typ": "JWT", "kid": private.kid}
    claims = {
        "iss": client,
        "sub": client,
        "aud": issuer,
        "iat": now,
        "exp": now + _ASSERTION_LASTS,
        "jti": str(uuid4()),
    }
    return jwt.encode(header, claims, jwk.ECKey.import_key(private.private), algorithms=[compact.ALGORITHM])


async def _ask_for_token(chosen: Settings, hub: str | None, assertion: str) -> dict[str, Any]:
    host = "127.0.0.1" if chosen.host in ("0.0.0.0", "::") else chosen.host  # noqa: S104 - where to call, not to listen
    try:
        client = HubClient(hub or f"http://{host}:{chosen.port}")
    except ValueError:
        raise output.fail("--hub is the http address of a hub on this machine") from None
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": _ASSERTION_TYPE,
        "client_assertion": assertion,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        answer = await client.post("/oauth/token", content=urlencode(form).encode(), headers=headers)
    finally:
        await client.aclose()
    try:
        granted: dict[str, Any] = json.loads(answer.body)
    except ValueError:
        granted = {}
    if answer.status != 200 or "access_token" not in granted:
        code = granted.get("code") or granted.get("error") or ""
        raise output.fail(f"the hub refuses the client: {answer.status} {code}".rstrip())
    return granted
