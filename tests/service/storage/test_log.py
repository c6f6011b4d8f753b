"""Appends find their place once, whatever the store answers. Readers follow without gaps."""

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
from service.storage.log import Append, AppendFailed, Hole, Log, NumberTaken, Tail, tail_of
from service.storage.objects import NoSuchKey, StoredObject
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


@pytest.mark.parametrize("until", [1, 5, 9, 12])
def test_a_reader_of_a_past_state_has_its_head(until: int) -> None:
    log, end = documents_log(_filled(9).store, until), min(until, 9)
    assert {log.head(hint) for hint in range(end + 1)} == {end}
    assert log.next_after(tail_of(log.read(end))) is None
    assert end == 1 or log.next_after(tail_of(log.read(end - 1))) is not None


def test_a_lost_reply_is_acknowledged_with_its_place() -> None:
    store = MemoryStore()
    store.fault_of = lambda number, key: "lost_reply" if number == 0 else ""
    log = documents_log(store)
    assert _append(log, "a").header.number == 1
    assert _ids(log) == ["a"]


@pytest.mark.parametrize("fault", ["conflict", "unavailable"])
def test_a_write_that_did_not_land_is_repeated_unchanged(fault: Fault) -> None:
    store = MemoryStore()
    store.fault_of = lambda number, key: fault if number < 4 else ""
    _append(documents_log(store), "a")
    assert len(store.writes) == 5
    assert len(set(store.writes)) == 1


def test_a_write_that_lands_late_is_still_one_write() -> None:
    store = MemoryStore()
    log = documents_log(store)

    def lands_late(number: int, key: str) -> Fault:
        if number == 0:
            return "unavailable"
        # The first PUT, thought to be lost, arrives just before it is repeated.
        store.objects.setdefault(*store.writes[0])
        return ""

    store.fault_of = lands_late
    assert _append(log, "a").header.number == 1
    assert _ids(log) == ["a"]


def test_the_loser_of_a_number_appends_behind_the_winner() -> None:
    log = _filled(1)
    entry = _append(log, "late", Tail())
    assert (entry.header.number, entry.header.predecessor) == (2, "append of r1")


def test_a_writer_far_behind_finds_the_head_at_once() -> None:
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


def test_the_outcome_is_unknown_if_a_write_may_have_landed() -> None:
    store = MemoryStore()
    store.fault_of = lambda number, key: "unavailable"
    with pytest.raises(AppendFailed, match=r"append-1 was not appended within 0\.05 s; outcome unknown") as failed:
        Append(documents_log(store), Tail(), to_rows([]), "append-1").run(deadline_seconds=0.05)
    assert failed.value.outcome == "unknown"


@pytest.mark.parametrize("first", ["", "unavailable"])
def test_the_outcome_is_not_written_if_every_number_was_lost(monkeypatch: pytest.MonkeyPatch, first: Fault) -> None:
    """Even if the first reply was lost: another writer's entry at its number proves that it did not land."""
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
def test_appenders_with_faults_lose_and_double_nothing(faults: list[Fault], appenders: int, appends: int) -> None:
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


def test_a_wrong_predecessor_stops_the_reader() -> None:
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
    """A store that loses the first reads of keys in `hidden`, omits those in `unlisted` from listings, and counts
    listings.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hidden: dict[str, int] = {}
        self.unlisted: dict[str, int] = {}
        self.listings = 0

    def get(self, key: str) -> StoredObject:
        if self.hidden.get(key, 0):
            self.hidden[key] -= 1
            raise NoSuchKey(f"get {key}")
        return super().get(key)

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        self.listings += 1
        found = list(super().keys(prefix, after))
        hidden = {key for key in found if self.unlisted.get(key, 0)}
        for key in hidden:
            self.unlisted[key] -= 1
        return iter([key for key in found if key not in hidden])


LOST = [range(3, 4), range(8, 9), range(3, 6), range(1, 9), range(2, 11), range(9, 20), range(1, 39)]


def _without(count: int, lost: range, store: MemoryStore | None = None) -> Log:
    log = _filled(count, store)
    for number in lost:
        log.store.delete(log.key(number))
    return log


@pytest.mark.parametrize("lost", LOST)
def test_a_hole_of_any_size_is_no_end(lost: range) -> None:
    log = _without(40, lost)
    read = log.follow(Tail())
    assert [next(read).header.number for _ in range(1, lost.start)] == list(range(1, lost.start))
    with pytest.raises(Hole, match=rf"documents entr.* {lost.start} .*missing, but entry {lost.stop} is there") as hole:
        next(read)
    assert (hole.value.first, hole.value.behind) == (lost.start, lost.stop)


@pytest.mark.parametrize("lost", LOST)
def test_a_waiting_reader_names_a_hole_of_any_size(lost: range) -> None:
    log = _without(40, lost)
    before = tail_of(log.read(lost.start - 1)) if lost.start > 1 else Tail()
    assert [log.next_after(before) for _ in range(log_module.FIRST_LOOK_MISSES - 1)] == [None] * 7
    with pytest.raises(Hole, match=f"entry {lost.stop} is there"):
        log.next_after(before)


def test_a_waiting_reader_lists_ever_more_rarely() -> None:
    store = _Gaps()
    log = _filled(2, store)
    tail, store.listings = log.tail(), 0
    looks = []
    for miss in range(1, 600):
        before = store.listings
        assert log.next_after(tail) is None
        looks += [miss] * (store.listings - before)
    assert looks == [8, 16, 32, 64, 128, 256, 384, 512]


def test_an_entry_that_is_written_meanwhile_is_read() -> None:
    """If both are written in between, reads ahead may see number 4 and not 3; so may a listing."""
    store = _Gaps()
    log = _filled(12, store)
    store.hidden = {log.key(number): 1 for number in (3, 4, 12)}
    store.unlisted = {log.key(number): 1 for number in (3, 4)}
    assert _ids(log) == [f"r{number}" for number in range(1, 13)]
    store.hidden = {log.key(3): log_module.FIRST_LOOK_MISSES}
    found = [log.next_after(tail_of(log.read(2))) for _ in range(log_module.FIRST_LOOK_MISSES)][-1]
    assert found is not None
    assert found.header.number == 3


def test_an_entry_deleted_while_it_is_read_is_named() -> None:
    store = _Gaps()
    log = _filled(3, store)
    store.hidden = {log.key(3): 2}
    with pytest.raises(Damaged, match="documents entry 3 was deleted while it was read"):
        _ids(log)


@pytest.mark.parametrize("left", [[], [9, 10]])
def test_a_log_that_lost_the_readers_own_entry_is_damaged(left: list[int]) -> None:
    store = MemoryStore()
    log = _filled(10, store)
    tail = tail_of(log.read(5))
    store.objects = {key: body for key, body in store.objects.items() if key in map(log.key, left)}
    with pytest.raises(Damaged, match=r"documents entr.* 5 .*missing"):
        list(log.follow(tail))
    with pytest.raises(Damaged, match=r"documents entr.* 5 .*missing"):
        log.head(5)


FOREIGN = ["", "00000000000000000000.arrow", "00000000000000000005.arrow.part", "7.arrow", "README", "zebra/1.arrow"]


def test_keys_that_are_no_entries_are_neither_entries_nor_an_end() -> None:
    store = MemoryStore()
    log = _filled(5, store)
    for name in FOREIGN:
        store.objects[f"log/{name}"] = b""
    assert log.head() == log.head(5) == 5
    assert _ids(log) == [f"r{number}" for number in range(1, 6)]
    store.delete(log.key(3))
    with pytest.raises(Hole, match="entry 3 is missing, but entry 4"):
        _ids(log)


def _head_or_refusal(log: Log, hint: int) -> int | str:
    try:
        return log.head(hint)
    except Damaged as damage:
        return str(damage)


@pytest.mark.parametrize("hint", [0, 1, 2])
@pytest.mark.parametrize("count", [8, 9, 33])
def test_the_head_is_never_before_a_missing_entry(count: int, hint: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The head is right if the search skips the hole, and refused if it meets the hole."""
    monkeypatch.setattr(log_module, "LISTED_KEYS", 3)
    for lost in range(3, count):
        log = _without(count, range(lost, lost + 1))
        assert _head_or_refusal(log, hint) in (
            count,
            f"documents entry {lost} is missing, but entry {lost + 1} is there",
        )


@pytest.mark.parametrize("page", [1, 2, 3, 7])
def test_the_head_is_found_over_many_pages(page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "LISTED_KEYS", page)
    for count in range(40):
        log = _filled(count)
        assert [log.head(hint) for hint in range(0, count + 1, 3)] == [count] * (count // 3 + 1)


def test_the_head_of_a_long_log_takes_few_listings() -> None:
    store = _Gaps()
    log = documents_log(store)
    store.objects = {log.key(number): b"" for number in range(1, 60_001)}
    assert log.head() == 60_000
    assert store.listings <= 16
    store.listings = 0
    assert log.head(59_500) == 60_000
    assert store.listings == 1


def test_an_append_never_fills_a_hole_that_it_can_see() -> None:
    log = _without(40, range(20, 31))
    stored = dict(log.store.objects)  # type: ignore[attr-defined]
    with pytest.raises(AppendFailed, match="entries 20 to 30 are missing, but entry 31 is there") as failed:
        _append(log, "late", tail_of(log.read(18)))
    assert failed.value.outcome == "not_written"
    with pytest.raises(AppendFailed, match="entries 20 to 30 are missing"):
        Append(log, tail_of(log.read(19)), to_rows([]), "late").run_at_head()
    assert log.store.objects == stored  # type: ignore[attr-defined]


def _shard_entry(log: Log, tail: Tail, start: int, end: int) -> Entry:
    return Append(log, tail, shard_rows([], DIMS), uuid4().hex, (start, end)).run(deadline_seconds=5)


def test_a_shard_entry_that_loses_its_number_appends_nothing() -> None:
    store = MemoryStore()
    log = shard_log(store, "b", 0, DIMS)
    winner = _shard_entry(log, Tail(), 1, 3)
    with pytest.raises(NumberTaken) as overtaken:
        _shard_entry(log, Tail(), 1, 4)
    assert overtaken.value.entry.header == winner.header
    assert len(store.objects) == 1


@pytest.mark.parametrize("start", [2, 4])
def test_a_shard_entry_must_begin_at_its_predecessors_end(start: int) -> None:
    log = shard_log(MemoryStore(), "b", 0, DIMS)
    first = tail_of(_shard_entry(log, Tail(), 1, 3))
    _shard_entry(log, first, start, 9)
    with pytest.raises(Damaged, match=rf"b/shard-00 entry 2: covers documents from {start}, but entry 1 ends at 3"):
        list(log.follow(Tail()))
    with pytest.raises(Damaged, match="entry 2: covers"):
        log.next_after(first)
