"""HNSW: hnswlib's graph, walked from neighbour to neighbour."""

from __future__ import annotations

from pathlib import Path

import hnswlib
import msgspec
import numpy as np

from infra.facts.index_parameters import BOUNDS
from service.index.ann import Neighbours, further
from service.index.metric import METRICS, Metric
from service.index.part import NOTHING, Vectors
from service.storage.builds import IndexParameters
from service.storage.entry import Damaged

LONGEST_EF = BOUNDS["ef_search"][1]


class Hnsw:
    def __init__(self, graph: hnswlib.Index, ef_search: int, metric: Metric) -> None:
        graph.set_num_threads(1)
        # If a search wants more rows than this, hnswlib keeps as many candidates by itself.
        graph.set_ef(ef_search)
        self._graph, self._score_of = graph, metric.score_of

    @classmethod
    def build(cls, vectors: Vectors, parameters: IndexParameters, threads: int) -> Hnsw:
        """Build a graph; see `structures.build`. hnswlib releases the GIL while it links rows."""
        metric = METRICS[parameters.metric]
        graph = hnswlib.Index(space=metric.space, dim=vectors.shape[1])
        graph.init_index(max_elements=max(1, len(vectors)), M=parameters.m, ef_construction=parameters.ef_construction)
        if len(vectors):
            graph.add_items(vectors, np.arange(len(vectors)), num_threads=threads)
        return cls(graph, parameters.ef_search, metric)

    @classmethod
    def load(cls, path: Path, rows: int, dims: int, parameters: IndexParameters) -> Hnsw:
        """Load a graph of at most `rows` vectors; see `structures.load`."""
        metric = METRICS[parameters.metric]
        graph = hnswlib.Index(space=metric.space, dim=dims)
        try:
            graph.load_index(str(path), max_elements=max(1, rows))
        except RuntimeError as error:
            raise Damaged(f"{path.name}: hnswlib refused it: {error}") from error
        return cls(graph, parameters.ef_search, metric)

    def __len__(self) -> int:
        return int(self._graph.get_current_count())

    def search(self, vector: Vectors, count: int) -> Neighbours:
        try:
            labels, distances = self._graph.knn_query(vector, k=count)
        except RuntimeError:
            # hnswlib raises if its walk reaches fewer than k rows.
            return Neighbours(NOTHING.rows, NOTHING.scores)
        return Neighbours(labels[0].astype(np.int64), self._score_of(distances[0]))

    def look_further(self, parameters: IndexParameters) -> IndexParameters | None:
        """Keep a longer list of candidates, up to the longest that may be configured."""
        longer = further(parameters.ef_search, LONGEST_EF)
        self._graph.set_ef(longer)
        return msgspec.structs.replace(parameters, ef_search=longer) if longer > parameters.ef_search else None

    def save(self, path: Path) -> None:
        """Save the graph. hnswlib holds the GIL meanwhile and reports no write error."""
        self._graph.save_index(str(path))
