"""A benchmark's fleet has a documents log, so that its nodes get ready as any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import stage as staging
from benchmarks.stage import Stage, document, row_of
from service.node.recovery import ShardStore
from service.node.replica import Replica
from service.storage.builds import IndexParameters
from service.storage.documents import documents_log, from_entry
from service.storage.log import Tail
from tests.service.memory_store import MemoryStore

INDEX = IndexParameters("hnsw", "cosine", 16, 200, 50)
ROWS, DIMS, SHARDS = 1_000, 8, 2


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> dict[str, MemoryStore]:
    made = {name: MemoryStore(name) for name in ("documents", "index")}
    monkeypatch.setattr(staging, "ObjectStore", made.__getitem__)
    return made


def booted(stage: Stage, stores: dict[str, MemoryStore], folder: Path) -> list[Replica]:
    """Nodes with fresh disks, one of each shard."""
    assert stage.build is not None
    replicas = []
    for shard in range(SHARDS):
        disk = folder / f"{shard}"
        disk.mkdir(parents=True)
        replicas.append(Replica(ShardStore(stores["index"], stage.build, shard, disk, stores["documents"])))
        replicas[-1].boot()
    return replicas


def test_nodes_of_a_filled_stage_are_ready(tmp_path: Path, stores: dict[str, MemoryStore]) -> None:
    vectors = np.random.default_rng(0).standard_normal((ROWS, DIMS)).astype(np.float32)
    stage = Stage(tmp_path, vectors, INDEX, SHARDS)
    stage.fill(threads=1)
    replicas = booted(stage, stores, tmp_path / "first")
    assert [one.reason for one in replicas] == [""] * SHARDS
    assert [one.generation for one in replicas] == [1] * SHARDS
    assert sum(one.index.rows for one in replicas) == ROWS
    assert not sum(one.index.delta_rows for one in replicas)

    log = documents_log(stores["documents"])
    written = [one.document for entry in log.follow(Tail()) for one in from_entry(entry)]
    assert [row_of(one.source_id) for one in written] == list(range(ROWS))
    assert len({one.request_id for one in written}) == ROWS

    stage.write([document(ROWS, vectors[0])])
    replicas = booted(stage, stores, tmp_path / "second")
    assert [one.reason for one in replicas] == [""] * SHARDS
    assert sum(one.index.delta_rows for one in replicas) == 1
