"""The token wrapper: each class of bad token is refused with its reason, and good ones pass (PROMISES P8)."""

import json
import traceback
from typing import Any

import pytest
from bad_tokens import BAD, SPARE_CLAIMS, SPARE_HEADER
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwk, jwt
from token_forge import (
    ALPHABET,
    CLAIMS,
    CLIENT,
    HEADER,
    ISSUER,
    JKT,
    KEY,
    NOW,
    T,
    assertion,
    b64,
    key_of,
    raw,
    sealed,
)

from service.security import compact, tokens
from service.security.refusal import Reason, TokenRefused


def check(token: str) -> tokens.ClientAssertion:
    return tokens.verify_client_assertion(token, key_of=key_of, audience=ISSUER, now=NOW)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_token_is_refused_with_its_reason_and_leaves_no_trace(name: str) -> None:
    token, reason = BAD[name]
    with pytest.raises(TokenRefused) as refusal:
        check(token)
    assert refusal.value.reason is reason
    told = "".join(traceback.format_exception(refusal.value)) + repr(refusal.value.__dict__)
    assert str(refusal.value) == reason.value
    assert not any(len(segment) > 20 and segment in told for segment in token.split("."))


def test_the_table_has_sixty_classes_and_each_reason_that_an_assertion_can_give() -> None:
    for_access_tokens = {Reason.ISSUER, Reason.SCOPE, Reason.CONFIRMATION}
    for_calls = {Reason.SCHEME, Reason.TOO_OLD} | {each for each in Reason if each.startswith("proof.")}
    assert len(BAD) >= 60
    assert {reason for _, reason in BAD.values()} == set(Reason) - for_access_tokens - for_calls


@pytest.mark.parametrize(
    "token",
    [
        assertion(),
        assertion(header={"typ": "client-authentication+jwt"}),
        assertion(iat=T + 10, exp=T + 310),
        assertion(iat=T - 300, exp=T),
        assertion(iat=T - 200, exp=T - 9),
        assertion(nbf=T + 10),
        assertion(nbf=-1),
        assertion(exp=T + 1),
        assertion(jti="x"),
        assertion(jti="j" * 200),
        raw(claims=json.dumps(CLAIMS, indent=4)),
        raw(claims=json.dumps(dict(reversed(CLAIMS.items())))),
        sealed(b64(SPARE_HEADER), b64(SPARE_CLAIMS)),
    ],
)
def test_a_good_assertion_is_accepted_up_to_the_edges_of_the_clock(token: str) -> None:
    assert check(token).client_id == CLIENT


def test_an_assertion_made_by_another_library_says_who_called_with_which_key() -> None:
    token = jwt.encode(HEADER, CLAIMS, jwk.ECKey.import_key(KEY), algorithms=["ES256"])
    said = check(token)
    assert (said.client_id, said.kid, said.jkt, said.jti) == (CLIENT, "k1", JKT, CLAIMS["jti"])
    assert int(said.expires_at.timestamp()) == CLAIMS["exp"]


def test_a_token_of_just_4_kib_is_accepted_and_a_longer_one_is_not() -> None:
    head, text = json.dumps(HEADER), json.dumps(CLAIMS)
    padded = [raw(head + " " * more, text + " " * room) for more in (0, 1, 2) for room in range(2700, 2900)]
    just = [token for token in padded if len(token) == compact.LONGEST_TOKEN]
    over = [token for token in padded if len(token) == compact.LONGEST_TOKEN + 1]
    assert check(just[0]).client_id == CLIENT
    with pytest.raises(TokenRefused) as refusal:
        check(over[0])
    assert refusal.value.reason is Reason.TOO_LONG


def test_a_thousand_good_assertions_are_all_accepted() -> None:
    assert {check(assertion(jti=f"j{number}")).jti for number in range(1000)} == {f"j{n}" for n in range(1000)}


def test_no_other_last_character_of_a_segment_is_accepted() -> None:
    segments = sealed(b64(SPARE_HEADER), b64(SPARE_CLAIMS)).split(".")
    for part, segment in enumerate(segments):
        for letter in set(ALPHABET) - {segment[-1]}:
            spelled = [*segments[:part], segment[:-1] + letter, *segments[part + 1 :]]
            with pytest.raises(TokenRefused):
                check(".".join(spelled))


WHOLE = assertion()


@settings(max_examples=2000)
@given(
    place=st.integers(0, len(WHOLE) - 1),
    letter=st.one_of(st.sampled_from(ALPHABET + "=.+/ "), st.characters()),
    way=st.sampled_from(["replace", "insert", "delete"]),
)
def test_a_token_with_one_character_changed_is_never_accepted(place: int, letter: str, way: str) -> None:
    kept = WHOLE[place:] if way == "insert" else WHOLE[place + 1 :]
    mutant = WHOLE[:place] + ("" if way == "delete" else letter) + kept
    if mutant != WHOLE:
        with pytest.raises(TokenRefused):
            check(mutant)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(CLIENT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=1000)
@given(part=st.sampled_from([HEADER, CLAIMS]), data=st.data(), value=ANY_JSON)
def test_an_enrolled_client_that_signs_nonsense_is_refused_and_never_breaks_the_reader(
    part: dict[str, Any], data: st.DataObject, value: object
) -> None:
    name = data.draw(st.sampled_from(sorted(part)))
    token = assertion(header={name: value}) if part is HEADER else assertion(None, None, **{name: value})
    try:
        said = check(token)
    except TokenRefused:
        return
    assert said.client_id == CLIENT and value is not True


@settings(max_examples=500)
@given(st.text(alphabet=ALPHABET + "."), st.text())
def test_random_text_is_refused_and_never_breaks_the_reader(letters: str, anything: str) -> None:
    for token in (letters, anything, f"{letters}.{letters}.{letters}", f"{WHOLE}{anything or '.'}"):
        with pytest.raises(TokenRefused):
            check(token)


def test_what_the_table_of_keys_raises_is_not_taken_for_a_bad_token() -> None:
    def unreachable(issuer: str, kid: str) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        tokens.verify_client_assertion(assertion(), key_of=unreachable, audience=ISSUER, now=NOW)


@pytest.mark.parametrize("version", ["3.4.9", "3.3.0", "2.99"])
def test_an_old_python_jose_stops_the_start_up(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens.assert_backend()
    monkeypatch.setattr("jose.__version__", version)
    with pytest.raises(RuntimeError, match="too old"):
        tokens.assert_backend()


def test_python_jose_without_the_cryptography_backend_stops_the_start_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jose.backends.ECKey", object)
    with pytest.raises(RuntimeError, match="backend"):
        tokens.assert_backend()
