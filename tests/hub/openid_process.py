"""The OpenID provider that others wrote, as a process on loopback under a certificate authority of its own."""

import json
import os
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any

import httpx
import locked_tools
from joserfc.jwk import ECKey
from wire_servers import Authority

FOLDER = Path(__file__).parent / "openid"
SECRET = "a secret of these tests, & no other: 7Kq"


class ProviderProcess:
    """A running provider: its issuer, its authority's file, and whom it signs in next."""

    def __init__(self, folder: Path, hub: str) -> None:
        authority = Authority(folder, "Provider CA")
        certificate, key = authority.issue("127.0.0.1")
        self.ca_file = folder / "provider-ca.pem"
        self.ca_file.write_text(authority.pem)
        self.key = ECKey.generate_key("P-256", {"use": "sig", "kid": "of-these-tests", "alg": "ES256"})
        modules = locked_tools.node(FOLDER)
        self._process = subprocess.Popen(
            ["node", str(FOLDER / "provider.mjs"), str(modules), certificate, key, hub],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PROVIDER_KEY": json.dumps(self.key.as_dict(private=True)), "NODE_NO_WARNINGS": "1"},
        )
        self.lines: list[str] = []
        self._ready, self._told = threading.Event(), threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()
        assert self._ready.wait(60), "".join(self.lines)
        self.issuer = next(line.split()[1] for line in self.lines if line.startswith("ready "))

    def signs_in(self, account: str, **how: Any) -> None:
        """Have it sign this account in from now on; ``acr``, ``amr``, or ``refuses``."""
        with self.client() as client:
            assert client.post(f"{self.issuer}/control", json={"account": account, **how}).status_code == 204

    def client(self) -> httpx.Client:
        """Return a browser without a screen that believes its authority; it follows nothing by itself."""
        return httpx.Client(verify=ssl.create_default_context(cafile=str(self.ca_file)), timeout=20)

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return what a hub's settings say of it."""
        return {
            "oidc_issuer": self.issuer,
            "oidc_client_id": "hoatoc",
            "oidc_client_secret": SECRET,
            "oidc_network": "127.0.0.0/8",
            "oidc_ca_file": self.ca_file,
            **more,
        }

    def has_told(self) -> str:
        """Wait until it has told the hub of an end, and return what the hub answered."""
        assert self._told.wait(20), "".join(self.lines)
        return next(line.split()[1] for line in reversed(self.lines) if line.startswith("told "))

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(timeout=20)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)
            if line.startswith("ready "):
                self._ready.set()
            if line.startswith("told "):
                self._told.set()
        self._ready.set()
