"""One immutable generation: an HNSW graph over rows, searched without locks because nothing ever adds to it."""

from __future__ import annotations

from pathlib import Path

import hnswlib
import numpy as np

from service.index.part import NOTHING, Nearest, Passage, Vectors, best_rows
from service.index.rows import Rows
from service.storage.builds import IndexParameters
from service.storage.entry import Damaged


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

    def __len__(self) -> int:
        return len(self.live)

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

    def kill(self, rows: range) -> None:
        """Leave these rows out of answers from now on."""
        self.live[rows.start : rows.stop] = False

    def passage(self, row: int) -> Passage:
        """What a row says, and of which document."""
        table = self.rows.table
        return Passage(*(table[name][row].as_py() for name in Passage._fields))

    def vectors_of(self, rows: range) -> Vectors:
        """The vectors of some rows, shape (rows, dims)."""
        return self.rows.vectors[rows.start : rows.stop]


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
