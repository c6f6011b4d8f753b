"""Blocks of sources, or the entries themselves, tell every position at which a document was written."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.storage import request_ids, sources
from service.storage.documents import documents_log
from service.storage.request_ids import RequestIds
from service.storage.sources import PREFIX, Source, Sources
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import write
from tests.service.small_space import document

ENTRIES = st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3), min_size=1, max_size=24)


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BLOCK_ENTRIES", 3)
    monkeypatch.setattr(request_ids, "BLOCK_IDS", 5)


def _logged(entries: list[list[str]]) -> MemoryStore:
    store = MemoryStore()
    write(store, [[document(f"{n}.{i}", name, "words") for i, name in enumerate(e)] for n, e in enumerate(entries)])
    return store


def _positions(store: MemoryStore, names: set[str], before: int) -> list[int]:
    wanted = {Source(0, name) for name in names}
    return [position for block in Sources(store).positions(wanted, before) for position in block]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ENTRIES, st.integers(0, 24), st.sets(st.integers(0, 9)), st.sets(st.sampled_from("abcdefx")), st.integers(1, 25))
def test_positions_are_found_with_any_blocks_lost(
    entries: list[list[str]], sealed: int, lost: set[int], names: set[str], before: int
) -> None:
    store = _logged(entries)
    RequestIds(store).advance(min(sealed, len(entries)))
    for number, key in enumerate(list(store.keys(PREFIX))):
        if number in lost:
            store.delete(key)
            if number % 2:
                store.objects[key] = b"damaged"
    before = min(before, len(entries) + 1)
    wanted = [n for n, names_there in enumerate(entries, 1) if n < before and names & set(names_there)]
    for _ in range(2):
        assert _positions(store, names, before) == wanted[::-1]


def test_a_reader_makes_the_blocks_that_are_missing() -> None:
    store = _logged([[name] for name in "abcdefab"])
    assert _positions(store, {"a"}, 9) == [7, 1]
    assert [int(key[-26:-6]) for key in store.keys(PREFIX)] == [1, 4]
    for number in range(1, 7):
        store.delete(documents_log(store).key(number))
    assert _positions(store, {"a", "b"}, 9) == [8, 7, 2, 1]


def test_a_source_that_is_no_more_wanted_is_not_looked_for() -> None:
    store = _logged([[name] for name in "abababab"])
    wanted, found = {Source(0, "a"), Source(0, "b")}, list[int]()
    for positions in Sources(store).positions(wanted, 9):
        found += positions
        wanted.discard(Source(0, "b"))
    assert found == [8, 7, 5, 3, 1]
