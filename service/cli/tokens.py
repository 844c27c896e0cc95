"""Commands for keys and tokens: a new key pair, an access token, the proof for one call, a link to sign in."""

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
from service.security import compact, keyfile, profiles, proofs
from service.security.keyring import SigningKey
from service.security.refusal import TokenRefused
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
    with context.told():
        private = keyfile.load(key)
    granted = context.run(ask(address(hub), private, client))
    if as_json:
        output.answer(True, granted)
    else:
        output.say(granted["access_token"])


def proof(
    method: Annotated[str, typer.Argument(help="the method of the call: GET, POST, …")],
    path: Annotated[str, typer.Argument(help="its path, as in /v1/requests; what stands behind a ? is left out")],
    key: Annotated[Path, typer.Option(help="the client's private key, as hoatoc keygen wrote it")],
    token: Annotated[str, typer.Option(help="the access token that the call carries")],
    body: Annotated[Path | None, typer.Option(help="the file that is sent, byte for byte")] = None,
) -> None:
    """Print the proof for one call, the value of its DPoP header: good for a minute, and for one change."""
    with context.told():
        private = keyfile.load(key)
        content = body.read_bytes() if body else b""
    output.say(proven(token, private, method.upper(), path, content)["DPoP"])


def sign_in_link(
    person: Annotated[str, typer.Argument(help="the person's id: small letters, digits, '-', '.' and '_'")],
    role: Annotated[Role, typer.Option()] = Role.COORDINATOR,
    participant: Annotated[str, typer.Option(help="for whom the person works")] = OPERATOR,
    as_json: AsJson = False,
) -> None:
    """Make a single-use link to the console, valid for 15 minutes."""
    address = context.settings().address
    body = context.parse(lambda: NewSignInLink(participant_id=participant, person=person, role=role))
    # One short transaction, which the hub that runs meanwhile takes for one of its own: nobody stops it for a link.
    made = context.act(lambda open_hub: make_sign_in_link.make(open_hub, context.person(), body))
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


def address(hub: str | None) -> str:
    """Return where the running hub listens: as named, or as the settings say."""
    chosen = context.settings()
    host = "127.0.0.1" if chosen.host in ("0.0.0.0", "::") else chosen.host  # noqa: S104 - where to call, not to listen
    return hub or f"http://{host}:{chosen.port}"


def issuer(token: str) -> str:
    """Return the address that clients know a token's hub by, whichever node or gateway is called."""
    try:
        return str(compact.parse(token, profiles.ACCESS_TOKEN).claims["iss"])
    except TokenRefused:
        raise output.fail("--token is no access token of a hub") from None


def proven(token: str, private: SigningKey, method: str, path: str, content: bytes = b"") -> dict[str, str]:
    """Return the headers by which one call shows its token and proves that it holds the token's key."""
    proof = proofs.make(private.private, method, issuer(token) + path, token, content, clock.utc_now())
    return {"Authorization": f"DPoP {token}", "DPoP": proof}


async def ask(hub: str, private: SigningKey, client: str) -> dict[str, Any]:
    """Exchange a signed assertion for an access token at the hub; end the command where it is refused."""
    try:
        caller = HubClient(hub)
    except ValueError:
        raise output.fail("--hub is the http address of a hub on this machine") from None
    try:
        # The hub itself says which audience it takes: the address that clients know it by.
        told = json.loads((await caller.get("/.well-known/oauth-authorization-server", headers={})).body)
        return await _exchange(caller, _assertion(private, client, str(told["issuer"])))
    except (ValueError, KeyError):
        raise output.fail(f"{hub} is no hub") from None
    finally:
        await caller.aclose()


async def _exchange(caller: HubClient, assertion: str) -> dict[str, Any]:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": _ASSERTION_TYPE,
        "client_assertion": assertion,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await caller.post("/oauth/token", content=urlencode(form).encode(), headers=headers)
    try:
        granted: dict[str, Any] = json.loads(answer.body)
    except ValueError:
        granted = {}
    if answer.status != 200 or "access_token" not in granted:
        code = granted.get("code") or granted.get("error") or ""
        raise output.fail(f"the hub refuses the client: {answer.status} {code}".rstrip())
    return granted
