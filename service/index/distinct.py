"""A structure over distinct vectors. Equal vectors stand in it once, and an answer brings all their rows.

Many graph nodes at one place link to one another and to nothing else. A walk that arrives there does not leave, and
never finds the rows behind.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from service.index.ann import Ann, Neighbours
from service.index.part import Labels, Vectors
from service.storage.builds import IndexParameters

HASHED_ROWS = 8_192  # hashed at once, which bounds the memory it takes


class Groups(NamedTuple):
    """Rows by distinct vector: vector i first stands in row `first[i]`, and in `rows[starts[i]:starts[i + 1]]`."""

    first: Labels
    rows: Labels
    starts: Labels

    def of(self, vector: int) -> Labels:
        return self.rows[self.starts[vector] : self.starts[vector + 1]]


def groups_of(vectors: Vectors) -> Groups | None:
    """Group equal vectors, shape (rows, dims), in the order of their first rows; return None if all differ."""
    hashes = _hashes(vectors)
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    if len(first) == len(vectors):
        return None
    if not _equal(vectors, first[inverse]):
        # Two vectors share a hash, which almost never happens: compare all their bytes.
        _, first, inverse = np.unique(_bytes(vectors), return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(first), np.int64)
    rank[order] = np.arange(len(first))
    number = rank[inverse]
    starts = np.concatenate(([0], np.cumsum(np.bincount(number, minlength=len(first)))))
    return Groups(np.sort(first).astype(np.int64), np.argsort(number, kind="stable"), starts)


def _hashes(vectors: Vectors) -> npt.NDArray[np.uint64]:
    width = -(-vectors.shape[1] // 2)
    factors = np.random.default_rng(0).integers(1, 2**63, width, dtype=np.uint64) | np.uint64(1)
    parts = [_products(vectors[at : at + HASHED_ROWS], factors) for at in range(0, len(vectors), HASHED_ROWS)]
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def _products(vectors: Vectors, factors: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Hash each row, two components at a time as one number.

    Upper halves are mixed into lower ones, or signs would cancel out.
    """
    odd = vectors.shape[1] % 2
    even = np.pad(vectors, ((0, 0), (0, odd))) if odd else np.ascontiguousarray(vectors)
    pairs = even.view(np.uint64)
    return np.asarray(((pairs ^ (pairs >> np.uint64(32))) * factors).sum(axis=1), np.uint64)


def _equal(vectors: Vectors, others: Labels) -> bool:
    """Return whether each row equals its other row."""
    return all(
        np.array_equal(vectors[at : at + HASHED_ROWS], vectors[others[at : at + HASHED_ROWS]])
        for at in range(0, len(vectors), HASHED_ROWS)
    )


def _bytes(vectors: Vectors) -> npt.NDArray[np.void]:
    whole = np.ascontiguousarray(vectors)
    return whole.view(np.dtype((np.void, whole.shape[1] * whole.itemsize))).reshape(-1)


class RowSelection:
    """Some rows of an array, read on demand instead of copied."""

    def __init__(self, vectors: Vectors, rows: Labels) -> None:
        self._vectors, self._rows = vectors, rows

    def __getitem__(self, wanted: Labels) -> Vectors:
        return np.asarray(self._vectors[self._rows[wanted]])


class DistinctVectors:
    """A structure over distinct vectors that answers with all their rows; see `ann.Ann`."""

    def __init__(self, ann: Ann, groups: Groups) -> None:
        self._ann, self._groups = ann, groups

    def search(self, vector: Vectors, count: int) -> Neighbours:
        """Of rows with equal vectors the earlier ones come first."""
        numbers, scores = self._ann.search(vector, min(count, len(self._groups.first)))
        first, end = self._groups.starts[numbers], self._groups.starts[numbers + 1]
        lengths = end - first
        if (lengths == 1).all():
            return Neighbours(self._groups.rows[first], scores)
        rows = [self._groups.of(number) for number in numbers]
        return Neighbours(np.concatenate(rows)[:count], np.repeat(scores, lengths)[:count])

    def look_further(self, parameters: IndexParameters) -> IndexParameters | None:
        return self._ann.look_further(parameters)

    def save(self, path: Path) -> None:
        self._ann.save(path)
