"""Canaries: queries near a base's own rows, run when it is built and whenever it is loaded."""

from __future__ import annotations

import numpy as np

from service.index.base import Base
from service.index.collection import LOOKED_AT, CollectionIndex, best_documents
from service.index.metric import Metric
from service.index.part import Vectors, best_rows_each

CANARIES = 16
CANARY_K = 10
CANARY_NOISE = 0.02
# Below its floor, a structure belongs to other rows, is broken, or is searched with too little effort.
RECALL_FLOORS = {"flat": 0.9, "hnsw": 0.9, "ivf": 0.8, "pq": 0.7}
# Builders must reach this much more: another CPU may round a distance otherwise and refuse the snapshot.
MARGIN = 0.02


class Canaries:
    """Queries near an index's own rows. Exact search answers them once, and `recall` may be called again and again.

    A hit is right if it is as near as the last exact one: of documents with one text any may be found. The queries are
    the same for the same base: evenly spaced rows, each moved a little.
    """

    def __init__(self, index: CollectionIndex) -> None:
        self._index = index
        self._asked: list[tuple[Vectors, list[float]]] = []
        base, metric = index.base, index.metric
        if base is None or not len(base):
            return
        canaries = _near(base.rows.vectors, CANARIES, metric)
        near = best_rows_each(base.rows.vectors, canaries, CANARY_K * LOOKED_AT, metric)
        exact = (best_documents([(base, one)], CANARY_K) for one in near)
        self._asked = list(zip(canaries, exact, strict=True))

    def recall(self) -> float:
        """Return the share of the exact answers that the base finds now; 1.0 without a base."""
        found = wanted = 0
        for canary, exact in self._asked:
            wanted += len(exact)
            floor = self._index.metric.as_near(exact[-1])
            hits = self._index.search(canary, CANARY_K)
            found += sum(self._index.similarity(hit.source_id, canary) >= floor for hit in hits)
        return found / wanted if wanted else 1.0


def _near(vectors: Vectors, count: int, metric: Metric) -> Vectors:
    rows = np.linspace(0, len(vectors) - 1, min(count, len(vectors))).astype(np.int64)
    noise = np.random.default_rng(len(vectors)).normal(0, CANARY_NOISE, (len(rows), vectors.shape[1]))
    moved = vectors[rows] + noise * np.linalg.norm(vectors[rows], axis=1, keepdims=True)
    return np.stack([metric.prepared(one) for one in moved])


def look_far_enough(base: Base, dims: int) -> float:
    """Make searches of a base look further until its canaries reach the floor of its type; return their recall.

    The base's parameters then say how far. A recall below the floor means that no effort is enough.
    """
    # This index needs no digest; computing one would hash every document.
    canaries = Canaries(CollectionIndex(base, dims, base.metric, digest_term=0))
    floor = RECALL_FLOORS[base.parameters.type]
    while (recall := canaries.recall()) < floor + MARGIN and base.look_further():
        pass
    return recall
