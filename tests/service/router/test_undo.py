"""The plan of an undo is what it then does; a request is stored once, and a useless one is refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.router import undo as module
from service.router.collections import NoChange
from service.router.undo import Bound, Planned, Undoing, VoidChange
from service.storage.documents import Place, documents_log
from service.storage.log import Append
from service.storage.voids import LAST_ITEM, Void, Voids, voids_at
from service.wire.problems import Problem
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import Batch, any_void, fold, histories, void, write
from tests.service.small_space import build, document

ONE_SHARD = build(shards=1)
BATCHES: list[Batch] = [
    [document("a1", "a", "first words"), document("b1", "b", "first words")],
    [document("a2", "a", "second words")],
    [document("b2", "b"), document("c2", "c", "bad words")],
]


def _store(batches: list[Batch]) -> MemoryStore:
    store = MemoryStore()
    write(store, batches)
    return store


def _void(first: Bound, last: Bound, undoing: Undoing, request_id: str = "undo") -> Void:
    found = undoing.range_of(first, last)
    return Void(0, request_id, found.first, found.last)


def _plan(store: MemoryStore, first: Bound, last: Bound) -> Planned:
    undoing = Undoing(store)
    return undoing.plan(_void(first, last, undoing), undoing.log.tail())


def _refusal(ask: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(Problem) as refused:
        ask()
    return refused.value.status, refused.value.detail


@given(seed=st.integers(0, 10_000), entries=st.integers(2, 12))
@settings(deadline=None, max_examples=40)
def test_a_plan_names_every_document_that_differs(seed: int, entries: int) -> None:
    batches = histories(seed, batches=entries, hopeless=0.0, voids=0.2)
    repeated = {one.request_id for batch in batches for one in batch}
    if len(repeated) < sum(map(len, batches)):
        return  # routers store no request_id twice
    store = _store(batches)
    undoing = Undoing(store)
    known = voids_at(undoing.log, undoing.log.tail().voids)
    made = any_void(random.Random(seed), known, entries + 1)
    changes: dict[str, tuple[bool, bool]] = {}
    with suppress(Problem):
        changes = {
            one.source.source_id: (one.before is not None, one.after is not None)
            for one in undoing.plan(made, undoing.log.tail()).repair.changes
        }
    before = fold(batches, ONE_SHARD, 0, entries)
    after = fold([*batches, [void(known.with_one(made))]], ONE_SHARD, 0, entries + 1)
    differing = {source_id for source_id, _, _ in before ^ after}
    assert differing <= changes.keys()
    for source_id, (was, becomes) in changes.items():
        assert was == any(one[0] == source_id for one in before)
        assert becomes == any(one[0] == source_id for one in after)


def test_a_plan_counts_writes_and_names_documents() -> None:
    planned = _plan(_store(BATCHES), 2, 3)
    assert (planned.void.position, planned.void.first, planned.void.last.position) == (4, Place(2, 0), 3)
    assert [write.source.source_id for write in planned.repair.writes] == ["a", "b", "c"]
    places = {
        change.source.source_id: tuple(one and one.place for one in (change.before, change.after))
        for change in planned.repair.changes
    }
    assert places == {
        "a": (Place(2, 0), Place(1, 0)),
        "b": (None, Place(1, 1)),
        "c": (Place(3, 1), None),
    }


@pytest.mark.parametrize(
    ("first", "last", "places"),
    [
        (2, 3, (Place(2, 0), Place(3, LAST_ITEM))),
        ("2", "3.1", (Place(2, 0), Place(3, 1))),
        ("1970-01-01T00:00:00Z", "2999-01-01T00:00:00+01:00", (Place(1, 0), Place(3, LAST_ITEM))),
    ],
)
def test_bounds_are_positions_places_or_times(first: Bound, last: Bound, places: tuple[Place, Place]) -> None:
    found = Undoing(_store(BATCHES)).range_of(first, last)
    assert (found.first, found.last) == places
    assert bool(found.around) == ("T" in str(first))


def test_a_time_takes_in_the_entries_written_at_it() -> None:
    undoing = Undoing(_store(BATCHES))
    stamps = [undoing.log.read(number).header.stamp_ms for number in (1, 3)]
    first, last = (datetime.fromtimestamp(one / 1000, UTC).isoformat() for one in stamps)
    found = undoing.range_of(first, last)
    assert (found.first.position, found.last.position) == (1, 3)


@pytest.mark.parametrize("bounds", [(1, 4), (3, 2), (0, 1), ("2999-01-01T00:00:00Z", 3)])
def test_a_range_outside_the_log_is_refused(bounds: tuple[Bound, Bound]) -> None:
    status, detail = _refusal(lambda: Undoing(_store(BATCHES)).range_of(*bounds))
    assert status == 422
    assert "within 1 and 3, the newest position" in detail


@pytest.mark.parametrize("bound", ["yesterday", "2026-11-24T14:05:00", "4.x", "-1"])
def test_a_bound_of_another_form_is_refused(bound: str) -> None:
    status, detail = _refusal(lambda: Undoing(_store(BATCHES)).range_of(bound, 3))
    assert status == 422
    assert "neither a position nor a time" in detail


def test_an_undo_that_changes_no_write_is_refused() -> None:
    store = _store([*BATCHES, [void(Voids([Void(4, "one", Place(2, 0), Place(3, 9))]))]])
    status, detail = _refusal(lambda: _plan(store, "2", "3.9"))
    assert (status, "no write that this would take out or bring back" in detail) == (409, True)
    assert [one.position for one in _plan(store, 4, 4).repair.voids] == [4]


def test_too_many_documents_are_refused_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_DOCUMENTS", 2)
    status, detail = _refusal(lambda: _plan(_store(BATCHES), 1, 3))
    assert (status, "writes of 3 documents" in detail) == (422, True)
    assert _plan(_store(BATCHES), 1, 2)


def test_a_repeated_request_makes_no_second_void() -> None:
    store = _store(BATCHES)
    undoing = Undoing(store)
    for position in (4, 4):
        change = VoidChange(undoing.log, _void(2, 3, undoing))
        append = Append(undoing.log, undoing.log.tail(), change.rows, "append", changes="voids")
        if undoing.log.head() == 4:
            with pytest.raises(NoChange):
                append.run_at_head()
        else:
            append.run_at_head()
        assert change.made.position == position
    planned = undoing.plan(_void(2, 3, undoing), undoing.log.tail())
    assert (planned.is_stored, planned.void.position, len(planned.repair.changes)) == (True, 4, 3)


def test_older_versions_read_a_log_without_voids() -> None:
    store = _store([*BATCHES, [void(Voids([Void(4, "one", Place(2, 0), Place(3, 9))]))]])
    write(store, [[document("d", "d", "late words")]])
    # A later entry names the voids, which a writer of an older version would leave out.
    assert [documents_log(store).read(number).header.format for number in range(1, 6)] == [3, 3, 3, 5, 5]
    assert [documents_log(store).read(number).header.voids for number in range(1, 6)] == [0, 0, 0, 4, 4]
