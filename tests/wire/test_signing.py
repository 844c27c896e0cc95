"""Webhook signatures, with the official Standard Webhooks library as the oracle in both directions."""

import base64
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from adapters import signing

NOW = 1_795_000_000
SECRET = signing.new_secret()
OLDER = signing.new_secret()

secrets = st.binary(min_size=24, max_size=64).map(lambda key: "whsec_" + base64.b64encode(key).decode())
ids = st.from_regex(r"\Amsg_[0-9a-f]{32}\Z")


def headers(message_id: str, timestamp: int | str, signature: str) -> dict[str, str]:
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def reason(given_secrets: list[str], given_headers: dict[str, str], body: bytes, now: float = NOW) -> str:
    with pytest.raises(signing.SignatureInvalid) as caught:
        signing.verify(given_secrets, given_headers, body, now)
    return caught.value.reason


@given(secrets, ids, st.text())
def test_the_official_library_accepts_our_signature(secret: str, message_id: str, text: str) -> None:
    now = int(time.time())
    signed = headers(message_id, now, signing.sign([secret], message_id, now, text.encode()))
    Webhook(secret).verify(text, signed, json_parse=False)


@given(secrets, ids, st.text(), st.integers(0, 4_000_000_000))
def test_we_accept_the_official_librarys_signature_and_make_the_same(
    secret: str, message_id: str, text: str, timestamp: int
) -> None:
    theirs = Webhook(secret).sign(message_id, datetime.fromtimestamp(timestamp, UTC), text)
    assert signing.sign([secret], message_id, timestamp, text.encode()) == theirs
    signing.verify([secret], headers(message_id, timestamp, theirs), text.encode(), timestamp)


def test_during_a_rotation_holders_of_either_secret_accept() -> None:
    now = int(time.time())
    signature = signing.sign([SECRET, OLDER], "msg_1", now, b"{}")
    assert len(signature.split(" ")) == 2
    for secret in (SECRET, OLDER):
        signing.verify([secret], headers("msg_1", now, signature), b"{}", now)
        Webhook(secret).verify("{}", headers("msg_1", now, signature))
    # A receiver that rotates first knows two secrets and gets one signature.
    signing.verify([SECRET, OLDER], headers("msg_1", now, signing.sign([OLDER], "msg_1", now, b"{}")), b"{}", now)


@pytest.mark.parametrize(
    ("age", "expected"), [(301, "timestamp_old"), (-301, "timestamp_ahead"), (300, None), (-300, None)]
)
def test_a_signature_counts_for_five_minutes_either_way(age: int, expected: str | None) -> None:
    signed = headers("msg_1", NOW - age, signing.sign([SECRET], "msg_1", NOW - age, b"{}"))
    if expected is None:
        signing.verify([SECRET], signed, b"{}", NOW)
    else:
        assert reason([SECRET], signed, b"{}") == expected


@pytest.mark.parametrize("given_secrets", [[OLDER], []])
def test_another_secret_or_none_proves_nothing(given_secrets: list[str]) -> None:
    signed = headers("msg_1", NOW, signing.sign([SECRET], "msg_1", NOW, b"{}"))
    assert reason(given_secrets, signed, b"{}") == "signature_unknown"


@given(st.binary(min_size=1, max_size=200), st.data())
def test_one_flipped_bit_of_the_body_breaks_the_signature(body: bytes, data: st.DataObject) -> None:
    signed = headers("msg_1", NOW, signing.sign([SECRET], "msg_1", NOW, body))
    place, bit = data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(0, 7))
    flipped = bytearray(body)
    flipped[place] ^= 1 << bit
    assert reason([SECRET], signed, bytes(flipped)) == "signature_unknown"


@given(st.integers(0, 46), st.characters(min_codepoint=33, max_codepoint=0xD7FF))
def test_one_changed_character_of_the_signature_breaks_it(place: int, character: str) -> None:
    signature = signing.sign([SECRET], "msg_1", NOW, b"{}")
    changed = signature[:place] + character + signature[place + 1 :]
    if changed != signature:
        assert reason([SECRET], headers("msg_1", NOW, changed), b"{}") == "signature_unknown"


def test_the_id_and_the_timestamp_are_signed_too() -> None:
    signature = signing.sign([SECRET], "msg_1", NOW, b"{}")
    assert reason([SECRET], headers("msg_2", NOW, signature), b"{}") == "signature_unknown"
    assert reason([SECRET], headers("msg_1", NOW + 1, signature), b"{}") == "signature_unknown"


def test_signatures_of_unknown_versions_are_passed_over() -> None:
    signature = signing.sign([SECRET], "msg_1", NOW, b"{}")
    signing.verify([SECRET], headers("msg_1", NOW, f"v1a,abc {signature} v9,x"), b"{}", NOW)
    assert reason([SECRET], headers("msg_1", NOW, signature.replace("v1,", "v2,")), b"{}") == "signature_unknown"


def test_the_names_of_the_headers_may_be_in_any_case() -> None:
    signed = headers("msg_1", NOW, signing.sign([SECRET], "msg_1", NOW, b"{}"))
    signing.verify([SECRET], {name.title(): value for name, value in signed.items()}, b"{}", NOW)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"webhook-id": None}, "headers_missing"),
        ({"webhook-timestamp": None}, "headers_missing"),
        ({"webhook-signature": None}, "headers_missing"),
        ({"webhook-id": f"msg_1.{NOW}"}, "id_malformed"),
        ({"webhook-id": ""}, "id_malformed"),
        ({"webhook-timestamp": f"{NOW}.0"}, "timestamp_malformed"),
        ({"webhook-timestamp": f"+{NOW}"}, "timestamp_malformed"),
        ({"webhook-timestamp": "1" * 5000}, "timestamp_malformed"),
        ({"webhook-signature": ""}, "signature_unknown"),
    ],
)
def test_missing_and_malformed_headers_are_refused_with_their_reason(
    change: dict[str, str | None], expected: str
) -> None:
    signed = headers("msg_1", NOW, signing.sign([SECRET], "msg_1", NOW, b"{}"))
    changed = {name: value for name, value in (signed | change).items() if value is not None}
    assert reason([SECRET], changed, b"{}") == expected


def test_a_new_secret_is_32_random_bytes_that_the_official_library_takes() -> None:
    assert len(base64.b64decode(SECRET.removeprefix("whsec_"), validate=True)) == 32
    assert SECRET != OLDER
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify("{}", headers("msg_1", int(time.time()), "v1,AAAA"))


@pytest.mark.parametrize(
    "secret",
    ["whsec_", "whsec_c2hvcnQ=", "whsec_!!", SECRET.removeprefix("whsec_")],
    ids=["empty", "short", "no base64", "no prefix"],
)
def test_a_weak_or_malformed_secret_signs_nothing(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        signing.sign([secret], "msg_1", NOW, b"{}")


def test_nothing_is_signed_without_a_secret_or_with_a_dotted_id() -> None:
    with pytest.raises(ValueError, match="without a secret"):
        signing.sign([], "msg_1", NOW, b"{}")
    with pytest.raises(ValueError, match="id"):
        signing.sign([SECRET], "msg.1", NOW, b"{}")
