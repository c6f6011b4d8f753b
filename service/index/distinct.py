"""
Equal vectors stand once in a structure, and an answer brings all their rows.

Many nodes of a graph in one place are linked to one another and to nothing else: a walk that arrives there does not
leave it, and what lies behind is never found.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from service.index.ann import Ann, Found
from service.index.part import Labels, Vectors
from service.storage.builds import IndexParameters

HASHED_ROWS = 8_192  # at once, which bounds the memory that hashing takes


class Groups(NamedTuple):
    """Rows by distinct vector: vector i stands first in row `first[i]`, and in `rows[starts[i]:starts[i + 1]]`."""

    first: Labels
    rows: Labels
    starts: Labels

    def of(self, vector: int) -> Labels:
        """The rows that have the vector of this number."""
        return self.rows[self.starts[vector] : self.starts[vector + 1]]


def groups_of(vectors: Vectors) -> Groups | None:
    """The groups of equal vectors, shape (rows, dims), in the order of their first rows; None where all differ."""
    hashes = _hashes(vectors)
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    if len(first) == len(vectors):
        return None
    if not _equal(vectors, first[inverse]):
        # Two vectors with one hash: as good as never, and then told apart by all their bytes.
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
    """Two components at a time as one number; their upper halves count in the lower ones, or signs would cancel out."""
    odd = vectors.shape[1] % 2
    even = np.pad(vectors, ((0, 0), (0, odd))) if odd else np.ascontiguousarray(vectors)
    pairs = even.view(np.uint64)
    return np.asarray(((pairs ^ (pairs >> np.uint64(32))) * factors).sum(axis=1), np.uint64)


def _equal(vectors: Vectors, others: Labels) -> bool:
    """Whether each row has the very vector of its other row."""
    return all(
        np.array_equal(vectors[at : at + HASHED_ROWS], vectors[others[at : at + HASHED_ROWS]])
        for at in range(0, len(vectors), HASHED_ROWS)
    )


def _bytes(vectors: Vectors) -> npt.NDArray[np.void]:
    whole = np.ascontiguousarray(vectors)
    return whole.view(np.dtype((np.void, whole.shape[1] * whole.itemsize))).reshape(-1)


class Chosen:
    """Some rows of an array, without a copy of them: what it is asked for it takes from there."""

    def __init__(self, vectors: Vectors, rows: Labels) -> None:
        self._vectors, self._rows = vectors, rows

    def __getitem__(self, wanted: Labels) -> Vectors:
        return np.asarray(self._vectors[self._rows[wanted]])


class Distinct:
    """A structure over distinct vectors that answers with all the rows that have them; see `ann.Ann`."""

    def __init__(self, ann: Ann, groups: Groups) -> None:
        self._ann, self._groups = ann, groups

    def search(self, vector: Vectors, count: int) -> Found:
        """See `Ann.search`; of rows with equal vectors the earlier ones come first."""
        numbers, scores = self._ann.search(vector, min(count, len(self._groups.first)))
        first, end = self._groups.starts[numbers], self._groups.starts[numbers + 1]
        lengths = end - first
        if (lengths == 1).all():
            return Found(self._groups.rows[first], scores)
        rows = [self._groups.of(number) for number in numbers]
        return Found(np.concatenate(rows)[:count], np.repeat(scores, lengths)[:count])

    def look_further(self, parameters: IndexParameters) -> IndexParameters | None:
        """See `Ann.look_further`."""
        return self._ann.look_further(parameters)

    def save(self, path: Path) -> None:
        """See `Ann.save`."""
        self._ann.save(path)
