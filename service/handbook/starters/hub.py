"""A participant's way to the hub: who signed an order, and answers with a token, a proof and a signature of its own."""

import base64
import hashlib
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

from joserfc import jws  # pip install joserfc
from joserfc.jwk import ECKey

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
HEADERS = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sha256(raw):
    return b64(hashlib.sha256(raw).digest())


def canonical(value):
    """RFC 8785, as far as the hub's messages need it: they hold no number but small integers."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


class Hub:
    """``address`` is the hub's issuer; the keys are JWK files: of the system that calls, and for answers."""

    def __init__(self, address, participant, client, client_key, answer_key):
        self.address, self.participant, self.client = address, participant, client
        keys = [ECKey.import_key(json.loads(Path(file).read_text())) for file in (client_key, answer_key)]
        self.system, self.signer = keys
        self.keys, self.read_at, self.token, self.token_ends = {}, 0.0, "", 0.0

    def ordered(self, signature, data):
        """Tell whether the hub signed exactly this order to us; raises OSError where its keys cannot be read."""
        head, _, tail = (signature or "").partition("..")
        said = json.loads(base64.urlsafe_b64decode(head + "=="))
        if said["kid"] not in self.keys or self.read_at < time.time() - 3600:
            self.keys = {key["kid"]: key for key in self._call("/v1/signing-keys")["keys"]}
            self.read_at = time.time()
        key = self.keys[said["kid"]]
        public = ECKey.import_key({name: key[name] for name in ("kty", "crv", "x", "y")})
        jws.deserialize_compact(f"{head}.{b64(canonical(data))}.{tail}", public, registry=HEADERS)
        made_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(said["iat"]))
        about = (said["typ"], said["sub"], data["participant_id"], key["revoked_at"])
        return (
            about == ("hoatoc-order+jws", data["order_id"], self.participant, None)
            and key["not_before"] <= made_at < key["not_after"]
        )

    def answer(self, data, body):
        """Post an answer, in its canonical form; return whether the hub took it, and raise OSError to try again."""
        path, fresh = data["answer_url"], {"iat": int(time.time()), "jti": uuid.uuid4().hex}
        header = {"typ": "hoatoc-answer+jws", "kid": self.signer.thumbprint(), "sub": data["order_id"], **fresh}
        head, _, tail = self._signed({**header, "aud": self.address}, body, self.signer).split(".")
        try:
            if self.token_ends < time.time():
                self._sign_on()
            public = {name: self.system.as_dict(private=False)[name] for name in ("kty", "crv", "x", "y")}
            proof = {"htm": "POST", "htu": self.address + path, **fresh}
            proof |= {"ath": sha256(self.token.encode()), "bsh": sha256(body)}
            headers = {
                "Authorization": f"DPoP {self.token}",
                "DPoP": self._signed({"typ": "dpop+jwt", "jwk": public}, canonical(proof), self.system),
                "Hoatoc-Signature": f"{head}..{tail}",
                "Content-Type": "application/json",
            }
            self._call(path, body, headers)
        except urllib.error.HTTPError as refused:
            self.token_ends = 0.0
            if refused.code in (400, 403, 404, 422):
                return False
            raise
        return True

    def _sign_on(self):
        now = int(time.time())
        claims = {"iss": self.client, "sub": self.client, "aud": self.address, "iat": now, "exp": now + 60}
        payload = canonical({**claims, "jti": uuid.uuid4().hex})
        assertion = self._signed({"typ": "JWT", "kid": self.system.thumbprint()}, payload, self.system)
        form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION, "client_assertion": assertion}
        granted = self._call("/oauth/token", urllib.parse.urlencode(form).encode())
        self.token, self.token_ends = granted["access_token"], now + granted["expires_in"] - 20

    def _signed(self, header, payload, key):
        return jws.serialize_compact({"alg": "ES256", **header}, payload, key, registry=HEADERS)

    def _call(self, path, body=None, headers=None):
        asked = urllib.request.Request(self.address + path, body, headers or {})
        with urllib.request.urlopen(asked, timeout=10) as answered:
            return json.load(answered)
