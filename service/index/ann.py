"""The one interface of the structures that find rows near a vector without looking at all of them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from service.index.part import Labels, Vectors
from service.storage.builds import IndexParameters


class Found(NamedTuple):
    """Rows and their scores by the metric, best first; fewer than asked where no more were reached."""

    rows: Labels
    scores: Vectors


def further(effort: int, most: int) -> int:
    """Half as far again, at least one further, at most as far as that."""
    return min(most, effort + max(1, -(-effort // 2)))


class Ann(Protocol):
    """
    Row i is the i-th of the vectors it was built over, which are of length one where the metric wants that.

    Built once and never added to, so that searches need no lock.
    """

    def search(self, vector: Vectors, count: int) -> Found:
        """At most `count` (at least 1, at most the rows there are) rows near `vector`, shape (dims,)."""

    def look_further(self, parameters: IndexParameters) -> IndexParameters | None:
        """
        Have searches look half as far again as with these parameters, for who builds.

        Returns the parameters that say so, None where it goes no further.
        """

    def save(self, path: Path) -> None:
        """Write it to a file that `structures.load` reads; check that file then, since not all errors are told."""
