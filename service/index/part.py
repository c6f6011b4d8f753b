"""The parts of a shard's index. Each holds some of the rows, and all are searched."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from service.index.filters import Filter, Mask
from service.index.metric import Metric

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


class Nearest(NamedTuple):
    """Rows near a query, best first, with their scores by the metric.

    No live row above `floor` was left out. It is -inf if no row was left out at all.
    """

    rows: Labels
    scores: Vectors
    floor: float


class Passage(NamedTuple):
    """A row's text; `metadata` is its document's, as canonical JSON."""

    title: str
    text: str
    metadata: str


class Part(Protocol):
    """Rows numbered from 0. Rows of replaced and deleted documents stay, dead, and answers leave them out."""

    def __len__(self) -> int:
        """Return the number of rows, dead ones included."""

    def search(self, vector: Vectors, count: int, among: Mask) -> Nearest:
        """Return rows of `among` near `vector` (dims,), as fast as the part can."""

    def search_exactly(self, vector: Vectors, count: int, among: Mask) -> Nearest:
        """Return the `count` rows of `among` with the greatest scores, by looking at all of them."""

    def matching(self, wanted: Filter | None) -> Mask:
        """Return a mask of the live rows that a filter accepts, or of all live rows without one; shape (rows,)."""

    def kill(self, rows: range) -> None:
        """Leave these rows out of answers from now on."""

    def source_of(self, row: int) -> str:
        """Return the source_id of a row's document."""

    def passage(self, row: int) -> Passage:
        """..."""

    def vectors_of(self, rows: range) -> Vectors:
        """Return the vectors of some rows, shape (rows, dims)."""


GATHERED_SHARE = 0.5
SCANNED_ROWS = 16_384  # scored at once for several queries, which bounds the memory it takes
NOTHING = Nearest(np.empty(0, np.int64), np.empty(0, np.float32), -np.inf)


def best_rows(vectors: Vectors, among: Mask, vector: Vectors, count: int, metric: Metric) -> Nearest:
    """Return the `count` rows of `vectors` (rows, dims) with the greatest scores, among those of a mask."""
    # A copy, because rows may die while this runs in a thread, and numpy counts them before it lists them.
    chosen = np.flatnonzero(among.copy())
    count = min(count, len(chosen))
    if count == 0:
        return NOTHING
    # Few rows are gathered first; of many it is cheaper to skip the other rows' scores.
    few = len(chosen) < GATHERED_SHARE * len(among)
    scores = metric.scores(vectors[chosen], vector) if few else metric.scores(vectors, vector)[chosen]
    top = np.argpartition(-scores, count - 1)[:count]
    top = top[np.argsort(-scores[top], kind="stable")]
    floor = float(scores[top[-1]]) if count < len(chosen) else -np.inf
    return Nearest(chosen[top], scores[top], floor)


def best_rows_each(vectors: Vectors, questions: Vectors, count: int, metric: Metric) -> list[Nearest]:
    """Return `best_rows` among all rows for each of several queries (queries, dims), reading each row once."""
    rows = np.empty((len(questions), 0), np.int64)
    scores = np.empty((len(questions), 0), np.float32)
    for at in range(0, len(vectors), SCANNED_ROWS):
        block = metric.scores_each(vectors[at : at + SCANNED_ROWS], questions)
        numbers = np.broadcast_to(np.arange(at, at + block.shape[1]), block.shape)
        rows, scores = np.hstack([rows, numbers]), np.hstack([scores, block])
        if scores.shape[1] > count:
            top = np.argpartition(-scores, count - 1, axis=1)[:, :count]
            rows, scores = np.take_along_axis(rows, top, axis=1), np.take_along_axis(scores, top, axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")
    rows, scores = np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)
    left_out = len(vectors) > count
    return [Nearest(r, s, float(s[-1]) if left_out else -np.inf) for r, s in zip(rows, scores, strict=True)]
