"""Canaries tell a structure that finds what exact search finds from one that does not, and how far it has to look."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from service.embedding.providers import GivenVectors
from service.index import rows as rows_file
from service.index import structures
from service.index.base import Base
from service.index.canaries import MARGIN, RECALL_FLOORS, Canaries, look_far_enough
from service.index.collection import CollectionIndex
from service.index.hnsw import Hnsw
from service.index.ivf_pq import lists_of
from service.index.metric import COSINE, METRICS, Metric
from service.indexer.indexer import Indexer
from service.node.recovery import sizes_in
from service.node.replica import Replica
from service.storage.builds import Build, Embedding, IndexParameters
from service.storage.documents import Document
from service.storage.snapshot import FORMAT, Manifest, manifest_of, name_of, publish
from tests.service.index.test_collection import rebuilt
from tests.service.memory_store import MemoryStore
from tests.service.shard_history import shard_store, snapshot_at, write
from tests.service.small_space import DIMS, Vectors, recipe, record, unit

PARAMETERS = recipe().index
# Directions without any structure are what graphs and lists find worst.
SHAPELESS = unit(np.random.default_rng(1).normal(size=(3_000, 256)))
HARD: dict[structures.Kind, IndexParameters] = {
    "hnsw": IndexParameters("hnsw", "cosine", 8, 100, 50),
    "ivf": IndexParameters("ivf", "cosine", 8, 100, 50, probes=1),
    "pq": IndexParameters("pq", "cosine", 8, 100, 50, probes=32, code_dims=16, rescored=0),
}
EFFORTS = {"hnsw": ["ef_search"], "ivf": ["probes"], "pq": ["probes", "rescored"]}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_canaries_pass_on_a_good_graph_and_fail_on_a_wrong_one(metric: Metric) -> None:
    made = np.random.default_rng(5).normal(0, 3, size=(400, DIMS)).astype(np.float32)
    vectors = unit(made) if metric.normal else made
    live = {f"s{n}": record(f"s{n}", vectors[n : n + 1]) for n in range(400)}
    assert Canaries(rebuilt(live, metric=metric)).recall() > 0.95
    rows = rows_file.from_records(live.values(), DIMS)
    parameters = msgspec.structs.replace(PARAMETERS, metric=metric.name)
    other = structures.build(np.ascontiguousarray(vectors[::-1]), parameters, 1)
    assert Canaries(CollectionIndex(Base(rows, other, parameters), DIMS, metric=metric)).recall() < 0.5


def _with_duplicates() -> Vectors:
    """Return 400 rows, 120 of which have one of five texts, 24 times each."""
    vectors = unit(np.random.default_rng(6).normal(size=(400, DIMS)))
    for group in range(5):
        vectors[group : 24 * 5 : 5] = vectors[group]
    return vectors[np.random.default_rng(7).permutation(400)]


def test_among_equal_texts_the_graph_may_pick_any() -> None:
    vectors = _with_duplicates()
    assert len(np.unique(vectors, axis=0)) == 400 - 5 * 23
    live = {f"s{n}": record(f"s{n}", vectors[n : n + 1]) for n in range(len(vectors))}
    assert Canaries(rebuilt(live)).recall() >= 0.9


def test_a_wrong_graph_is_caught_whatever_scores_it_claims() -> None:
    vectors = _with_duplicates()
    live = {f"s{n}": record(f"s{n}", vectors[n : n + 1]) for n in range(len(vectors))}
    rows = rows_file.from_records(live.values(), DIMS)
    # The graph's distances are those of its own vectors: only the rows show that they belong to other documents.
    other = structures.build(np.roll(vectors, 1, axis=0), PARAMETERS, 1)
    assert Canaries(CollectionIndex(Base(rows, other, PARAMETERS), DIMS, COSINE)).recall() < 0.5


def test_canaries_of_no_base_pass() -> None:
    assert Canaries(CollectionIndex(None, DIMS, COSINE)).recall() == 1.0
    assert Canaries(rebuilt({})).recall() == 1.0


def _base(parameters: IndexParameters, vectors: Vectors = SHAPELESS) -> Base:
    rows = rows_file.from_records([record(f"s{n}", vectors[n : n + 1]) for n in range(len(vectors))], vectors.shape[1])
    return Base(rows, structures.build(rows.vectors, parameters, 1), parameters)


def _recall(base: Base) -> float:
    return Canaries(CollectionIndex(base, base.rows.vectors.shape[1], base.metric, digest_term=0)).recall()


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train lists and codes on few rows, too."""
    monkeypatch.setattr(structures, "TRAINED_ROWS", 1_000)


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("kind", HARD)
def test_searches_look_just_far_enough(kind: structures.Kind) -> None:
    base, wanted = _base(HARD[kind]), RECALL_FLOORS[kind] + MARGIN
    assert _recall(base) < wanted
    assert look_far_enough(base, 256) >= wanted
    efforts = {name: getattr(base.parameters, name) for name in EFFORTS[kind]}
    assert base.parameters == msgspec.structs.replace(HARD[kind], **efforts)
    assert _recall(base) >= wanted
    less = {name: int(effort / 1.5) for name, effort in efforts.items()}
    assert _recall(_base(msgspec.structs.replace(HARD[kind], **less))) < wanted


def test_a_graph_that_finds_enough_is_searched_as_configured() -> None:
    base = _base(PARAMETERS, unit(np.random.default_rng(2).normal(size=(300, DIMS))))
    assert look_far_enough(base, DIMS) >= RECALL_FLOORS["hnsw"] + MARGIN
    assert base.parameters == PARAMETERS


@pytest.mark.parametrize("recall", [0.91, 0.9, 0.89])
def test_recall_is_returned_when_searches_can_go_no_further(monkeypatch: pytest.MonkeyPatch, recall: float) -> None:
    monkeypatch.setattr(Canaries, "recall", lambda _: recall)
    base = _base(PARAMETERS, unit(np.random.default_rng(2).normal(size=(30, DIMS))))
    assert look_far_enough(base, DIMS) == recall
    assert base.parameters == msgspec.structs.replace(PARAMETERS, ef_search=500)
    assert not base.look_further()


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("kind", HARD)
def test_a_search_goes_further_up_to_what_may_be_configured(kind: structures.Kind) -> None:
    base = _base(HARD[kind])
    while base.look_further():
        pass
    assert base.parameters.problem() == ""
    assert base.parameters == msgspec.structs.replace(
        HARD[kind],
        **{
            "hnsw": {"ef_search": 500},
            "ivf": {"probes": lists_of(HARD[kind], len(SHAPELESS))},
            "pq": {"probes": lists_of(HARD[kind], len(SHAPELESS)), "rescored": 100},
        }[kind],
    )


def _of_vectors(parameters: IndexParameters, dims: int) -> Build:
    embedding = Embedding("eyes", "1", dims, "given")
    return Build("b-test", msgspec.structs.replace(recipe(shards=1), embedding=embedding, index=parameters))


def _published(store: MemoryStore, one: Build, vectors: Vectors, folder: Path) -> Manifest:
    """Publish and return the snapshot of a shard of these vectors."""
    write(store, [[Document(f"r{n}", f"s{n}", vector=vector.tobytes()) for n, vector in enumerate(vectors)]])
    indexer = Indexer(store, store, one, GivenVectors(one.recipe.embedding))
    indexer.catch_up()
    indexer.step()
    return manifest_of(store, one, 0, snapshot_at(shard_store(store, one, 0, folder), 1, 1))


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("kind", [*HARD, "flat"])
def test_a_snapshot_says_how_its_base_has_to_be_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: structures.Kind
) -> None:
    if kind == "flat":
        monkeypatch.setattr(Hnsw, "look_further", lambda self, parameters: None)
    store, one = MemoryStore(), _of_vectors(HARD.get(kind, HARD["hnsw"]), 256)
    manifest = _published(store, one, SHAPELESS, tmp_path / "builder")
    searched = manifest.shares[0].searched
    assert searched is not None
    assert (manifest.format, searched.type) == (FORMAT, kind)
    assert [file.name for file in manifest.files] == ["rows.arrow", *([structures.FILES[kind]] if kind in HARD else [])]
    replica = Replica(shard_store(store, one, 0, tmp_path / "disk"))
    replica.boot()
    assert (replica.refused, replica.index.adjusted) == ([], {0: searched})
    assert replica.describe()["adjusted"] == {0: searched}
    assert [(one.recipe.index.type, one.rows) for one in sizes_in(manifest)] == [(kind, len(SHAPELESS))]
    assert [(one.recipe.index, one.rows) for one in replica.index.sizes] == [(searched, len(SHAPELESS))]
    base = replica.index.default.base
    assert base is not None
    assert _recall(base) >= RECALL_FLOORS[kind] + MARGIN


def test_an_exact_snapshot_of_format_3_is_still_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hnsw, "look_further", lambda self, parameters: None)
    store, one = MemoryStore(), _of_vectors(HARD["hnsw"], 256)
    new = _published(store, one, SHAPELESS, tmp_path / "builder")
    share = msgspec.structs.replace(new.shares[0], exact=True, searched=None)
    old = msgspec.structs.replace(new, format=3, shares={0: share})
    publish(store, old, tmp_path / "builder" / name_of(new))
    assert manifest_of(store, one, 0, name_of(new)).format == 3
    replica = Replica(shard_store(store, one, 0, tmp_path / "disk"))
    replica.boot()
    assert (replica.refused, replica.index.adjusted) == ([], {0: msgspec.structs.replace(HARD["hnsw"], type="flat")})


def test_a_snapshot_searched_as_configured_says_nothing_more(tmp_path: Path) -> None:
    vectors = unit(np.random.default_rng(2).normal(size=(300, DIMS)))
    manifest = _published(MemoryStore(), _of_vectors(PARAMETERS, DIMS), vectors, tmp_path)
    assert (manifest.format, manifest.shares[0].searched) == (FORMAT, None)


def _served(store: MemoryStore, one: Build, folder: Path, configured: IndexParameters) -> IndexParameters:
    """Return how a node with this configuration searches the base that it restores from a snapshot."""
    replica = Replica(shard_store(store, one, 0, folder)._replace(configured=configured))
    replica.boot()
    assert replica.refused == []
    assert replica.restored_from != "the log alone"
    assert replica.index.default.base is not None
    return replica.index.default.base.parameters


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("kind", HARD)
def test_a_changed_effort_applies_to_an_old_snapshot(tmp_path: Path, kind: structures.Kind) -> None:
    store, one = MemoryStore(), _of_vectors(HARD[kind], 256)
    enough = _published(store, one, SHAPELESS, tmp_path / "builder").shares[0].searched
    assert enough is not None
    more = msgspec.structs.replace(enough, **{name: 1 + getattr(enough, name) for name in EFFORTS[kind]})
    assert _served(store, one, tmp_path / "more", more) == more
    # The build's own effort finds too little, and so does any lower one.
    lower = _served(store, one, tmp_path / "lower", HARD[kind])
    assert lower == enough


def test_a_lower_effort_applies_if_it_finds_enough(tmp_path: Path) -> None:
    vectors = unit(np.random.default_rng(2).normal(size=(300, DIMS)))
    store, one = MemoryStore(), _of_vectors(PARAMETERS, DIMS)
    _published(store, one, vectors, tmp_path / "first")
    high = msgspec.structs.replace(PARAMETERS, ef_search=400)
    builder = shard_store(store, one, 0, tmp_path / "builder")._replace(configured=high)
    share = manifest_of(store, one, 0, snapshot_at(builder, 1, 2)).shares[0]
    # Older versions search as the manifest says.
    assert share.searched == high
    assert _served(store, one, tmp_path / "low", PARAMETERS) == PARAMETERS


def test_parameters_of_another_type_change_no_search(tmp_path: Path) -> None:
    vectors = unit(np.random.default_rng(2).normal(size=(300, DIMS)))
    store, one = MemoryStore(), _of_vectors(PARAMETERS, DIMS)
    _published(store, one, vectors, tmp_path / "builder")
    other = msgspec.structs.replace(PARAMETERS, type="ivf", ef_search=400)
    assert _served(store, one, tmp_path / "other", other) == PARAMETERS
