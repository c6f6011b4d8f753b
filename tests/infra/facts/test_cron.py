"""Recurrences, compared with cron."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.facts.cron import parse

# A Sunday.
NEW_YEAR = datetime(2023, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "hits", "misses"),
    [
        ("* * * * *", ["01-01 00:00", "12-31 23:59"], []),
        ("5 * * * *", ["01-01 00:05", "01-01 13:05"], ["01-01 00:06"]),
        ("0,30 8-9 * * *", ["01-01 08:00", "01-01 09:30"], ["01-01 10:00", "01-01 08:15"]),
        ("*/20 * * * *", ["01-01 00:00", "01-01 00:40"], ["01-01 00:50"]),
        ("10-40/15 * * * *", ["01-01 00:10", "01-01 00:40"], ["01-01 00:15", "01-01 00:55"]),
        ("50/5 * * * *", ["01-01 00:50", "01-01 00:55"], ["01-01 00:45"]),
        ("30 0 1 1,6,12 *", ["01-01 00:30", "06-01 00:30"], ["02-01 00:30", "01-02 00:30"]),
        ("0 8 * * 1-5", ["01-02 08:00", "01-06 08:00"], ["01-01 08:00", "01-07 08:00"]),
        ("0 8 * * 0", ["01-01 08:00", "01-08 08:00"], ["01-02 08:00"]),
        ("0 8 * * 7", ["01-01 08:00"], ["01-02 08:00"]),
        ("0 8 15 * 1", ["01-15 08:00", "01-02 08:00"], ["01-03 08:00"]),
        ("0 8 */2 * 1", ["01-09 08:00"], ["01-02 08:00", "01-03 08:00"]),
        ("0 8 * JAN,jun sun", ["01-01 08:00", "06-04 08:00"], ["02-05 08:00", "01-02 08:00"]),
        ("0 8 * * Mon-Fri/2", ["01-02 08:00", "01-06 08:00"], ["01-03 08:00", "01-01 08:00"]),
    ],
)
def test_recurrences(text: str, hits: list[str], misses: list[str]) -> None:
    recurrence = parse(text)
    for moments, expected in ((hits, True), (misses, False)):
        for moment in moments:
            assert recurrence.matches(datetime.strptime(f"2023-{moment} +0000", "%Y-%m-%d %H:%M %z")) is expected, (
                moment
            )


@given(minute=st.integers(0, 59), hour=st.integers(0, 23))
def test_a_minute_of_an_hour_comes_once_a_day(minute: int, hour: int) -> None:
    recurrence = parse(f"{minute} {hour} * * *")
    day = [NEW_YEAR + timedelta(minutes=number) for number in range(24 * 60)]
    assert [(m.hour, m.minute) for m in day if recurrence.matches(m)] == [(hour, minute)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 8 * *", "has 4 fields; write 5"),
        ("60 * * * *", "'60' is not a valid minute of a recurrence; allowed: numbers from 0 to 59"),
        ("0 24 * * *", "'24' is not a valid hour"),
        ("0 8 0 * *", "'0' is not a valid day of the month"),
        (
            "0 8 * MON *",
            "'MON' is not a valid month of a recurrence; allowed: numbers from 1 to 12, names from JAN",
        ),
        ("0 8 JAN * *", "'JAN' is not a valid day of the month"),
        ("0 8 * * L", "'L' is not a valid day of the week"),
        ("0 25 * * *", "'25' is not a valid hour"),
        ("٣ * * * *", "'٣' is not a valid minute"),
        ("0 8 30 2 *", "never fires: no month 2 has a day 30"),
        ("0 8 31 2,4 *", "never fires: no month 2,4 has a day 31"),
        ("0 8 * * 5-1", "'5-1' is not a valid day of the week"),
        ("*/0 * * * *", "'\\*/0' is not a valid minute"),
        ("0,,5 * * * *", "'' is not a valid minute"),
    ],
)
def test_what_is_no_recurrence_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(text)
