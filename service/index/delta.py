"""Rows written since the base: few, and searched exactly, so a write can be found as soon as it is applied."""

from __future__ import annotations

import numpy as np

from service.index.filters import Columns, Filter, Mask
from service.index.metric import Metric
from service.index.part import Nearest, Passage, Vectors, best_rows
from service.storage.shards import Record

FIRST_CAPACITY = 256


class Delta:
    """Chunks in the order they were written. Rows of replaced documents stay, dead, until the next base."""

    def __init__(self, dims: int, metric: Metric) -> None:
        self._metric = metric
        self._vectors = np.empty((FIRST_CAPACITY, dims), np.float32)
        self._live = np.zeros(FIRST_CAPACITY, dtype=bool)
        self._owners: list[tuple[Record, int]] = []
        self._columns: Columns | None = None

    def __len__(self) -> int:
        return len(self._owners)

    def add(self, record: Record) -> range:
        """Append a record's chunks and return their row numbers."""
        first, end = len(self._owners), len(self._owners) + len(record.chunks)
        self._grow(end)
        self._vectors[first:end] = record.vectors
        self._live[first:end] = True
        self._owners.extend((record, ordinal) for ordinal in range(len(record.chunks)))
        self._columns = None
        return range(first, end)

    def _grow(self, needed: int) -> None:
        capacity = len(self._live)
        if needed <= capacity:
            return
        capacity = max(needed, capacity * 2)
        vectors = np.empty((capacity, self._vectors.shape[1]), np.float32)
        vectors[: len(self._owners)] = self._vectors[: len(self._owners)]
        live = np.zeros(capacity, dtype=bool)
        live[: len(self._owners)] = self._live[: len(self._owners)]
        self._vectors, self._live = vectors, live

    def kill(self, rows: range) -> None:
        self._live[rows.start : rows.stop] = False

    def source_of(self, row: int) -> str:
        return self._owners[row][0].source_id

    def passage(self, row: int) -> Passage:
        record, ordinal = self._owners[row]
        return Passage(record.title, record.chunks[ordinal], record.metadata)

    def vectors_of(self, rows: range) -> Vectors:
        return self._vectors[rows.start : rows.stop]

    def records(self) -> list[Record]:
        """Return the records whose rows are live, in the order they were written."""
        return [record for row, (record, ordinal) in enumerate(self._owners) if ordinal == 0 and self._live[row]]

    def matching(self, wanted: Filter | None) -> Mask:
        live = self._live[: len(self._owners)]
        if wanted is None:
            return live
        if self._columns is None:
            self._columns = Columns((record.metadata for record, _ in self._owners), len(self._owners))
        return live & self._columns.matching(wanted)

    def search(self, vector: Vectors, count: int, among: Mask) -> Nearest:
        return best_rows(self._vectors[: len(self._owners)], among, vector, count, self._metric)

    search_exactly = search
