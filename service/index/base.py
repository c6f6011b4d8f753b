"""One immutable generation: an HNSW graph over rows, searched without locks because nothing ever adds to it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import hnswlib
import numpy as np
import numpy.typing as npt

from service.index.rows import Rows
from service.storage.builds import IndexParameters
from service.storage.entry import Damaged

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


class Nearest(NamedTuple):
    """
    Rows near a query, best first, with their cosine similarities.

    No live row above `floor` was left out; it is -inf where none was left out at all.
    """

    rows: Labels
    scores: Vectors
    floor: float


NOTHING = Nearest(np.empty(0, np.int64), np.empty(0, np.float32), -np.inf)


class Base:
    """
    Rows and the graph over them; graph label i is row i.

    `live` marks the rows that no later write has replaced or deleted: those stay in the graph, and answers
    leave them out.
    """

    def __init__(self, rows: Rows, graph: hnswlib.Index, parameters: IndexParameters) -> None:
        self.rows = rows
        self.live = np.ones(len(rows.vectors), dtype=bool)
        self._graph = graph
        self._ef_search = parameters.ef_search
        graph.set_num_threads(1)

    @property
    def dead_rows(self) -> int:
        """Rows that answers leave out."""
        return int(len(self.live) - self.live.sum())

    def search(self, vector: Vectors, count: int) -> Nearest:
        """
        The live ones among `count` rows near `vector` (dims,), as the graph knows it.

        Fewer than asked means that the others were dead; the floor says down to where nothing is missing.
        """
        count = min(count, len(self.live))
        if count == 0:
            return NOTHING
        self._graph.set_ef(max(self._ef_search, count))
        try:
            labels, distances = self._graph.knn_query(vector, k=count)
        except RuntimeError:
            # hnswlib raises where its walk reaches fewer than k rows.
            return self.search_exactly(vector, count)
        rows, scores = labels[0].astype(np.int64), 1.0 - distances[0]
        live = self.live[rows]
        return Nearest(rows[live], scores[live], float(scores[-1]) if count < len(self.live) else -np.inf)

    def search_exactly(self, vector: Vectors, count: int) -> Nearest:
        """The `count` live rows with the largest cosine similarity, by looking at all of them."""
        return best_rows(self.rows.vectors, self.live, vector, count)


def best_rows(vectors: Vectors, live: npt.NDArray[np.bool_], vector: Vectors, count: int) -> Nearest:
    """The `count` rows of `vectors` (rows, dims) with the largest inner product, among the live ones."""
    all_live = int(live.sum())
    count = min(count, all_live)
    if count == 0:
        return NOTHING
    scores = np.where(live, vectors @ vector, -np.inf).astype(np.float32)
    top = np.argpartition(-scores, count - 1)[:count]
    top = top[np.argsort(-scores[top], kind="stable")]
    floor = float(scores[top[-1]]) if count < all_live else -np.inf
    return Nearest(top.astype(np.int64), scores[top], floor)


def build_graph(vectors: Vectors, parameters: IndexParameters, threads: int) -> hnswlib.Index:
    """A new graph over normalised vectors (rows, dims): inner product is then the cosine."""
    graph = hnswlib.Index(space="ip", dim=vectors.shape[1])
    graph.init_index(max_elements=max(1, len(vectors)), M=parameters.m, ef_construction=parameters.ef_construction)
    if len(vectors):
        graph.add_items(vectors, np.arange(len(vectors)), num_threads=threads)
    return graph


def load_graph(path: Path, rows: Rows) -> hnswlib.Index:
    """
    Load a saved graph over `rows`. Its bytes must have been checked before: hnswlib loads flipped bits and
    other dimensions without a word.
    """
    graph = hnswlib.Index(space="ip", dim=rows.vectors.shape[1])
    try:
        graph.load_index(str(path), max_elements=max(1, len(rows.vectors)))
    except RuntimeError as error:
        raise Damaged(f"{path.name}: hnswlib refused it: {error}") from error
    if graph.get_current_count() != len(rows.vectors):
        raise Damaged(f"{path.name}: {graph.get_current_count()} vectors for {len(rows.vectors)} rows")
    return graph
