"""Frozen deltas become graphs while the shard is written to. No row is lost, revived or counted twice."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from service.index import structures
from service.index.ann import Ann
from service.index.base import Base
from service.index.collection import CollectionIndex
from service.index.delta import Delta
from service.index.shard import ShardIndex
from service.node import sealing as sealing_module
from service.node.replica import Replica
from service.node.sealing import Sealer, build_segment
from service.storage.builds import IndexParameters
from service.storage.collections import Kind, Registry, to_text
from service.storage.shards import Record
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import shard_store
from tests.service.small_space import DIMS, Vectors, build, recipe, record, unit

BUILD = build(shards=1)
LIMIT = 50


def _vectors(seed: int, count: int = 1) -> Vectors:
    return unit(np.random.default_rng(seed).normal(size=(count, DIMS)))


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    """A replica whose deltas are frozen at 50 rows, with 120 documents of one row."""
    replica = Replica(shard_store(MemoryStore(), BUILD, 0, tmp_path))
    replica.index = ShardIndex(BUILD.recipe, delta_rows=LIMIT)
    for number in range(120):
        replica.index.apply(record(f"s{number}", _vectors(number), position=number + 1))
    return replica


def _seal(sealing: Sealer) -> bool:
    return asyncio.run(asyncio.wait_for(sealing.seal_one(), 30))


def _state(index: CollectionIndex) -> tuple[int, int, int, int]:
    return index.digest_term, index.rows, index.documents, index.delta_rows


def test_every_frozen_delta_is_sealed_and_answers_stay(replica: Replica) -> None:
    index, sealing, queries = replica.index.default, Sealer(replica), _vectors(1_000, 40)
    before, state = [index.search(query, 5) for query in queries], _state(index)
    assert (len(index.frozen), len(index.delta)) == (2, 20)
    assert [_seal(sealing) for _ in range(3)] == [True, True, False]
    assert [type(segment) for segment in index.segments] == [Base, Base]
    assert _state(index) == state
    assert [index.search(query, 5, exact=True) for query in queries] == before
    found = [{hit.source_id for hit in index.search(query, 5)} for query in queries]
    wanted = [{hit.source_id for hit in hits} for hits in before]
    assert sum(len(f & w) for f, w in zip(found, wanted, strict=True)) / (5 * len(queries)) > 0.95


def test_writes_during_the_building_of_a_graph_count(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    index = replica.index.default

    def writing_meanwhile(records: Sequence[Record], parameters: IndexParameters, dims: int) -> Base | None:
        segment = build_segment(records, parameters, dims)
        index.apply(record("s3", np.empty((0, DIMS), np.float32), position=200))
        index.apply(record("s4", _vectors(4_000), position=201))
        index.apply(record("s5", _vectors(5), position=202))
        return segment

    monkeypatch.setattr(sealing_module, "build_segment", writing_meanwhile)
    assert _seal(Sealer(replica))
    assert index.documents == index.rows == 119
    assert index.held("s3") is None
    held = index.held("s4")
    assert held is not None
    assert held.position == 201
    for query in (_vectors(3)[0], _vectors(4)[0], _vectors(5)[0]):
        for exact in (True, False):
            names = [hit.source_id for hit in index.search(query, 119, exact=exact)]
            assert len(names) == len(set(names)) == 119
            assert "s3" not in names


def test_a_graph_with_low_recall_is_neither_used_nor_built_again(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def refused(records: Sequence[Record], parameters: IndexParameters, dims: int) -> Base | None:
        tried.append(records[0].position)
        return None

    monkeypatch.setattr(sealing_module, "build_segment", refused)
    sealing, state = Sealer(replica), _state(replica.index.default)
    assert [_seal(sealing) for _ in range(3)] == [True, True, False]
    assert tried == [1, 51]
    assert [type(segment) for segment in replica.index.default.segments] == [Delta, Delta]
    assert _state(replica.index.default) == state


def test_an_unsealable_delta_goes_with_its_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing_module, "build_segment", lambda records, parameters, dims: None)
    replica = Replica(shard_store(MemoryStore(), BUILD, 0, tmp_path))
    replica.index = ShardIndex(BUILD.recipe, delta_rows=LIMIT)
    made = Registry().with_one("notes", Kind(), 1).registry
    changes = [msgspec.structs.replace(record("", _vectors(0)), registry=to_text(one)) for one in (made, Registry())]
    replica.index.apply(changes[0])
    for number in range(LIMIT):
        one = record(f"s{number}", _vectors(number), position=number + 1)
        replica.index.apply(msgspec.structs.replace(one, collection=1))
    sealing = Sealer(replica)
    assert [_seal(sealing) for _ in range(2)] == [True, False]
    frozen = weakref.ref(next(delta for _, delta in replica.index.frozen))
    assert frozen() is not None
    replica.index.apply(changes[1])
    gc.collect()
    assert frozen() is None


def test_collections_are_sealed_in_turn(tmp_path: Path) -> None:
    """A collection with constant writes delays no other."""
    replica = Replica(shard_store(MemoryStore(), BUILD, 0, tmp_path))
    replica.index = ShardIndex(BUILD.recipe, delta_rows=LIMIT)
    registry = Registry().with_one("notes", Kind(), 1).registry
    replica.index.apply(msgspec.structs.replace(record("", _vectors(0)), registry=to_text(registry)))
    for collection, rows in ((0, 3 * LIMIT), (1, LIMIT)):
        for number in range(rows):
            one = record(f"s{number}", _vectors(number), position=number + 1)
            replica.index.apply(msgspec.structs.replace(one, collection=collection))
    sealing, left = Sealer(replica), []
    for _ in range(4):
        assert _seal(sealing)
        left.append([len(index.frozen) for index in replica.index.collections])
    assert left == [[3, 0], [2, 0], [1, 0], [0, 0]]
    assert not _seal(sealing)


def test_a_segment_is_checked_against_exact_search(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [record(f"s{number}", _vectors(number)) for number in range(200)]
    assert build_segment(records, recipe().index, DIMS) is not None

    build = structures.build

    def foreign(vectors: Vectors, parameters: IndexParameters, threads: int) -> Ann:
        return build(np.ascontiguousarray(vectors[::-1]), parameters, threads)

    monkeypatch.setattr(structures, "build", foreign)
    assert build_segment(records, recipe().index, DIMS) is None
