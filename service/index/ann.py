"""The interface of structures that find rows near a vector without looking at all of them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from service.index.part import Labels, Vectors
from service.storage.builds import IndexParameters


class Neighbours(NamedTuple):
    """Rows and their scores by the metric, best first; fewer than wanted if no more were reached."""

    rows: Labels
    scores: Vectors


def further(effort: int, most: int) -> int:
    """Return half as much effort again, at least 1 more and at most `most`."""
    return min(most, effort + max(1, -(-effort // 2)))


class Ann(Protocol):
    """A structure over vectors. Row i is the i-th vector it was built over, of unit length if the metric wants that.

    It is built once and never added to, so searches need no lock.
    """

    def search(self, vector: Vectors, count: int) -> Neighbours:
        """Return at most `count` rows (1 to the number of rows) near `vector`, shape (dims,)."""

    def look_further(self, parameters: IndexParameters) -> IndexParameters | None:
        """Make searches look half as far again as with these parameters.

        Only builders call it. Return the new parameters, or None if it can go no further.
        """

    def save(self, path: Path) -> None:
        """Write a file that `structures.load` reads. Check it afterwards: not every write error is reported."""
