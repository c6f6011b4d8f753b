"""Appends find their place once, whatever the store answers; readers follow without gaps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.storage import log as log_module
from service.storage.documents import Document, documents_log, from_entry, to_rows
from service.storage.entry import Damaged, Entry
from service.storage.log import MISSES_PER_SECOND_LOOK, Append, AppendFailed, Log, Overtaken, Tail, tail_of
from service.storage.objects import Missing, Stored
from service.storage.shards import shard_log
from service.storage.shards import to_rows as shard_rows
from tests.service.memory_store import Fault, MemoryStore
from tests.service.small_space import DIMS


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "FIRST_PAUSE_SECONDS", 0.0001)
    monkeypatch.setattr(log_module, "LONGEST_PAUSE_SECONDS", 0.001)


def _append(log: Log, name: str, tail: Tail | None = None) -> Entry:
    rows = to_rows([Document(name, f"source of {name}", False, "", "text")])
    return Append(log, Tail() if tail is None else tail, rows, f"append of {name}").run(deadline_seconds=5)


def _ids(log: Log) -> list[str]:
    return [written.document.request_id for entry in log.follow(Tail()) for written in from_entry(entry)]


def _filled(count: int, store: MemoryStore | None = None) -> Log:
    log, tail = documents_log(store or MemoryStore()), Tail()
    for number in range(1, count + 1):
        tail = tail_of(_append(log, f"r{number}", tail))
    return log


def test_entries_are_read_back_in_order_from_anywhere() -> None:
    log = _filled(21)
    assert _ids(log) == [f"r{number}" for number in range(1, 22)]
    middle = tail_of(log.read(9))
    assert [entry.header.number for entry in log.follow(middle)] == list(range(10, 22))
    following = log.next_after(middle)
    assert following is not None
    assert following.header.number == 10
    assert log.next_after(log.tail()) is None


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 33])
def test_the_head_is_found_from_any_hint(count: int) -> None:
    log = _filled(count)
    assert [log.head(hint) for hint in range(count + 1)] == [count] * (count + 1)
    assert log.tail().number == count


def test_a_lost_reply_is_acknowledged_with_the_place_where_it_landed() -> None:
    store = MemoryStore()
    store.fault_of = lambda number, key: "lost_reply" if number == 0 else ""
    log = documents_log(store)
    assert _append(log, "a").header.number == 1
    assert _ids(log) == ["a"]


@pytest.mark.parametrize("fault", ["conflict", "unavailable"])
def test_a_write_that_did_not_land_is_tried_at_the_same_number_with_the_same_bytes(fault: Fault) -> None:
    store = MemoryStore()
    store.fault_of = lambda number, key: fault if number < 4 else ""
    _append(documents_log(store), "a")
    assert len(store.writes) == 5
    assert len(set(store.writes)) == 1


def test_a_write_that_lands_after_its_number_was_found_empty_is_still_one_write() -> None:
    store = MemoryStore()
    log = documents_log(store)

    def lands_late(number: int, key: str) -> Fault:
        if number == 0:
            return "unavailable"
        # The first PUT, believed lost, arrives just before its repetition.
        store.objects.setdefault(*store.writes[0])
        return ""

    store.fault_of = lands_late
    assert _append(log, "a").header.number == 1
    assert _ids(log) == ["a"]


def test_the_loser_of_a_number_goes_on_behind_the_winner() -> None:
    log = _filled(1)
    entry = _append(log, "late", Tail())
    assert (entry.header.number, entry.header.predecessor) == (2, "append of r1")


def test_a_writer_that_slept_through_many_entries_finds_the_head_at_once() -> None:
    store = MemoryStore()
    log = _filled(500, store)
    before = len(store.writes)
    assert _append(log, "late", Tail()).header.number == 501
    assert len(store.writes) - before <= 3


def test_stamps_never_decrease_even_where_the_clock_does(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    times: Iterator[int] = iter([5_000, 4_000, 6_000])
    monkeypatch.setattr(store.clock, "now_ms", lambda: next(times))
    log = _filled(3, store)
    assert [entry.header.stamp_ms for entry in log.follow(Tail())] == [5_000, 5_000, 6_000]


def test_at_the_deadline_the_outcome_is_unknown_where_the_write_may_have_landed() -> None:
    store = MemoryStore()
    store.fault_of = lambda number, key: "unavailable"
    with pytest.raises(AppendFailed, match=r"documents: no place for append-1 in 0\.05 s; outcome unknown") as failed:
        Append(documents_log(store), Tail(), to_rows([]), "append-1").run(deadline_seconds=0.05)
    assert failed.value.outcome == "unknown"


@pytest.mark.parametrize("first", ["", "unavailable"])
def test_at_the_deadline_the_outcome_is_not_written_where_every_number_is_another_s(
    monkeypatch: pytest.MonkeyPatch, first: Fault
) -> None:
    """Also where the first reply was lost: another's entry at its number proves that it did not land."""
    store = MemoryStore()
    log = _filled(1, store)
    tail, faults = log.tail(), iter([first])

    def taken(number: int, key: str) -> Fault:
        if key not in store.objects:
            store.fault_of = lambda number, key: ""
            _append(log, uuid4().hex, log.tail())
            store.fault_of = taken
        return next(faults, "")

    monkeypatch.setattr(store, "_lock", threading.RLock())
    store.fault_of = taken
    with pytest.raises(AppendFailed) as failed:
        Append(log, tail, to_rows([]), "append-1").run(deadline_seconds=0.1)
    assert failed.value.outcome == "not_written"
    assert "append-1" not in [entry.header.append_id for entry in log.follow(Tail())]


FAULTS = st.lists(st.sampled_from(["", "", "conflict", "unavailable", "lost_reply"]), max_size=30)


@settings(deadline=None, max_examples=40)
@given(FAULTS, st.integers(1, 4), st.integers(1, 5))
def test_many_appenders_with_faults_lose_nothing_and_write_nothing_twice(
    faults: list[Fault], appenders: int, appends: int
) -> None:
    store = MemoryStore()
    store.fault_of = lambda number, key: faults[number] if number < len(faults) else ""
    log = documents_log(store)
    acknowledged: dict[str, int] = {}

    def work(appender: int) -> None:
        tail = Tail()
        for number in range(appends):
            name = f"{appender}.{number}"
            tail = tail_of(_append(log, name, tail))
            acknowledged[name] = tail.number

    threads = [threading.Thread(target=work, args=(appender,)) for appender in range(appenders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(acknowledged.values()) == list(range(1, appenders * appends + 1))
    assert {name: _ids(log)[number - 1] for name, number in acknowledged.items()} == {n: n for n in acknowledged}
    assert len(_ids(log)) == len(acknowledged)


def test_an_entry_that_names_another_predecessor_stops_the_reader() -> None:
    store = MemoryStore()
    log = _filled(3, store)
    other = _filled(2)
    forged = _append(other, "forged", Tail(2, "somebody else", 0, 0))
    store.objects[log.key(3)] = other.store.get(other.key(forged.header.number)).body
    read = log.follow(Tail())
    assert [next(read).header.number, next(read).header.number] == [1, 2]
    with pytest.raises(Damaged, match="documents entry 3: follows somebody else, but entry 2 is append of r2"):
        next(read)
    with pytest.raises(Damaged, match="documents entry 3"):
        log.next_after(tail_of(log.read(2)))


class _Gaps(MemoryStore):
    """Loses the first `times` reads of each key in `hidden`, and counts the looks at keys."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: dict[str, int] = {}
        self.looks = 0

    def get(self, key: str) -> Stored:
        if self.hidden.get(key, 0):
            self.hidden[key] -= 1
            raise Missing(f"get {key}")
        return super().get(key)

    def exists(self, key: str) -> bool:
        self.looks += 1
        return super().exists(key)


@pytest.mark.parametrize(
    ("lost", "named"),
    [((3,), "entry 3 is missing, but entry 4"), ((8,), "entry 8 is missing, but entry 9"), ((3, 4, 5), "3 .* entry 6")],
)
def test_a_missing_entry_is_refused_by_name_and_not_taken_for_the_end(lost: tuple[int, ...], named: str) -> None:
    store = MemoryStore()
    log = _filled(12, store)
    for number in lost:
        store.delete(log.key(number))
    read = log.follow(Tail())
    assert [next(read).header.number for _ in range(1, lost[0])] == list(range(1, lost[0]))
    with pytest.raises(Damaged, match=f"{named} is there"):
        next(read)


def test_a_reader_that_polls_refuses_a_missing_entry_after_some_misses_and_from_then_on() -> None:
    store = MemoryStore()
    log = _filled(4, store)
    before = tail_of(log.read(2))
    store.delete(log.key(3))
    assert [log.next_after(before) for _ in range(MISSES_PER_SECOND_LOOK - 1)] == [None] * 9
    for _ in range(2):
        with pytest.raises(Damaged, match="documents entry 3 is missing, but entry 4 is there"):
            log.next_after(before)


def test_an_idle_reader_looks_behind_the_end_once_in_ten_polls() -> None:
    store = _Gaps()
    log = _filled(2, store)
    tail, store.looks = log.tail(), 0
    assert [log.next_after(tail) for _ in range(30)] == [None] * 30
    assert store.looks == 3


def test_an_entry_that_was_written_while_the_reader_looked_is_read() -> None:
    """The reads ahead may see number 4 and not 3, where both were written between them."""
    store = _Gaps()
    log = _filled(12, store)
    store.hidden = {log.key(number): 1 for number in (3, 4, 12)}
    assert _ids(log) == [f"r{number}" for number in range(1, 12)], "nothing proves that there is a 12 yet"
    before = tail_of(log.read(2))
    store.hidden = {log.key(3): MISSES_PER_SECOND_LOOK}
    found = [log.next_after(before) for _ in range(MISSES_PER_SECOND_LOOK)][-1]
    assert found is not None
    assert found.header.number == 3


def _head_or_refusal(log: Log, hint: int) -> int | str:
    try:
        return log.head(hint)
    except Damaged as damage:
        return str(damage)


@pytest.mark.parametrize("hint", [0, 1, 2])
@pytest.mark.parametrize("count", [8, 9, 33])
def test_the_head_is_never_put_before_a_missing_entry(count: int, hint: int) -> None:
    """Where the search passes over the hole the head is right; where it stops there, it is refused."""
    found = set()
    for lost in range(3, count):
        store = MemoryStore()
        log = _filled(count, store)
        store.delete(log.key(lost))
        head = _head_or_refusal(log, hint)
        assert head in (count, f"documents entry {lost} is missing, but entry {lost + 1} is there")
        found.add(type(head))
    assert found == {int, str}


def test_the_head_moves_on_with_entries_that_were_written_while_it_was_sought(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    log = _filled(4, store)
    tail, gallop = log.tail(), log._gallop

    def overtaken(low: int) -> int:
        found = gallop(low)
        if found == 4:
            _append(log, "r6", tail_of(_append(log, "r5", tail)))
        return found

    monkeypatch.setattr(log, "_gallop", overtaken)
    assert log.head() == 6


def _shard_entry(log: Log, tail: Tail, start: int, end: int) -> Entry:
    return Append(log, tail, shard_rows([], DIMS), uuid4().hex, (start, end)).run(deadline_seconds=5)


def test_a_shard_entry_that_loses_its_number_is_overtaken_and_appends_nothing() -> None:
    store = MemoryStore()
    log = shard_log(store, "b", 0, DIMS)
    winner = _shard_entry(log, Tail(), 1, 3)
    with pytest.raises(Overtaken) as overtaken:
        _shard_entry(log, Tail(), 1, 4)
    assert overtaken.value.entry.header == winner.header
    assert len(store.objects) == 1


@pytest.mark.parametrize("start", [2, 4])
def test_a_shard_entry_that_does_not_begin_where_its_predecessor_ended_is_refused(start: int) -> None:
    log = shard_log(MemoryStore(), "b", 0, DIMS)
    first = tail_of(_shard_entry(log, Tail(), 1, 3))
    _shard_entry(log, first, start, 9)
    with pytest.raises(Damaged, match=rf"b/shard-00 entry 2: covers documents from {start}, but entry 1 ends at 3"):
        list(log.follow(Tail()))
    with pytest.raises(Damaged, match="entry 2: covers"):
        log.next_after(first)
