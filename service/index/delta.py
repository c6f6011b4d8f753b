"""The rows written since the base: few, searched exactly, so that a write can be found as soon as it is applied."""

from __future__ import annotations

import numpy as np

from service.index.filters import Columns, Filter, Mask
from service.index.metric import Metric
from service.index.part import Nearest, Passage, Vectors, best_rows
from service.storage.shards import Record

FIRST_CAPACITY = 256
LARGE_DELTA_ROWS = 10_000
LARGE_DELTA_SHARE = 0.25
LONG_LOG_ENTRIES = 1_000
LONG_LOG_SHARE = 0.0025


def large_delta_rows(base_rows: int) -> int:
    """Rows written since a base of `base_rows` at which the next one is due though writes go on."""
    return max(LARGE_DELTA_ROWS, int(base_rows * LARGE_DELTA_SHARE))


def long_log_entries(base_rows: int) -> int:
    """Log entries since a base of `base_rows` at which the next one is due, however few rows they hold."""
    return max(LONG_LOG_ENTRIES, int(base_rows * LONG_LOG_SHARE))


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
        """Append a record's chunks; returns their row numbers."""
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
        """Leave these rows out of answers from now on."""
        self._live[rows.start : rows.stop] = False

    def source_of(self, row: int) -> str:
        """The document that a row belongs to."""
        return self._owners[row][0].source_id

    def passage(self, row: int) -> Passage:
        """What a row says."""
        record, ordinal = self._owners[row]
        return Passage(record.title, record.chunks[ordinal], record.metadata)

    def vectors_of(self, rows: range) -> Vectors:
        """The vectors of some rows, shape (rows, dims)."""
        return self._vectors[rows.start : rows.stop]

    def records(self) -> list[Record]:
        """The records whose rows are live, in the order they were written."""
        return [record for row, (record, ordinal) in enumerate(self._owners) if ordinal == 0 and self._live[row]]

    def matching(self, wanted: Filter | None) -> Mask:
        """The live rows that a filter lets through."""
        live = self._live[: len(self._owners)]
        if wanted is None:
            return live
        if self._columns is None:
            self._columns = Columns((record.metadata for record, _ in self._owners), len(self._owners))
        return live & self._columns.matching(wanted)

    def search(self, vector: Vectors, count: int, among: Mask) -> Nearest:
        """The `count` rows of `among` with the greatest scores for `vector` (dims,)."""
        return best_rows(self._vectors[: len(self._owners)], among, vector, count, self._metric)

    search_exactly = search
