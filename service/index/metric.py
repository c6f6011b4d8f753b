"""How near two vectors are, by one of three metrics. Whatever the metric, a greater score is nearer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Name = Literal["cosine", "ip", "l2"]

ROUNDING = 1e-5  # two ways to one score differ by less, relative to its size
BLOCK_ROWS = 4_096  # whose differences are held at once


class Metric(NamedTuple):
    """
    `space` is hnswlib's name for it, and `score_of` makes a score of its distances; `normal` says that rows and
    questions are of length one.
    """

    name: Name
    space: Literal["ip", "l2"]
    normal: bool
    scores: Callable[[Vectors, Vectors], Vectors]
    score_of: Callable[[Vectors], Vectors]

    def prepared(self, vector: npt.NDArray[np.floating]) -> Vectors:
        """A finite vector (dims,) as rows and questions are: scaled where that is so, and then not all zeros."""
        if not self.normal:
            return np.asarray(vector, np.float32)
        # In double precision, and by the largest first, since squares of float32 may not fit into float32.
        scaled = np.asarray(vector, np.float64) / float(np.max(np.abs(vector)))
        return np.asarray(scaled / np.linalg.norm(scaled), np.float32)

    def scores_each(self, vectors: Vectors, questions: Vectors) -> Vectors:
        """The scores of rows (rows, dims) for each question (questions, dims), shape (questions, rows)."""
        if self.space == "ip":
            return np.asarray(questions @ vectors.T, np.float32)
        return np.stack([self.scores(vectors, question) for question in questions])

    def as_near(self, score: float) -> float:
        """The least score that is as near as this one, however each was computed."""
        return score - ROUNDING * (1.0 if self.normal else abs(score))


def _products(vectors: Vectors, vector: Vectors) -> Vectors:
    return np.asarray(vectors @ vector, np.float32)


def _nearness(vectors: Vectors, vector: Vectors) -> Vectors:
    """Minus the squared distances. Of differences: by norms and products what is near would be lost in rounding."""
    found = np.empty(len(vectors), np.float32)
    for at in range(0, len(vectors), BLOCK_ROWS):
        apart = vectors[at : at + BLOCK_ROWS] - vector
        np.einsum("ij,ij->i", apart, apart, out=found[at : at + BLOCK_ROWS])
    return -found


COSINE = Metric("cosine", "ip", True, _products, lambda distances: 1.0 - distances)
INNER_PRODUCT = Metric("ip", "ip", False, _products, lambda distances: 1.0 - distances)
EUCLIDEAN = Metric("l2", "l2", False, _nearness, lambda distances: -distances)
METRICS: dict[Name, Metric] = {one.name: one for one in (COSINE, INNER_PRODUCT, EUCLIDEAN)}
