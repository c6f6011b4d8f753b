"""The embedding memory never changes a vector, and asks the model for a text once while it holds the text."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from service.embedding import memory as memory_module
from service.embedding.memory import VectorMemory
from service.embedding.model import ModelUnavailable
from service.embedding.remembering import RememberingEmbedder
from service.embedding.segments import PREFIX, Segments
from service.storage.builds import Build
from service.storage.objects import StoreError
from tests.service.memory_store import Fault, MemoryStore
from tests.service.shard_history import histories, index_all, summed, write
from tests.service.small_space import DIMS, Vectors, WordEmbedder, recipe

ROWS = 4
ROW_BYTES = 4 * DIMS + 16
TEXTS = [f"text {number}" for number in range(20)]


class Model(WordEmbedder):
    """A model that counts the texts it gets, fails on those with `poison`, and may be away."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.away = False

    def embed(
        self, texts: Sequence[str], *, query: bool = False, reasons: MutableMapping[int, str] | None = None
    ) -> Vectors:
        if self.away:
            raise ModelUnavailable("away")
        self.asked += texts
        made = super().embed(texts)
        for number, text in enumerate(texts):
            if "poison" in text:
                made[number] = 0
                assert reasons is not None
                reasons[number] = "poison"
        return made


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a segment be full with ROWS vectors."""
    monkeypatch.setattr(memory_module, "SEGMENT_BYTES", ROWS * ROW_BYTES)


def segments(store: MemoryStore) -> Segments:
    return Segments(store, WordEmbedder.fingerprint, DIMS)


class Process:
    """An indexer's embedder with its memory and its model."""

    def __init__(self, store: MemoryStore) -> None:
        self.model = Model()
        self.memory = VectorMemory(segments(store))
        self.embedder = RememberingEmbedder(self.model, self.memory)

    def asked_for(self, texts: Sequence[str]) -> list[str]:
        """Embed the texts, compare each vector with the model's own, and return those that the model got."""
        before = len(self.model.asked)
        vectors = self.embedder.embed(texts, reasons={})
        assert vectors.tobytes() == Model().embed(texts, reasons={}).tobytes()
        return self.model.asked[before:]


def stored(store: MemoryStore) -> list[str]:
    return sorted(key for key in store.objects if key.startswith(PREFIX))


class Memories(RuleBasedStateMachine):
    """Two indexers over one bucket. `known` are the texts that each must find, `written` those that all must find."""

    @initialize(looks=st.booleans(), caches=st.booleans())
    def begin(self, looks: bool, caches: bool) -> None:
        self.patched = pytest.MonkeyPatch()
        self.patched.setattr(memory_module, "SEGMENT_BYTES", ROWS * ROW_BYTES)
        self.patched.setattr(memory_module, "LOOK_SECONDS", 0.0 if looks else 1e9)
        if not caches:
            self.patched.setattr(memory_module, "CACHED_BYTES", 0)
        self.looks, self.refused_until = looks, 0
        self.store = MemoryStore()
        self.processes = [Process(self.store), Process(self.store)]
        self._nothing_is_sure()

    def teardown(self) -> None:
        self.patched.undo()

    def _nothing_is_sure(self) -> None:
        self.known: list[set[str]] = [set(), set()]
        self.written: set[str] = set()

    @property
    def _refusing(self) -> bool:
        return len(self.store.writes) < self.refused_until

    @rule(which=st.integers(0, 1), texts=st.lists(st.sampled_from(TEXTS), max_size=9))
    def embed(self, which: int, texts: list[str]) -> None:
        refusing = self._refusing
        asked = self.processes[which].asked_for(texts)
        assert len(asked) == len(set(asked))
        assert not set(asked) & (self.known[which] | (self.written if self.looks else set()))
        if not refusing:
            self.known[which] |= set(texts)

    @rule(which=st.integers(0, 1))
    def write(self, which: int) -> None:
        self.processes[which].memory.write()
        if not self._refusing:
            self.written |= self.known[which]

    @rule(which=st.integers(0, 1), writes=st.booleans())
    def start_again(self, which: int, writes: bool) -> None:
        if writes:
            self.write(which)
        self.processes[which] = Process(self.store)
        self.known[which] = {*self.written}

    @precondition(lambda self: bool(stored(self.store)))
    @rule(number=st.integers(0), at=st.integers(0), how=st.sampled_from(["flip", "cut", "lose", "swap"]))
    def damage(self, number: int, at: int, how: str) -> None:
        keys = stored(self.store)
        key = keys[number % len(keys)]
        body = self.store.objects[key]
        at %= len(body)
        other = self.store.objects[keys[at % len(keys)]]
        spoiled = {"flip": body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :], "cut": body[:at], "swap": other}
        if how == "lose":
            del self.store.objects[key]
        else:
            self.store.objects[key] = spoiled[how]
        self._nothing_is_sure()

    @rule(most=st.integers(0, 12))
    def limit(self, most: int) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(memory_module, "MOST_VECTORS", most)
            memory = Process(self.store).memory
        assert memory._count <= most
        assert len(stored(self.store)) == len(memory._held) + len(memory._unusable)
        self._nothing_is_sure()

    @rule(writes=st.integers(1, 3), fault=st.sampled_from(["unavailable", "lost_reply"]))
    def refuse(self, writes: int, fault: Fault) -> None:
        """Let some writes fail, or land without a reply."""
        until = self.refused_until = len(self.store.writes) + writes
        self.store.fault_of = lambda number, key: fault if number < until else ""
        self._nothing_is_sure()


TestMemories = Memories.TestCase
TestMemories.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)


def test_failed_texts_and_queries_are_never_remembered() -> None:
    store = MemoryStore()
    one = Process(store)
    texts = ["poison a", "sound", "poison b", "poison a"]
    for _ in range(2):
        reasons: dict[int, str] = {}
        one.embedder.embed(texts, reasons=reasons)
        assert reasons == {0: "poison", 2: "poison", 3: "poison"}
    one.embedder.embed(["a query"], query=True)
    one.embedder.embed(["a query"], query=True)
    assert one.model.asked == ["poison a", "sound", "poison b", "poison a", "poison b", "a query", "a query"]
    one.memory.write()
    assert Process(store).asked_for(["sound", "a query"]) == ["a query"]


def test_a_model_that_is_away_leaves_nothing_behind() -> None:
    one = Process(MemoryStore())
    one.asked_for(["first"])
    one.model.away = True
    with pytest.raises(ModelUnavailable):
        one.embedder.embed(["first", "second"])
    assert one.asked_for(["first"]) == []
    one.model.away = False
    assert one.asked_for(["first", "second"]) == ["second"]


def test_another_model_or_dimension_has_a_space_of_its_own() -> None:
    store = MemoryStore()
    spaces = [Segments(store, name, dims) for name, dims in (("words-1", 8), ("words-1", 9), ("words-2", 8))]
    assert len({one.prefix for one in spaces}) == len({one.key_of("a text") for one in spaces}) == 3


def test_a_trickle_of_vectors_makes_few_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "SEGMENT_BYTES", 64 * ROW_BYTES)
    monkeypatch.setattr(memory_module, "WRITE_SECONDS", 0.0)
    store, most = MemoryStore(), 0
    one, texts = Process(store), [f"trickled {number}" for number in range(300)]
    for number, text in enumerate(texts):
        if number % 50 == 0:
            one = Process(store)
        one.asked_for([text])
        most = max(most, len(stored(store)) - number // 64)
    written = sum(int(key.split("-")[1]) for key, _ in store.writes)
    # Powers of two below 64, and each vector in one segment of each size.
    assert most <= 8
    assert written <= 8 * len(texts)
    assert Process(store).asked_for(texts) == []


def test_a_small_memory_helps_each_later_build() -> None:
    """With the oldest segments deleted first, each text would be gone just before it is asked for."""
    store, texts = MemoryStore(), [f"text {number}" for number in range(150)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(memory_module, "MOST_VECTORS", 100)
        for turn in range(4):
            one = Process(store)
            asked = [text for first in range(0, 150, 5) for text in one.asked_for(texts[first : first + 5])]
            one.memory.write()
            assert turn == 0 or len(asked) < 130


def test_a_build_reads_each_segment_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store, texts = MemoryStore(), [f"text {number}" for number in range(100)]
    one = Process(store)
    for first in range(0, 100, 7):
        one.asked_for(texts[first : first + 7])
    one.memory.write()
    monkeypatch.setattr(memory_module, "CACHED_BYTES", 4 * ROWS * ROW_BYTES)
    read: list[str] = []
    whole = store.part

    def part(key: str, start: int, end: int | None = None) -> bytes:
        read.append(key)
        return whole(key, start, end)

    monkeypatch.setattr(store, "part", part)
    later = Process(store)
    assert sorted(read) == stored(store)
    read.clear()
    # Steps of another size end at other texts.
    for first in range(0, 100, 3):
        assert later.asked_for(texts[first : first + 3]) == []
    assert sorted(read) == stored(store)


@pytest.mark.parametrize("fails", ["keys", "part", "create", "delete"])
def test_a_store_that_refuses_costs_calls_alone(monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    store = MemoryStore()
    first = Process(store)
    first.asked_for(TEXTS[:2])
    first.memory.write()

    def refuse(*_: object, **__: object) -> Any:
        raise StoreError("403 AccessDenied")

    monkeypatch.setattr(memory_module, "WRITE_SECONDS", 0.0)
    monkeypatch.setattr(store, fails, refuse)
    second = Process(store)
    known = fails in ("create", "delete")
    assert second.asked_for(TEXTS[:2]) == ([] if known else TEXTS[:2])
    for number in range(50):
        second.asked_for([f"more {number}"])
        assert len(second.memory._waiting) <= 2 * ROWS


def test_vectors_are_written_once_they_have_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    store = MemoryStore()
    one = Process(store)
    now += 100
    one.asked_for(TEXTS[:1])
    now += memory_module.WRITE_SECONDS - 1
    one.memory.write_due()
    assert stored(store) == []
    now += 1
    one.memory.write_due()
    assert len(stored(store)) == 1


def test_new_segments_of_others_are_found_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    store = MemoryStore()
    one, other = Process(store), Process(store)
    one.asked_for(TEXTS[:3])
    one.memory.write()
    assert other.asked_for(TEXTS[:1]) == TEXTS[:1]
    now += memory_module.LOOK_SECONDS
    assert other.asked_for(TEXTS[:3]) == []


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), shards=st.permutations([1, 2, 3, 4, 8]))
def test_other_numbers_of_shards_need_no_model(seed: int, shards: list[int]) -> None:
    store = MemoryStore()
    write(store, histories(seed, batches=10))
    wanted = None
    for number, count in enumerate(shards):
        one, build = Process(store), Build(f"b-{count}", recipe(shards=count))
        index_all(store, build, one.embedder)
        one.memory.write()
        wanted = wanted or summed(store, build)
        assert (bool(one.model.asked), summed(store, build)) == (number == 0, wanted)
