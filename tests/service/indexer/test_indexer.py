"""I2: every shard holds exactly the fold of the documents log, for any number of indexers, killed anywhere."""

from __future__ import annotations

import random
from collections.abc import Iterable, MutableMapping, Sequence
from itertools import takewhile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.indexer import indexer as indexer_module
from service.indexer.indexer import FIRST_CHARACTERS, LEAST_CHARACTERS, MOST_CHARACTERS, Indexer, NotWhole, Pace, Step
from service.storage import log as log_module
from service.storage import shards, sources
from service.storage.documents import Place, PlacedDocument, documents_log, from_entry
from service.storage.entry import Damaged
from service.storage.log import Tail
from service.storage.objects import StoredObject, StoreError
from service.storage.shards import shard_log
from service.storage.voids import Void, Voids
from tests.service.memory_store import Crashed, Fault, MemoryStore, at_write
from tests.service.recorded import ids, ours, parent, recorded
from tests.service.shard_history import Batch, fold, folded, histories, index_all, indexer, void, write
from tests.service.small_space import DIMS, Vectors, WordEmbedder, build, document

BUILD = build(shards=2)


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer_module, "STEP_ENTRIES", 3)
    monkeypatch.setattr(sources, "BLOCK_ENTRIES", 2)
    monkeypatch.setattr(log_module, "FIRST_PAUSE_SECONDS", 0.0001)
    monkeypatch.setattr(log_module, "LONGEST_PAUSE_SECONDS", 0.001)


def _check(store: MemoryStore, batches: list[Batch], *, complete: bool = True) -> None:
    for shard in range(2):
        live, position = folded(store, BUILD, shard)
        assert live == fold(batches, BUILD, shard, position)
        assert position == len(batches) or not complete


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), steps=st.lists(st.integers(0, 2), max_size=30), size=st.integers(1, 5))
def test_interleaved_indexers_of_any_step_size_give_the_fold(seed: int, steps: list[int], size: int) -> None:
    store = MemoryStore()
    batches = histories(seed, batches=12, voids=0.3)
    write(store, batches[:7])
    indexers = [indexer(store, BUILD) for _ in range(3)]
    sizes = random.Random(seed)
    for turn, which in enumerate(steps):
        if turn == 5:
            write(store, batches[7:])
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(indexer_module, "STEP_ENTRIES", sizes.randint(1, size))
            indexers[which].step()
        _check(store, batches, complete=False)
    write(store, batches[7 if len(steps) <= 5 else len(batches) :])
    index_all(store, BUILD)
    _check(store, batches)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 5), arrivals=st.lists(st.integers(1, 6), max_size=8))
def test_a_step_never_passes_a_multiple_of_its_size(seed: int, size: int, arrivals: list[int]) -> None:
    store, batches, written = MemoryStore(), histories(seed, batches=24, voids=0.2), 0
    one = indexer(store, BUILD)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(indexer_module, "STEP_ENTRIES", size)
        for count in [*arrivals, 24]:
            write(store, batches[written : written + count])
            written = min(24, written + count)
            while one.step().entries:
                pass
    for shard in range(2):
        ends = {entry.header.end - 1 for entry in shard_log(store, BUILD.id, shard, DIMS).follow(Tail())}
        assert ends >= set(range(size, 25, size))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), until=st.integers(1, 12))
def test_a_build_of_a_past_position_holds_what_was_there(seed: int, until: int) -> None:
    store, batches = MemoryStore(), histories(seed, batches=12, voids=0.3)
    write(store, batches)
    index_all(store, BUILD, until=until)
    for shard in range(2):
        live, position = folded(store, BUILD, shard)
        assert (live, position) == (fold(batches[:until], BUILD, shard, until), until)
    # Without the end it goes on where it stopped.
    index_all(store, BUILD)
    _check(store, batches)


@pytest.mark.parametrize("instant", ["crash_before", "crash_after"])
def test_an_indexer_killed_around_any_write_tears_nothing(instant: Fault) -> None:
    batches = histories(3, batches=9, voids=0.3)
    crashes = 0
    for fatal in range(100):
        store = MemoryStore()
        write(store, batches)
        already = len(store.writes)
        store.fault_of = at_write(already + fatal, instant)
        try:
            index_all(store, BUILD)
        except Crashed:
            crashes += 1
            _check(store, batches, complete=False)
            index_all(store, BUILD)
            _check(store, batches)
        else:
            break
    assert crashes == fatal == len(store.writes) - already > 6, "each write was fatal once"


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), faults=st.lists(st.sampled_from(["", "conflict", "unavailable", "lost_reply"])))
def test_faults_of_the_store_change_nothing(seed: int, faults: list[Fault]) -> None:
    store = MemoryStore()
    batches = histories(seed, batches=9, voids=0.3)
    write(store, batches)
    already = len(store.writes)
    store.fault_of = lambda number, key: faults[number - already] if number - already < len(faults) else ""
    indexers = [indexer(store, BUILD), indexer(store, BUILD)]
    for turn in range(20):
        indexers[turn % 2].step()
    _check(store, batches)


def test_a_failed_step_is_repeated_by_the_same_indexer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "APPEND_DEADLINE_SECONDS", 0.01)
    store = MemoryStore()
    batches: list[Batch] = [[document(f"r{n}", f"s{n}", "words to keep")] for n in range(6)]
    assert fold(batches, BUILD, 1, 3), "the shard that fails must have something to lose"
    write(store, batches)
    one = indexer(store, BUILD)
    append_run = log_module.Append.run
    monkeypatch.setattr(log_module.Append, "run", lambda self: append_run(self, deadline_seconds=0.02))
    store.fault_of = lambda number, key: "unavailable" if "shard-01" in key else ""
    with pytest.raises(StoreError, match=r"b-test/shard-01: .* was not appended .* outcome unknown"):
        one.step()
    _check(store, batches, complete=False)
    store.fault_of = lambda number, key: ""
    while one.step().entries:
        pass
    _check(store, batches)


def test_a_new_indexer_knows_all_indexed_request_ids() -> None:
    store = MemoryStore()
    batches: list[Batch] = [[document("old", "s0", "first words")], [document("new", "s0", "newer words")]]
    write(store, batches)
    index_all(store, BUILD)
    batches.append([document("old", "s0", "first words")])
    write(store, batches[2:])
    index_all(store, BUILD)
    _check(store, batches)


def test_the_position_is_the_one_that_every_shard_has_reached() -> None:
    store, batches = MemoryStore(), histories(5, batches=3)
    write(store, batches)
    already = len(store.writes)
    store.fault_of = lambda number, key: "crash_before" if number == already + 1 else ""
    one = indexer(store, BUILD)
    with pytest.raises(Crashed):
        one.step()
    assert one.position == 0
    assert indexer(store, BUILD).position == 0
    index_all(store, BUILD)
    assert indexer(store, BUILD).position == 3


def test_a_step_counts_what_it_did() -> None:
    store = MemoryStore()
    write(store, [[document("a", "s0", "some words"), document("b", "s1", "12"), document("a", "s0", "some words")]])
    one = indexer(store, BUILD)
    assert one.step() == Step(1, 2, 1, 1)
    assert one.step() == Step(0, 0, 0, 0)


def _steps(one: Indexer) -> list[int]:
    """Return how many entries each step takes until nothing is left."""
    return list(takewhile(bool, (one.step().entries for _ in range(20))))


def test_earlier_documents_do_not_wait_for_a_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer_module, "FIRST_CHARACTERS", 1_000)
    monkeypatch.setattr(indexer_module, "LEAST_CHARACTERS", 1_000)
    monkeypatch.setattr(indexer_module, "MOST_CHARACTERS", 1_000)
    store = MemoryStore()
    sizes = [100, 100, 5_000, 100, 600, 300, 200]
    write(store, [[document(f"r{n}", f"s{n}", "x" * size)] for n, size in enumerate(sizes)])
    assert _steps(indexer(store, BUILD)) == [2, 1, 3, 1]


def test_an_entry_left_for_the_next_step_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer_module, "FIRST_CHARACTERS", 100)
    monkeypatch.setattr(indexer_module, "LEAST_CHARACTERS", 100)
    monkeypatch.setattr(indexer_module, "MOST_CHARACTERS", 100)
    store = MemoryStore()
    write(store, [[document(f"r{n}", f"s{n}", "x" * 90)] for n in range(5)])
    one, log = indexer(store, BUILD), documents_log(store)
    read: list[str] = []
    get = store.get

    def noted(key: str) -> StoredObject:
        read.append(key)
        return get(key)

    monkeypatch.setattr(store, "get", noted)
    assert _steps(one) == [1] * 5
    assert [read.count(log.key(number)) for number in range(1, 6)] == [1] * 5


def test_an_indexer_refuses_a_documents_log_with_a_hole() -> None:
    store = MemoryStore()
    write(store, histories(4, batches=6))
    log = documents_log(store)
    one = indexer(store, BUILD)
    store.delete(log.key(3))
    assert one.step().entries == 2
    # The first miss ended the step that read two entries.
    assert [one.step().entries for _ in range(log_module.FIRST_LOOK_MISSES - 2)] == [0] * 6
    with pytest.raises(Damaged, match="documents entry 3 is missing, but entry 4 is there"):
        one.step()
    assert one.position == 2


@pytest.mark.parametrize("lost", [range(4, 5), range(2, 12), range(12, 13), range(1, 13)])
def test_a_starting_indexer_refuses_a_log_that_lost_entries(lost: range, monkeypatch: pytest.MonkeyPatch) -> None:
    # Entries of a sealed block are not read at a start.
    monkeypatch.setattr(sources, "BLOCK_ENTRIES", 100)
    store = MemoryStore()
    write(store, histories(4, batches=12))
    index_all(store, BUILD)
    for number in lost:
        store.delete(documents_log(store).key(number))
    with pytest.raises(Damaged, match=r"documents entry \d+ is missing"):
        indexer(store, BUILD)


def _indexed(seed: int, batches: int, step: int = 1, voids: float = 0.0) -> tuple[MemoryStore, list[Batch]]:
    """Return a store whose history was indexed as it was written, `step` entries at a time."""
    store, history = MemoryStore(), histories(seed, batches=batches, voids=voids)
    for first in range(0, batches, step):
        write(store, history[first : first + step])
        index_all(store, BUILD)
    return store, history


def _lose(store: MemoryStore, shard: int, lost: Iterable[int]) -> None:
    for number in lost:
        store.delete(shard_log(store, BUILD.id, shard, DIMS).key(number))


@pytest.mark.parametrize("lost", [range(3, 4), range(3, 12), range(1, 12), range(19, 20), range(12, 21), range(1, 21)])
@pytest.mark.parametrize("shards", [[0], [0, 1]])
def test_lost_entries_are_indexed_again_under_their_numbers(lost: range, shards: list[int]) -> None:
    store, batches = _indexed(11, 20)
    before = dict(store.objects)
    for shard in shards:
        _lose(store, shard, lost)
    kept = dict(store.objects)
    index_all(store, BUILD)
    _check(store, batches)
    assert all(store.objects[key] == body for key, body in kept.items())
    # A replica that has applied all lost entries goes on in the log.
    if lost.stop <= 20:
        assert store.objects.keys() == before.keys()
        last = shard_log(store, BUILD.id, 0, DIMS).read(lost.stop - 1).header
        assert (last.append_id, last.end) == (
            shard_log(store, BUILD.id, 0, DIMS).read(lost.stop).header.predecessor,
            lost.stop,
        )
    write(store, histories(12, batches=2))
    index_all(store, BUILD)
    assert [folded(store, BUILD, shard)[1] for shard in (0, 1)] == [22, 22]


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    step=st.integers(1, 4),
    size=st.integers(1, 4),
    lost=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 24)), max_size=40),
    turns=st.lists(st.integers(0, 1), max_size=20),
    fatal=st.integers(0, 20),
)
def test_any_losses_are_made_good_by_any_indexers(
    seed: int, step: int, size: int, lost: list[tuple[int, int]], turns: list[int], fatal: int
) -> None:
    store, batches = _indexed(seed, 24, step, voids=0.2)
    for shard, number in lost:
        _lose(store, shard, [number])
    with pytest.MonkeyPatch.context() as patched:
        # Whatever the step limits were when the lost entries were made.
        patched.setattr(indexer_module, "STEP_ENTRIES", size)
        two = [indexer(store, BUILD) for _ in range(2)]
        store.fault_of = at_write(len(store.writes) + fatal, "crash_after")
        for turn in turns:
            try:
                two[turn].step()
            except Crashed:
                two[turn] = indexer(store, BUILD)
        store.fault_of = lambda number, key: ""
        index_all(store, BUILD)
    _check(store, batches)


def test_a_void_in_a_lost_entry_sees_records_not_yet_appended(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Void(4, "undo", Place(3, 0), Place(3, 9))
    batches: list[Batch] = [[document(f"r{n}", "s0", f"version {n}")] for n in (1, 2, 3)]
    batches += [[void(Voids([bad]))], [document("r5", "s1", "words")]]
    store = MemoryStore()
    write(store, batches)
    index_all(store, BUILD)
    for shard in (0, 1):
        _lose(store, shard, (1, 2))
    # With shorter steps than before, the second number has to wait for positions 2, 3 and 4.
    monkeypatch.setattr(indexer_module, "STEP_ENTRIES", 1)
    index_all(store, BUILD)
    _check(store, batches)


def test_a_repair_embeds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[Batch] = [[document("a", "s0", "some words")], [document("b", "s0")]]
    store = MemoryStore()
    write(store, batches)
    index_all(store, BUILD)
    monkeypatch.delattr(WordEmbedder, "embed")
    write(store, [[void(Voids([Void(3, "undo", Place(2, 0), Place(2, 0))]))]])
    assert indexer(store, BUILD).step() == Step(1, 0, 0, 0, repaired=1)


def test_indexing_again_embeds_nothing_for_whole_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = _indexed(11, 20)
    _lose(store, 1, range(6, 9))
    embedded: list[str] = []
    embed = WordEmbedder.embed

    def counted(self: WordEmbedder, texts: Sequence[str], **options: Any) -> Vectors:
        embedded.extend(texts)
        return embed(self, texts, **options)

    monkeypatch.setattr(WordEmbedder, "embed", counted)
    index_all(store, BUILD)
    assert 0 < len(embedded) < 12


def test_an_indexer_notices_lost_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "LISTED_KEYS", 5)
    store, _ = _indexed(11, 20)
    one = indexer(store, BUILD)
    _lose(store, 1, range(12, 14))
    for _ in range(5):
        one.look()
    monkeypatch.setattr(indexer_module, "LOOK_SECONDS", 0.0)
    one.look()
    one.look()
    with pytest.raises(NotWhole, match=f"entries of {BUILD.id}/shard-01 are lost"):
        one.look()


@pytest.mark.parametrize("lost", [range(1, 21), range(11, 21), range(20, 21)])
def test_an_indexer_notices_a_lost_end_of_a_log(lost: range, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "LISTED_KEYS", 4)
    monkeypatch.setattr(indexer_module, "LOOK_SECONDS", 0.0)
    store, _ = _indexed(11, 20)
    one = indexer(store, BUILD)
    for _ in range(20):
        one.look()
    _lose(store, 0, lost)

    def look_often() -> None:
        for _ in range(6):
            one.look()

    with pytest.raises(NotWhole, match="shard-00"):
        look_often()


def test_only_a_step_with_work_is_a_span() -> None:
    store = MemoryStore()
    write(store, histories(5, batches=2))
    with recorded() as found:
        one = indexer(store, BUILD)
        step = one.step()
        assert one.step().entries == 0
        assert found.names == ["embed", "append", "append", "index"]
        index = found.one("index")
        assert {parent(span) for name in ("embed", "append") for span in found.named(name)} == {ids(index)[1]}
    assert (
        ours(index).items() >= {"entries": 2, "position": 2, "chunks": step.chunks, "rejected": step.rejected}.items()
    )
    assert [ours(span)["shard"] for span in found.named("append")] == [0, 1]


class Fickle(WordEmbedder):
    """An embedder that fails on a third of the texts, other ones each time."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def embed(
        self, texts: Sequence[str], *, query: bool = False, reasons: MutableMapping[int, str] | None = None
    ) -> Vectors:
        assert reasons is not None
        reasons.update({i: "a bad day" for i in range(len(texts)) if self._chance.random() < 0.3})
        vectors = super().embed(texts, query=query)
        vectors[list(reasons)] = 0
        return vectors


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), turns=st.lists(st.integers(0, 1), max_size=20))
def test_one_indexers_verdict_counts_where_two_differ(seed: int, turns: list[int]) -> None:
    store, batches = MemoryStore(), histories(seed, batches=9)
    write(store, batches)
    both = [Indexer(store, store, BUILD, Fickle(seed + which)) for which in (0, 1)]
    for each in both:
        each.catch_up()
    sizes = random.Random(seed)
    for which in [*turns, *[0, 1] * 10]:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(indexer_module, "STEP_ENTRIES", sizes.randint(1, 3))
            both[which].step()
    first: dict[str, PlacedDocument] = {}
    for one in (one for entry in documents_log(store).follow(Tail()) for one in from_entry(entry)):
        first.setdefault(one.document.request_id, one)
    for shard in range(2):
        rows = shard_log(store, BUILD.id, shard, DIMS).follow(Tail())
        held = [(one.position, one.item) for entry in rows for one in shards.from_entry(entry)]
        wanted = [one for one in first.values() if shards.shard_of(one.document.source_id, 2) == shard]
        assert held == [(one.position, one.item) for one in wanted]


def _after(*steps: tuple[int, float]) -> int:
    pace = Pace()
    for characters, seconds in steps:
        pace.learn(characters, seconds)
    return pace.characters


@pytest.mark.parametrize(
    ("steps", "characters"),
    [
        ([], FIRST_CHARACTERS),
        ([(FIRST_CHARACTERS, 0.1)], 10 * FIRST_CHARACTERS),
        ([(FIRST_CHARACTERS, 0.1), (300_000, 3.0)], 100_000),
        ([(FIRST_CHARACTERS, 0.1), (10, 0.0)], 10 * FIRST_CHARACTERS),
        ([(FIRST_CHARACTERS, 0.0)], MOST_CHARACTERS),
        ([(FIRST_CHARACTERS, 60.0)], LEAST_CHARACTERS),
        ([(1_000, 10.0)], LEAST_CHARACTERS),
    ],
    ids=["first", "quick", "slower", "too small to tell", "at once", "very slow", "an outage"],
)
def test_the_pace_follows_the_time_of_steps(steps: list[tuple[int, float]], characters: int) -> None:
    assert _after(*steps) == characters
