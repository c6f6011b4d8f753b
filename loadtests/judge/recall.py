"""Recall of an answer while documents are added to the collection.

The truth of a question is its exact ranking of the original documents. A load test adds documents and takes none away.
So an exact answer of k documents is some m originals and k - m added ones. An added document can push originals down,
but never changes their order, so the originals are the first m of the truth. With m places left to originals

    recall = |answered originals ∩ truth[:m]| / m

which is 1 for every exact answer, and plain recall@k if nothing was added. An empty place counts as a place of an
original, so a short answer loses recall. So does a place that an unknown document takes: only a document that is known
to be written counts as added.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from itertools import islice
from typing import Any

from loadtests.corpora.corpus import ADDED
from loadtests.run.documents import source_id
from loadtests.run.evidence import Ranking, WriteBatch
from service.client import ServiceError, Unanswered

# Clocks of generators on several machines differ by less.
_CLOCK_SECONDS = 1.0
_LOOKUP_SIZE = 1_000
_LOOKED_UP_MOST = 50_000


class Ledger:
    """The documents that may stand in an answer beside the corpus: written by the run, or present before it."""

    def __init__(self, seed: int, writes: Iterable[WriteBatch], present: Collection[str]) -> None:
        self._present = frozenset(present)
        self._sent_at = {
            source_id(seed, number): batch.sent_at
            for batch in writes
            for number in range(batch.first, batch.first + batch.documents)
        }

    def written(self, source_id: str, by: float | None) -> bool:
        """Return whether a document was sent by a Unix time; a write without an answer may be stored as well."""
        if source_id in self._present:
            return True
        sent_at = self._sent_at.get(source_id)
        return sent_at is not None and (by is None or sent_at <= by + _CLOCK_SECONDS)


def recall_while_growing(ranking: Ranking, k: int, written: Callable[[str], bool]) -> float | None:
    """Return the recall of an answer of at most ``k`` documents; None if added documents take all places.

    ``written`` says which of the other documents the fleet held when it answered.
    """
    added = ranking.beside + sum(map(written, ranking.others))
    places = min(k - added, ranking.places)
    if places <= 0:
        return None
    return sum(place < places for place in ranking.found) / places


def look_up(lookup: Callable[[list[str]], dict[str, Any]], source_ids: Iterable[str]) -> list[str]:
    """Return the documents of load tests and drills that the fleet holds, by the ``lookup`` of a client.

    A document without an answer counts as absent.
    """
    found: list[str] = []
    wanted = (one for one in source_ids if one.startswith(ADDED))
    left = islice(wanted, _LOOKED_UP_MOST)
    try:
        while chunk := list(islice(left, _LOOKUP_SIZE)):
            held = lookup(chunk)["documents"]
            found += [one for one in chunk if held.get(one)]
    except (ServiceError, Unanswered, KeyError, AttributeError):
        return found
    return found
