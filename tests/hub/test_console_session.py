"""The console's sign-in: links and sessions that cannot be guessed, outlive nothing and stand for nothing else."""

from datetime import timedelta

import pytest
from token_forge import NOW

from service.security import console_session
from service.security.console_session import SessionToken

MOMENT = timedelta(microseconds=1)


def test_tokens_are_long_random_and_found_by_their_digest() -> None:
    links = [console_session.new_link_token() for _ in range(100)]
    sessions = [console_session.new_session_token() for _ in range(100)]
    assert len({token for token, _ in links} | {token for token, _ in sessions}) == 200
    assert all(len(token) == 43 for token, _ in [*links, *sessions])
    assert all(console_session.link_digest(token) == digest for token, digest in links)
    assert all(console_session.session_digest(token) == digest for token, digest in sessions)
    assert all(len(digest) == 64 and token not in digest for token, digest in [*links, *sessions])


def test_a_link_never_passes_for_a_session() -> None:
    token, digest = console_session.new_link_token()
    assert console_session.session_digest(token) != digest


def test_a_link_lives_fifteen_minutes() -> None:
    quarter = timedelta(minutes=15)
    assert console_session.link_is_alive(NOW, NOW + quarter - MOMENT)
    assert not console_session.link_is_alive(NOW, NOW + quarter)


def test_a_session_lives_eight_hours_and_thirty_idle_minutes() -> None:
    day, pause = timedelta(hours=8), timedelta(minutes=30)
    assert console_session.session_is_alive(NOW, NOW + day - pause, NOW + day - MOMENT)
    assert not console_session.session_is_alive(NOW, NOW + day - MOMENT, NOW + day)
    assert console_session.session_is_alive(NOW, NOW, NOW + pause - MOMENT)
    assert not console_session.session_is_alive(NOW, NOW, NOW + pause)


def test_a_form_is_accepted_with_the_token_of_its_own_session_alone() -> None:
    (mine, digest), (other, _) = console_session.new_session_token(), console_session.new_session_token()
    token = console_session.csrf_token(mine)
    assert console_session.csrf_matches(mine, token)
    assert not console_session.csrf_matches(other, token)
    assert mine not in token
    assert token != digest


@pytest.mark.parametrize("presented", ["", "x", "\0", "ạ", "\ud800", "A" * 43, "A" * 100_000])
def test_any_text_may_be_presented_and_nothing_breaks(presented: str) -> None:
    session, digest = console_session.new_session_token()
    assert not console_session.csrf_matches(session, presented)
    assert not console_session.csrf_matches(session, console_session.csrf_token(session) + presented[:1] + "A")
    assert digest not in (console_session.session_digest(presented), console_session.link_digest(presented))
    assert console_session.csrf_token(SessionToken(presented)) != console_session.csrf_token(session)
