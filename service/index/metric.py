"""Three metrics of nearness. A greater score is always nearer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Name = Literal["cosine", "ip", "l2"]

ROUNDING = 1e-5  # relative difference allowed between two ways to compute one score
BLOCK_ROWS = 4_096  # rows whose differences are held at once


class Metric(NamedTuple):
    """A metric. `space` is hnswlib's name for it, and `score_of` turns hnswlib's distances into scores.

    `normal` says that rows and queries have unit length.
    """

    name: Name
    space: Literal["ip", "l2"]
    normal: bool
    scores: Callable[[Vectors, Vectors], Vectors]
    score_of: Callable[[Vectors], Vectors]

    def prepared(self, vector: npt.NDArray[np.floating]) -> Vectors:
        """Return a finite vector (dims,) as rows and queries are stored: scaled to unit length if the metric is normal.

        A vector to scale must not be all zeros.
        """
        if not self.normal:
            return np.asarray(vector, np.float32)
        # In double precision and by the largest component first: squares of float32 may overflow float32.
        scaled = np.asarray(vector, np.float64) / float(np.max(np.abs(vector)))
        return np.asarray(scaled / np.linalg.norm(scaled), np.float32)

    def scores_each(self, vectors: Vectors, questions: Vectors) -> Vectors:
        """Return the scores of rows (rows, dims) for each query (queries, dims), shape (queries, rows)."""
        if self.space == "ip":
            return np.asarray(questions @ vectors.T, np.float32)
        return np.stack([self.scores(vectors, question) for question in questions])

    def as_near(self, score: float) -> float:
        """Return the least score that counts as near as this one, however each was computed."""
        return score - ROUNDING * (1.0 if self.normal else abs(score))


def _products(vectors: Vectors, vector: Vectors) -> Vectors:
    return np.asarray(vectors @ vector, np.float32)


def _nearness(vectors: Vectors, vector: Vectors) -> Vectors:
    """Return minus the squared distances.

    They are sums of squared differences: norms and products would lose small distances to rounding.
    """
    found = np.empty(len(vectors), np.float32)
    for at in range(0, len(vectors), BLOCK_ROWS):
        apart = vectors[at : at + BLOCK_ROWS] - vector
        np.einsum("ij,ij->i", apart, apart, out=found[at : at + BLOCK_ROWS])
    return -found


COSINE = Metric("cosine", "ip", True, _products, lambda distances: 1.0 - distances)
INNER_PRODUCT = Metric("ip", "ip", False, _products, lambda distances: 1.0 - distances)
EUCLIDEAN = Metric("l2", "l2", False, _nearness, lambda distances: -distances)
METRICS: dict[Name, Metric] = {one.name: one for one in (COSINE, INNER_PRODUCT, EUCLIDEAN)}
