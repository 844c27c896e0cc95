"""Proofs of possession: each class of bad proof is refused with its reason, and a good one fits one call alone."""

import traceback
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bad_proofs import BAD
from joserfc import jws
from joserfc.jwk import ECKey
from token_forge import (
    ACCESS,
    BODY,
    DROP,
    ISSUER,
    JKT,
    KEY,
    METHOD,
    NOW,
    PATH,
    PROOF_HEADER,
    T,
    hashed,
    proof,
)

from service.security import proofs
from service.security.proofs import Call
from service.security.refusal import Reason, TokenRefused
from service.security.single_use import SingleUse

CALL = Call(METHOD, ISSUER + PATH, body=BODY)
GET = Call("GET", f"{ISSUER}/v1/requests", query=b"limit=1")


def check(text: str, call: Call = CALL, token: str = ACCESS) -> SingleUse:
    return proofs.verify(text, call, access_token=token, jkt=JKT, now=NOW)


def refused(text: str, call: Call = CALL, token: str = ACCESS) -> Reason:
    with pytest.raises(TokenRefused) as refusal:
        check(text, call, token)
    return refusal.value.reason


@pytest.mark.parametrize("name", BAD)
def test_a_bad_proof_is_refused_with_its_reason_and_leaves_no_trace(name: str) -> None:
    text, reason = BAD[name]
    with pytest.raises(TokenRefused) as refusal:
        check(text)
    assert refusal.value.reason is reason
    told = "".join(traceback.format_exception(refusal.value)) + repr(refusal.value.__dict__)
    assert not any(len(segment) > 20 and segment in told for segment in text.split("."))


def test_the_table_has_each_reason_that_a_proof_alone_can_give() -> None:
    of_the_call = {Reason.PROOF_MISSING, Reason.PROOF_REPEATED, Reason.PROOF_QUERY}
    given = {reason for _, reason in BAD.values()}
    assert {each for each in Reason if each.startswith("proof.")} - of_the_call <= given
    assert len(BAD) >= 60


@pytest.mark.parametrize("text", [proof(), proof(iat=T + 10), proof(iat=T - 59), proof(jti="j" * 200), proof(jti="x")])
def test_a_good_proof_is_accepted_up_to_the_edges_of_the_clock(text: str) -> None:
    assert check(text).issuer == f"proof:{JKT}"


def test_what_must_be_spent_outlives_the_last_instant_at_which_it_could_be_taken() -> None:
    single = check(proof(iat=T + 10, jti="p-9"))
    assert (single.identifier, len(single.digest)) == ("p-9", 64)
    assert single.expires_at.timestamp() == T + 10 + 60 + 60
    assert single.digest != replace(single, identifier="p-8").digest


def test_a_reading_is_proven_without_a_body_and_with_just_its_query() -> None:
    good = {"htm": "GET", "htu": GET.target, "bsh": DROP, "qsh": hashed(GET.query)}
    assert check(proof(**good), GET)
    for other in (b"limit=2", b"limit=1&", b"limit=1&after=9", b"%6cimit=1"):
        assert refused(proof(**good), replace(GET, query=other)) is Reason.PROOF_QUERY
    assert refused(proof(**{**good, "qsh": DROP}), GET) is Reason.CLAIM_MISSING
    assert refused(proof(**{**good, "qsh": [good["qsh"]]}), GET) is Reason.PROOF_QUERY
    assert refused(proof(**good), replace(GET, query=b"")) is Reason.CLAIM_UNEXPECTED
    assert check(proof(**{**good, "qsh": DROP}), replace(GET, query=b""))
    assert refused(proof(**{**good, "bsh": hashed(b"")}), GET) is Reason.CLAIM_UNEXPECTED
    assert refused(proof(**good), Call("POST", GET.target)) is Reason.CLAIM_MISSING
    assert refused(proof(**good), replace(GET, method="HEAD")) is Reason.PROOF_METHOD


def test_a_change_has_no_query_and_without_a_body_proves_that_there_is_none() -> None:
    assert refused(proof(), replace(CALL, query=b"a=1")) is Reason.PROOF_QUERY
    delete = Call("DELETE", CALL.target)
    assert check(proof(htm="DELETE", bsh=hashed(b"")), delete)
    assert refused(proof(htm="DELETE"), delete) is Reason.PROOF_BODY


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"method": "PUT"}, Reason.PROOF_METHOD),
        ({"target": CALL.target + "s"}, Reason.PROOF_TARGET),
        ({"body": BODY[:-1]}, Reason.PROOF_BODY),
        ({"body": b""}, Reason.PROOF_BODY),
    ],
)
def test_a_good_proof_fits_no_other_call(changes: dict[str, Any], reason: Reason) -> None:
    assert refused(proof(), replace(CALL, **changes)) is reason


def test_a_good_proof_fits_no_other_token_and_no_other_key() -> None:
    assert refused(proof(), token=ACCESS + "A") is Reason.PROOF_TOKEN
    with pytest.raises(TokenRefused) as refusal:
        proofs.verify(proof(), CALL, access_token=ACCESS, jkt="A" * 43, now=NOW)
    assert refusal.value.reason is Reason.PROOF_BINDING


@pytest.mark.parametrize(("method", "body"), [("POST", BODY), ("DELETE", b""), ("GET", b"")])
def test_what_our_own_client_makes_is_accepted_and_reads_as_the_profile_says(method: str, body: bytes) -> None:
    made = proofs.make(KEY, method, CALL.target, ACCESS, body, NOW)
    assert check(made, Call(method, CALL.target, body=body))
    read = jws.extract_compact(made.encode())
    assert read.headers() == PROOF_HEADER
    jws.deserialize_compact(made, ECKey.import_key(KEY), algorithms=["ES256"])
    if method == "GET":
        asked = proofs.make(KEY, method, f"{CALL.target}?after=7&wait=0", ACCESS, body, NOW)
        assert check(asked, Call(method, CALL.target, query=b"after=7&wait=0"))
    assert made != proofs.make(KEY, method, CALL.target, ACCESS, body, NOW)
    assert check(made, Call(method, CALL.target, body=body)).identifier
    with pytest.raises(TokenRefused):
        proofs.verify(
            made, Call(method, CALL.target, body=body), access_token=ACCESS, jkt=JKT, now=NOW + timedelta(seconds=61)
        )
