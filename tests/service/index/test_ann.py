"""The four index types behind their one interface: what each finds, saves, and refuses to load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.index import structures
from service.index.ann import Ann
from service.index.bench import clustered
from service.index.flat import Flat
from service.index.ivf_pq import ROWS_PER_LIST, lists_of, probes_of, subvectors_of
from service.index.metric import COSINE
from service.index.part import Vectors
from service.node.builder import publish_generation
from service.node.recovery import open_snapshot
from service.node.replica import Replica
from service.storage import snapshot
from service.storage.builds import Build, IndexParameters
from service.storage.entry import Damaged
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import histories, index_all, shard_store, write
from tests.service.small_space import build as small_build

DIMS = 32
ROWS = 3_000
HELD_OUT = 100
EVERYTHING = clustered(ROWS + HELD_OUT, DIMS)
VECTORS, QUERIES = EVERYTHING[:ROWS], EVERYTHING[ROWS:]
TYPES = ("flat", "hnsw", "ivf", "pq")


@pytest.fixture(autouse=True)
def _trained_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train lists and codes on a few rows, as if they were many."""
    monkeypatch.setattr(structures, "TRAINED_ROWS", 100)


def parameters(type_: str, **more: int) -> IndexParameters:
    return msgspec.convert(
        {"type": type_, "metric": "cosine", "m": 16, "ef_construction": 200, "ef_search": 100} | more, IndexParameters
    )


def recall(index: Ann, k: int = 10) -> float:
    exact = Flat(VECTORS, COSINE)
    return float(np.mean([len(np.intersect1d(index.search(q, k).rows, exact.search(q, k).rows)) / k for q in QUERIES]))


@pytest.mark.parametrize("type_", TYPES)
def test_answers_are_rows_with_their_own_scores_best_first(type_: str) -> None:
    index = structures.build(VECTORS, parameters(type_), 1)
    for query in QUERIES[:20]:
        rows, scores = index.search(query, 7)
        assert len(set(rows.tolist())) == len(rows) == 7
        np.testing.assert_allclose(scores, VECTORS[rows] @ query, atol=1e-5)
        assert (np.diff(scores) <= 1e-6).all()
        assert (rows.dtype, scores.dtype) == (np.dtype(np.int64), np.dtype(np.float32))


@pytest.mark.parametrize(("type_", "least"), [("flat", 1.0), ("hnsw", 0.98), ("ivf", 0.9), ("pq", 0.9)])
def test_each_type_reaches_its_recall(type_: str, least: float) -> None:
    assert recall(structures.build(VECTORS, parameters(type_), 1)) >= least


def test_scoring_again_by_vectors_finds_more_than_codes_alone() -> None:
    alone = recall(structures.build(VECTORS, parameters("pq", rescored=0), 1))
    again = recall(structures.build(VECTORS, parameters("pq", rescored=8), 1))
    assert 0.3 < alone < again - 0.05


def test_more_probes_find_more_and_all_find_everything() -> None:
    few, many, all_ = (recall(structures.build(VECTORS, parameters("ivf", lists=60, probes=p), 1)) for p in (1, 6, 60))
    assert few < many <= all_ == 1.0


@pytest.mark.parametrize("type_", TYPES)
def test_an_answer_may_be_short_but_never_wrong(type_: str) -> None:
    index = structures.build(VECTORS, parameters(type_, lists=60, probes=1), 1)
    rows, scores = index.search(QUERIES[0], ROWS)
    assert len(set(rows.tolist())) == len(rows) <= ROWS
    assert rows.min(initial=0) >= 0
    assert len(rows) == len(scores)


@pytest.mark.parametrize("type_", ["hnsw", "ivf", "pq"])
def test_a_loaded_structure_answers_as_the_built_one(type_: str, tmp_path: Path) -> None:
    wanted, path = parameters(type_), tmp_path / "index"
    built = structures.build(VECTORS, wanted, 1)
    built.save(path)
    loaded = structures.load(path, VECTORS, wanted)
    for query in QUERIES:
        assert loaded.search(query, 5).rows.tolist() == built.search(query, 5).rows.tolist()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("spoil", [cut, empty, gone])
@pytest.mark.parametrize("type_", ["ivf", "pq"])
def test_a_truncated_file_is_refused_by_name(type_: str, spoil: Callable[[Path], None], tmp_path: Path) -> None:
    wanted, path = parameters(type_), tmp_path / "lists.faiss"
    structures.build(VECTORS, wanted, 1).save(path)
    spoil(path)
    with pytest.raises(Damaged, match=r"lists\.faiss: FAISS refused it"):
        structures.load(path, VECTORS, wanted)


def test_a_file_of_other_rows_dimensions_or_type_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lists.faiss"
    structures.build(VECTORS, parameters("ivf"), 1).save(path)
    with pytest.raises(Damaged, match="3000 vectors for 2999 rows"):
        structures.load(path, VECTORS[:-1], parameters("ivf"))
    with pytest.raises(Damaged, match="holds a IndexIVFFlat of 32 dimensions, expected a IndexIVFFlat of 16"):
        structures.load(path, VECTORS[:, :16], parameters("ivf"))
    with pytest.raises(Damaged, match="holds a IndexIVFFlat"):
        structures.load(path, VECTORS, parameters("pq"))


@given(rows=st.integers(0, 10**8), lists=st.integers(0, 10**6), probes=st.integers(0, 10**6))
def test_lists_are_trainable_and_probes_are_at_most_all(rows: int, lists: int, probes: int) -> None:
    wanted = parameters("ivf", lists=lists, probes=probes)
    made = lists_of(wanted, rows)
    assert made == 1 or made * ROWS_PER_LIST <= rows
    assert 1 <= probes_of(wanted, made) <= made


@given(dims=st.integers(2, 4096), code_dims=st.integers(1, 64))
def test_codes_divide_a_vector_and_are_never_too_coarse(dims: int, code_dims: int) -> None:
    count = subvectors_of(parameters("pq", code_dims=code_dims), dims)
    assert dims % count == 0
    assert dims / count <= code_dims


def test_few_rows_are_searched_exactly_whatever_the_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structures, "TRAINED_ROWS", ROWS + 1)
    for type_ in TYPES:
        assert structures.kind_of(parameters(type_), ROWS) == ("hnsw" if type_ == "hnsw" else "flat")
    assert isinstance(structures.build(VECTORS, parameters("pq"), 1), Flat)


def shard_of(type_: str) -> tuple[MemoryStore, Build]:
    """Return a store with some history, and a build of that type."""
    made = small_build(shards=1)
    index = msgspec.structs.replace(made.recipe.index, type=type_, lists=2)
    made = msgspec.structs.replace(made, recipe=msgspec.structs.replace(made.recipe, index=index))
    store = MemoryStore()
    write(store, histories(3, batches=60, sources=400, hopeless=0.0))
    index_all(store, made)
    return store, made


def vectors_in(replica: Replica) -> Vectors:
    assert replica.index.default.base is not None
    return replica.index.default.base.rows.vectors


@pytest.mark.parametrize(("type_", "file"), [("flat", None), ("hnsw", "graph.hnsw"), ("ivf", "lists.faiss")])
def test_each_type_is_published_restored_and_refused_if_damaged(type_: str, file: str | None, tmp_path: Path) -> None:
    store, made = shard_of(type_)
    replica = Replica(shard_store(store, made, 0, tmp_path / "log"))
    replica.boot()
    entry = replica.tail.number
    name = publish_generation(shard_store(store, made, 0, tmp_path / "builder"), entry=entry, generation=1)
    manifest = snapshot.manifest_of(store, made, 0, name)
    assert [one.name for one in manifest.files] == [snapshot.ROWS_FILE, *([file] if file else [])]
    restored = Replica(shard_store(store, made, 0, tmp_path / "restored"))
    restored.boot()
    assert restored.restored_from == f"snapshot {name}"
    assert (restored.index.digest, restored.index.rows) == (replica.index.digest, replica.index.rows)
    for query in vectors_in(restored)[:10]:
        exact = {hit.source_id for hit in restored.index.default.search(query, 3, exact=True)}
        assert {hit.source_id for hit in restored.index.default.search(query, 3)} & exact
    if file:
        key = f"{snapshot.prefix_of(made.id, 0)}{name}/{file}"
        store.objects[key] = store.objects[key][:-9]
        with pytest.raises(Damaged, match=file):
            open_snapshot(shard_store(store, made, 0, tmp_path / "spoiled"), name)
