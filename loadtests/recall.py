"""Recall of an answer while the collection keeps growing.

The truth of a question is its exact ranking over the original documents. While a load test runs, documents
are added and none is taken away, so an exact answer of k documents is some m original ones and k - m added
ones, and the originals among them are exactly the first m of the truth: an added document can push originals
down, but never changes their order and never pulls one up. So with m places left to originals

    recall = |answered originals ∩ truth[:m]| / m

which is 1 for every exact answer whatever was added, and plain recall@k when nothing was. A place that the
answer leaves empty counts as a place of an original, so a short answer loses recall instead of hiding what it
misses. So does a place that is taken by a document of unknown origin: only what is known to be written counts
as added.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

# What load tests, drills and probes write; none of it belongs to a corpus, even to one whose ids begin alike.
ADDED = ("load/", "vectorfleet/canary/")


@dataclass(frozen=True)
class Ranking:
    """An answer held against the truth of its question.

    ``found`` are the places in the truth of the true documents that the answer has, out of ``places``. The exact
    answer had ``beside`` of the others too when the truth was made; ``others`` are left to be explained.
    """

    places: int
    found: tuple[int, ...]
    beside: int = 0
    others: tuple[str, ...] = ()


def rank(answer: Sequence[str], truth: Sequence[str], k: int, prefix: str, beside: Collection[str] = ()) -> Ranking:
    """Hold ``answer`` (source ids, best first) against ``truth`` (original source ids, best first).

    ``prefix`` says which ids are original; ``beside`` are the others that the exact answer had.
    """
    answered = dict.fromkeys(answer[:k])
    found = tuple(place for place, source_id in enumerate(truth[:k]) if source_id in answered)
    others = [source_id for source_id in answered if not is_original(source_id, prefix)]
    unexplained = tuple(source_id for source_id in others if source_id not in beside)
    return Ranking(len(truth[:k]), found, len(others) - len(unexplained), unexplained)


def recall_while_growing(ranking: Ranking, k: int, written: Callable[[str], bool]) -> float | None:
    """Recall of an answer of at most ``k`` documents; ``written`` says which others were there when it was given.

    None when added documents take all places, so nothing can be said.
    """
    added = ranking.beside + sum(map(written, ranking.others))
    places = min(k - added, ranking.places)
    if places <= 0:
        return None
    return sum(place < places for place in ranking.found) / places


def is_original(source_id: str, prefix: str) -> bool:
    """Whether a document is of the corpus whose source_ids begin with ``prefix``, which may be empty."""
    return source_id.startswith(prefix) and not source_id.startswith(ADDED)
