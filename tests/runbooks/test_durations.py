"""Durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.durations import parse_seconds, spoken


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90.0), ("10m", 600.0), ("1h30m", 5400.0), ("0.25s", 0.25), ("6m41s", 401.0), ("0s", 0)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "10 m", "1s1m", "-1s", "soon"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_seconds(text)


@pytest.mark.parametrize("text", ["745h", "744h0.001s", f"{'9' * 400}s"])
def test_a_duration_beyond_a_month_is_refused(text: str) -> None:
    assert parse_seconds("744h") == 31 * 86_400
    with pytest.raises(ValueError, match="at most 744h"):
        parse_seconds(text)


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=10_000_000))
def test_what_is_spoken_is_read_back(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_seconds(spoken(seconds)) == pytest.approx(seconds, abs=1e-9)
