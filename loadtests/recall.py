"""Recall of an answer while the collection keeps growing.

The truth of a question is its exact ranking over the original documents. While a load test runs, documents
are added and none is taken away, so an exact answer of k documents is some m original ones and k - m added
ones, and the originals among them are exactly the first m of the truth: an added document can push originals
down, but never changes their order and never pulls one up. So with m places left to originals

    recall = |answered originals ∩ truth[:m]| / m

which is 1 for every exact answer whatever was added, and plain recall@k when nothing was. A place that the
answer leaves empty counts as a place of an original, so a short answer loses recall instead of hiding what it
misses.
"""

from __future__ import annotations

from collections.abc import Sequence

# What load tests, drills and probes write; none of it belongs to a corpus, even to one whose ids begin alike.
ADDED = ("load/", "vectorfleet/canary/")


def recall_while_growing(answer: Sequence[str], truth: Sequence[str], k: int, prefix: str) -> float | None:
    """Recall of ``answer`` (source ids, at most ``k``) against ``truth`` (original source ids, best first).

    ``prefix`` says which ids are original. None when added documents take all places, so nothing can be
    said.
    """
    originals = [source_id for source_id in answer[:k] if is_original(source_id, prefix)]
    added = len(answer[:k]) - len(originals)
    places = min(k - added, len(truth))
    if places <= 0:
        return None
    return len(set(originals) & set(truth[:places])) / places


def is_original(source_id: str, prefix: str) -> bool:
    """Whether a document is of the corpus whose source_ids begin with ``prefix``, which may be empty."""
    return source_id.startswith(prefix) and not source_id.startswith(ADDED)
