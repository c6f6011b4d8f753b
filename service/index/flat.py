"""Flat: no structure at all; every search looks at every row."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from service.index.ann import Found
from service.index.metric import Metric
from service.index.part import Vectors
from service.storage.builds import IndexParameters


class Flat:
    """Exact, and as slow as there are rows. It needs no file: the rows are the index."""

    def __init__(self, vectors: Vectors, metric: Metric) -> None:
        self._vectors, self._metric = vectors, metric

    def search(self, vector: Vectors, count: int) -> Found:
        """See `Ann.search`; never fewer, and never another than the nearest."""
        scores = self._metric.scores(self._vectors, vector)
        top = np.argpartition(-scores, count - 1)[:count]
        top = top[np.argsort(-scores[top], kind="stable")]
        return Found(top.astype(np.int64), scores[top])

    def look_further(self, _: IndexParameters) -> None:
        """See `Ann.look_further`: it has looked at everything."""

    def save(self, path: Path) -> None:
        """Nothing is written."""
