"""Which calls may have brought their message although nobody said so."""

import pytest

from workflows import lift

OPEN = "answer.timeout answer.too_large answer.encoded connection.broken hub.fault http.409 http.500 http.503"
OPEN += " hi1.action_refused hi1.response_malformed of.another.build"
SHUT = "address.not_registered channel.unavailable connect.failed connect.timeout name.unresolved endpoint.gone"
SHUT += " endpoint.no_secret hi1.refused http.401 http.403 http.429 http.redirect message.too_large smtp.550"
SHUT += " tls tls.configuration url.not_tls"


@pytest.mark.parametrize("error", [None, *OPEN.split()])
def test_what_nobody_can_tell_may_have_arrived(error: str | None) -> None:
    assert lift.may_have_arrived(error)


@pytest.mark.parametrize("error", SHUT.split())
def test_what_reached_nobody_or_was_refused_has_not(error: str) -> None:
    assert not lift.may_have_arrived(error)
