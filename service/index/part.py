"""What a shard's index is made of: parts that hold some of its rows and are searched beside one another."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


class Nearest(NamedTuple):
    """
    Rows near a query, best first, with their cosine similarities.

    No live row above `floor` was left out; it is -inf where none was left out at all.
    """

    rows: Labels
    scores: Vectors
    floor: float


class Passage(NamedTuple):
    """What a row says, and of which document."""

    source_id: str
    title: str
    text: str


class Part(Protocol):
    """Rows numbered from 0. Those of replaced and deleted documents stay, dead, and answers leave them out."""

    def __len__(self) -> int:
        """Rows, dead ones included."""

    def search(self, vector: Vectors, count: int) -> Nearest:
        """Live rows near `vector` (dims,), as fast as the part can."""

    def search_exactly(self, vector: Vectors, count: int) -> Nearest:
        """The `count` live rows with the largest cosine similarity."""

    def kill(self, rows: range) -> None:
        """Leave these rows out of answers from now on."""

    def passage(self, row: int) -> Passage:
        """What a row says."""

    def vectors_of(self, rows: range) -> Vectors:
        """The vectors of some rows, shape (rows, dims)."""


NOTHING = Nearest(np.empty(0, np.int64), np.empty(0, np.float32), -np.inf)


def best_rows(vectors: Vectors, live: npt.NDArray[np.bool_], vector: Vectors, count: int) -> Nearest:
    """The `count` rows of `vectors` (rows, dims) with the largest inner product, among the live ones."""
    all_live = int(live.sum())
    count = min(count, all_live)
    if count == 0:
        return NOTHING
    scores = np.where(live, vectors @ vector, -np.inf).astype(np.float32)
    top = np.argpartition(-scores, count - 1)[:count]
    top = top[np.argsort(-scores[top], kind="stable")]
    floor = float(scores[top[-1]]) if count < all_live else -np.inf
    return Nearest(top.astype(np.int64), scores[top], floor)
