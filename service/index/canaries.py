"""Canaries: queries near a base's own rows, asked when it is built and whenever it is loaded."""

from __future__ import annotations

import numpy as np

from service.index.base import Base
from service.index.collection import LOOKED_AT, CollectionIndex, best_documents
from service.index.metric import Metric
from service.index.part import Vectors, best_rows_each

CANARIES = 16
CANARY_K = 10
CANARY_NOISE = 0.02
# Below it a structure is not of these rows, or broken, or searched with too little effort.
RECALL_FLOORS = {"flat": 0.9, "hnsw": 0.9, "ivf": 0.8, "pq": 0.7}
# Above it, asked of who builds: another processor may round a distance otherwise, and refuse what was published.
MARGIN = 0.02


def canary_recall(index: CollectionIndex) -> float:
    """
    Recall of a new index's base against exact search, for queries near its own rows; 1.0 without a base.

    A hit is right when it is as near as the last of the exact ones: of documents with one text any may be found.
    The queries are the same for the same base: evenly chosen rows, each moved a little off its place.
    """
    if index.base is None or not len(index.base):
        return 1.0
    base, metric = index.base, index.metric
    canaries = _near(base.rows.vectors, CANARIES, metric)
    found = wanted = 0
    near = best_rows_each(base.rows.vectors, canaries, CANARY_K * LOOKED_AT, metric)
    for canary, one in zip(canaries, near, strict=True):
        exact = best_documents([(base, one)], CANARY_K)
        wanted += len(exact)
        floor = metric.as_near(exact[-1])
        found += sum(index.similarity(hit.source_id, canary) >= floor for hit in index.search(canary, CANARY_K))
    return found / wanted


def _near(vectors: Vectors, count: int, metric: Metric) -> Vectors:
    rows = np.linspace(0, len(vectors) - 1, min(count, len(vectors))).astype(np.int64)
    noise = np.random.default_rng(len(vectors)).normal(0, CANARY_NOISE, (len(rows), vectors.shape[1]))
    moved = vectors[rows] + noise * np.linalg.norm(vectors[rows], axis=1, keepdims=True)
    return np.stack([metric.prepared(one) for one in moved])


def look_far_enough(base: Base, dims: int) -> bool:
    """
    Have searches of a new base look further until its canaries find what the floor of its type asks.

    Its parameters then say how far. False where no effort is enough, and what it has over its rows is of no use.
    """
    # Nobody asks this one for a digest, which would hash every document.
    index = CollectionIndex(base, dims, base.metric, digest_term=0)
    floor = RECALL_FLOORS[base.parameters.type]
    while (recall := canary_recall(index)) < floor + MARGIN and base.look_further():
        pass
    return recall >= floor
