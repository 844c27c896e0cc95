"""The classes of bad access tokens, each with the reason for which it must be refused."""

from joserfc import jwk
from token_forge import ACCESS_CLAIMS, CLIENT, DROP, ISSUER, JKT, KEY, OTHER_KEY, T, access, assertion, proof

from service.security.refusal import Reason

BAD: dict[str, tuple[str, Reason]] = {
    "a client assertion": (assertion(), Reason.TYPE),
    "a proof": (proof(), Reason.HEADER_MEMBERS),
    "typ JWT": (access({"typ": "JWT"}), Reason.TYPE),
    "the long name of the type": (access({"typ": "application/at+jwt"}), Reason.TYPE),
    "header jwk": (access({"jwk": jwk.ECKey.import_key(OTHER_KEY).as_dict(private=False)}), Reason.HEADER_MEMBERS),
    "alg none": (access({"alg": "none"}), Reason.ALGORITHM),
    "another issuer": (access(iss="https://evil.example"), Reason.ISSUER),
    "a client as issuer": (access({"kid": "k1"}, KEY, iss=CLIENT), Reason.ISSUER),
    "issuer as a list": (access(iss=[ISSUER]), Reason.ISSUER),
    "unknown kid": (access({"kid": "gone"}), Reason.KEY_UNKNOWN),
    "signed with a client's key": (access({"kid": "client"}, KEY), Reason.KEY_PURPOSE),
    "signed by a stranger": (access(key=OTHER_KEY), Reason.SIGNATURE),
    **{f"no {name}": (access(**{name: DROP}), Reason.CLAIM_MISSING) for name in ACCESS_CLAIMS},
    "unexpected claim": (access(roles=["hub_admin"]), Reason.CLAIM_UNEXPECTED),
    "the audience of one path": (access(aud=ISSUER + "/v1"), Reason.AUDIENCE),
    "audience as a list": (access(aud=[ISSUER]), Reason.AUDIENCE),
    "client_id as a number": (access(client_id=1), Reason.CLAIM_TYPE),
    "sub null": (access(sub=None), Reason.CLAIM_TYPE),
    "jti with a space": (access(jti="a b"), Reason.CLAIM_TYPE),
    "scope as a list": (access(scope=["requests:read"]), Reason.CLAIM_TYPE),
    "scope empty": (access(scope=""), Reason.SCOPE),
    "scope unknown": (access(scope="requests:read root"), Reason.SCOPE),
    "scope twice": (access(scope="requests:read requests:read"), Reason.SCOPE),
    "scope with two spaces": (access(scope="requests:read  requests:write"), Reason.SCOPE),
    "cnf null": (access(cnf=None), Reason.CONFIRMATION),
    "cnf of a certificate": (access(cnf={"x5t#S256": JKT}), Reason.CONFIRMATION),
    "cnf with two": (access(cnf={"jkt": JKT, "kid": "x"}), Reason.CONFIRMATION),
    "jkt too short": (access(cnf={"jkt": JKT[:-1]}), Reason.CONFIRMATION),
    "jkt as a number": (access(cnf={"jkt": 1}), Reason.CONFIRMATION),
    "lives 301 s": (access(exp=T + 301), Reason.LIFETIME),
    "expired": (access(iat=T - 200, exp=T - 10), Reason.EXPIRED),
    "from the future": (access(iat=T + 11), Reason.ISSUED_IN_FUTURE),
}
