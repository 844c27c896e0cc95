"""The token library is told the one algorithm by name, although the parser in front of it lets no other through."""

from datetime import timedelta
from typing import Any

import pytest
import token_forge as forge
from jose import jws

from service.security import tokens
from service.security.scopes import Scope


def test_the_library_is_told_the_one_algorithm_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    real = jws.verify

    def spy(token: str, key: Any, algorithms: Any = None, **more: Any) -> bytes:
        told.append(algorithms)
        return bytes(real(token, key, algorithms, **more))

    monkeypatch.setattr(tokens.jws, "verify", spy)
    tokens.verify_client_assertion(forge.assertion(), key_of=forge.key_of, audience=forge.ISSUER, now=forge.NOW)
    issued, _, _ = tokens.issue_access_token(
        forge.HUB,
        issuer=forge.ISSUER,
        audience=forge.ISSUER,
        client_id=forge.CLIENT,
        subject=forge.CLIENT,
        scopes={Scope.REQUESTS_READ},
        jkt=forge.JKT,
        now=forge.NOW,
        lifetime=timedelta(seconds=60),
    )
    tokens.verify_access_token(issued, key_of=forge.key_of, issuer=forge.ISSUER, audience=forge.ISSUER, now=forge.NOW)
    assert told == [["ES256"], ["ES256"]]
