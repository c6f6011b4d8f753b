"""The documents that may stand in an answer beside the corpus: those the load wrote, and those found by a look-up."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Any, Protocol

from loadtests.evidence import WriteBatch
from loadtests.recall import ADDED
from loadtests.writer import source_id
from service.client import ServiceError, Unanswered

# Clocks of generators on several machines differ by less.
_CLOCK_SECONDS = 1.0
_LOOKUP_SIZE = 1_000
_LOOKED_UP_MOST = 50_000


class Ledger:
    """Says which documents were written when an answer was given."""

    def __init__(self, seed: int, writes: Iterable[WriteBatch], present: Collection[str]) -> None:
        """Take the batches of one run, and ``present``: ids that the fleet is known to have held all the time."""
        self._present = frozenset(present)
        self._sent_at = {
            source_id(seed, number): batch.sent_at
            for batch in writes
            for number in range(batch.first, batch.first + batch.documents)
        }

    def written(self, source_id: str, by: float | None) -> bool:
        """Say whether the document was sent at Unix time ``by``, as a write without an answer may be stored as well."""
        if source_id in self._present:
            return True
        sent_at = self._sent_at.get(source_id)
        return sent_at is not None and (by is None or sent_at <= by + _CLOCK_SECONDS)


class Directory(Protocol):
    """Whatever can look documents up, such as the service's client."""

    def lookup(self, source_ids: Sequence[str]) -> dict[str, Any]:
        """A reply with ``documents``: a place or None for each id."""


def look_up(client: Directory, source_ids: Iterable[str]) -> list[str]:
    """Find out which documents the fleet holds. Those that can't be looked up are taken for absent.

    Ids outside the prefixes of load tests and drills are left out: a corpus is known by its truth.
    """
    found: list[str] = []
    wanted = (one for one in source_ids if one.startswith(ADDED))
    left = islice(wanted, _LOOKED_UP_MOST)
    try:
        while chunk := list(islice(left, _LOOKUP_SIZE)):
            held = client.lookup(chunk)["documents"]
            found += [one for one in chunk if held.get(one)]
    except (ServiceError, Unanswered, KeyError, AttributeError):
        return found
    return found
