"""The hub's own keys, for tokens and for orders: made once, shared by a folder's nodes, moved up before they end."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.security import keyring, signing_keys
from service.security.keyring import KeyUnfit

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def _ids(folder: Path, now: datetime) -> list[str]:
    return [key.kid for key in signing_keys.load(folder, now)]


def test_two_keys_are_made_once_and_found_again(tmp_path: Path) -> None:
    first = _ids(tmp_path, NOW)
    assert len(set(first)) == 2
    assert _ids(tmp_path, NOW + timedelta(days=80)) == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["token-current.jwk", "token-next.jwk"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o400}


def test_a_start_in_the_last_week_moves_the_next_key_up_and_drops_no_token(tmp_path: Path) -> None:
    old, following = signing_keys.load(tmp_path, NOW)
    later = NOW + timedelta(days=84)
    renewed = signing_keys.load(tmp_path, later)
    assert [key.kid for key in renewed[:1]] == [following.kid]
    assert old.kid in {key.kid for key in renewed}, "tokens that the old key signed are still out there"
    # A node that started before and one that starts after sign with the same key.
    assert keyring.current([old, following], later).kid == keyring.current(renewed, later).kid == following.kid
    assert keyring.current(signing_keys.load(tmp_path, later), later).kid == following.kid


def test_the_keys_under_orders_live_a_year_and_are_known_a_month_before_they_sign(tmp_path: Path) -> None:
    old, following = signing_keys.load(tmp_path, NOW, signing_keys.ORDERS)
    assert old.not_after - old.not_before == timedelta(days=365)
    assert old.not_after - following.not_before == timedelta(days=30)
    assert keyring.in_force((old, following), NOW + timedelta(days=330)) is old
    later = NOW + timedelta(days=340)
    renewed = signing_keys.load(tmp_path, later, signing_keys.ORDERS)
    # A node that started before and one that starts after sign with the same key, and none is without one.
    assert keyring.in_force([old, following], later).kid == keyring.in_force(renewed, later).kid == following.kid
    assert old.kid in {key.kid for key in renewed}
    signing_keys.load(tmp_path, later)
    names = {f"{series}-{which}.jwk" for series in ("order", "token") for which in ("current", "next")}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_there_is_a_key_under_an_order_at_every_start_for_four_years(tmp_path: Path) -> None:
    for month in range(48):
        now = NOW + timedelta(days=30 * month)
        assert keyring.in_force(signing_keys.load(tmp_path, now, signing_keys.ORDERS), now)


def test_no_key_signs_before_its_time_or_after_it(tmp_path: Path) -> None:
    keys = signing_keys.load(tmp_path, NOW, signing_keys.ORDERS)
    for instant in (NOW - timedelta(seconds=1), keys[1].not_after):
        with pytest.raises(KeyUnfit, match=r"key\.none_valid"):
            keyring.in_force(keys, instant)


def test_there_is_a_key_to_sign_with_at_every_start_for_two_years(tmp_path: Path) -> None:
    for week in range(104):
        now = NOW + timedelta(weeks=week)
        keys = signing_keys.load(tmp_path, now)
        assert keyring.current(keys, now)
        assert len(keyring.jwks(keys)["keys"]) >= 2


def test_a_hub_that_was_off_for_a_year_starts_with_fresh_keys(tmp_path: Path) -> None:
    signing_keys.load(tmp_path, NOW)
    now = NOW + timedelta(days=365)
    assert keyring.current(signing_keys.load(tmp_path, now), now)


def test_nodes_that_start_at_once_on_an_empty_folder_agree(tmp_path: Path, monkeypatch) -> None:
    other: list[str] = []
    real = signing_keys.os.link

    def link(source: Path, target: Path) -> None:
        # Another node gets there first, at the worst moment.
        monkeypatch.setattr(signing_keys.os, "link", real)
        other.extend(_ids(tmp_path, NOW))
        real(source, target)

    monkeypatch.setattr(signing_keys.os, "link", link)
    monkeypatch.setattr(signing_keys.os, "getpid", iter(range(1_000)).__next__)
    assert _ids(tmp_path, NOW) == other
