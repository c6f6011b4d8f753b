"""A time is resolved to the newest entry not after it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from service.storage.documents import Document, documents_log, to_rows
from service.storage.log import Append, Tail, tail_of
from service.storage.point_in_time import position_at
from tests.service.memory_store import MemoryStore

START = datetime(2026, 11, 24, 14, 5, tzinfo=UTC)


class Clock:
    """A store's clock that shows a given time; it may go back, stamps may not."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def observe(self, http_date: str) -> None:
        """Ignore the time of answers."""

    def now_ms(self) -> int:
        return int(START.timestamp() * 1000 + self.seconds * 1000)


def _log_at(seconds: list[float]) -> MemoryStore:
    store, clock, tail = MemoryStore(), Clock(), Tail()
    store.clock = clock  # type: ignore[assignment]
    for number, second in enumerate(seconds):
        clock.seconds = second
        rows = to_rows([Document(f"r{number}.{item}", "s") for item in range(number + 1)])
        tail = tail_of(Append(documents_log(store), tail, rows, f"a{number}").run())
    return store


@given(st.lists(st.integers(0, 40), max_size=25), st.integers(-1, 41))
def test_the_position_is_of_the_newest_entry_not_after_the_time(times: list[int], asked: int) -> None:
    log = documents_log(_log_at([float(time) for time in times]))
    stamps = [max(times[: number + 1]) for number in range(len(times))]
    found = position_at(log, START + timedelta(seconds=asked))
    assert found.position == sum(stamp <= asked for stamp in stamps)
    assert found.head == len(times)


def test_the_neighbours_are_shown_with_their_times_and_documents() -> None:
    log = documents_log(_log_at([0, 10, 20, 30, 40, 50]))
    found = position_at(log, START + timedelta(seconds=25))
    assert [(one.position, one.documents) for one in found.around] == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]
    assert found.around[2].written_at == START + timedelta(seconds=20)


def test_a_time_in_another_zone_is_the_same_moment() -> None:
    log = documents_log(_log_at([0, 10]))
    assert position_at(log, datetime.fromisoformat("2026-11-24T15:05:05+01:00")).position == 1
