"""The one interface of the structures that find rows near a vector without looking at all of them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from service.index.part import Labels, Vectors


class Found(NamedTuple):
    """Rows and their scores by the metric, best first; fewer than asked where no more were reached."""

    rows: Labels
    scores: Vectors


def further(effort: int) -> int:
    """Half as far again."""
    return effort + -(-effort // 2)


class Ann(Protocol):
    """
    Row i is the i-th of the vectors it was built over, which are of length one where the metric wants that.

    Built once and never added to, so that searches need no lock.
    """

    def search(self, vector: Vectors, count: int) -> Found:
        """At most `count` (at least 1, at most the rows there are) rows near `vector`, shape (dims,)."""

    def look_further(self) -> int:
        """Have searches look half as far again, for who builds; returns how far that is, 0 where it is no further."""

    def save(self, path: Path) -> None:
        """Write it to a file that `structures.load` reads; check that file then, since not all errors are told."""
