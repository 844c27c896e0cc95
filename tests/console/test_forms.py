"""How times look on a page: a countdown is told in words, so that nobody takes it for a time of the day."""

from datetime import UTC, datetime, timedelta

import pytest

from service.console import forms
from workflows.terms import Stage

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "vi", "en"),
    [
        (695, "còn 11 phút 35 giây", "11 min 35 s left"),
        (5, "còn 5 giây", "5 s left"),
        (3605, "còn 1 giờ 00 phút 05 giây", "1 h 00 min 05 s left"),
        (2 * 86_400 + 3 * 3600 + 59, "còn 2 ngày 03 giờ 00 phút", "2 d 03 h 00 min left"),
        (0, "quá hạn 0 giây", "0 s overdue"),
        (-695, "quá hạn 11 phút 35 giây", "11 min 35 s overdue"),
    ],
)
def test_a_countdown_names_its_units(seconds: int, vi: str, en: str) -> None:
    due = NOW + timedelta(seconds=seconds)
    assert (forms.left(due, NOW, "vi"), forms.left(due, NOW, "en")) == (vi, en)


def test_what_ends_by_itself_is_nobodys_to_do() -> None:
    end = NOW + timedelta(days=2, hours=5)
    assert forms.left(end, NOW, "vi", Stage.END) == "sau 2 ngày 05 giờ 00 phút"
    assert forms.left(end, NOW, "en", Stage.END) == "in 2 d 05 h 00 min"
    assert forms.left(end, NOW, "vi", Stage.EXECUTE).startswith("còn ")


def test_a_field_of_a_day_and_a_time_is_vietnams_unless_it_says_its_zone() -> None:
    assert forms.written("2026-12-01T10:00") == datetime(2026, 12, 1, 3, tzinfo=UTC)
    assert forms.written("2026-12-01T10:00:00+00:00") == datetime(2026, 12, 1, 10, tzinfo=UTC)
    for wrong in ("", "10:00", "0001-01-01T00:00"):
        with pytest.raises((ValueError, OverflowError)):
            forms.written(wrong)
