"""Exact search without a structure: every search looks at every row."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from service.index.ann import Neighbours
from service.index.metric import Metric
from service.index.part import Vectors
from service.storage.builds import IndexParameters


class Flat:
    """A search over all rows. It needs no file: the rows are the index."""

    def __init__(self, vectors: Vectors, metric: Metric) -> None:
        self._vectors, self._metric = vectors, metric

    def search(self, vector: Vectors, count: int) -> Neighbours:
        """Return exactly the nearest rows, and never fewer than wanted."""
        scores = self._metric.scores(self._vectors, vector)
        top = np.argpartition(-scores, count - 1)[:count]
        top = top[np.argsort(-scores[top], kind="stable")]
        return Neighbours(top.astype(np.int64), scores[top])

    def look_further(self, _: IndexParameters) -> None:
        """Return None: every search looks at all rows already."""

    def save(self, path: Path) -> None:
        """Write nothing."""
