"""From a time to a position: which documents entry was the newest at a moment, by the store's clock alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from service.storage.collections import registry_of
from service.storage.log import Log, tail_of


class Moment(NamedTuple):
    """One entry of the documents log: its position, when it was written, and how many documents it holds."""

    position: int
    written_at: datetime
    documents: int


class Resolved(NamedTuple):
    """
    A time as a position: the newest entry written at that time or before; 0 before the first.

    `around` are the entries beside it, in order, for a person to see that it is the right one.
    """

    position: int
    head: int
    around: tuple[Moment, ...]


def position_at(log: Log, at: datetime, neighbours: int = 2) -> Resolved:
    """
    The documents position at a time with a zone, found by halving: stamps never decrease along a log.

    Raises StoreError where the store does not answer, and Damaged for an entry on the way that is not what was written.
    """
    at_ms = at.timestamp() * 1000
    head = log.tail().number
    low, high = 0, head + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if tail_of(log.read(middle)).stamp_ms <= at_ms else (low, middle)
    around = range(max(1, low - neighbours), min(head, low + neighbours) + 1)
    return Resolved(low, head, tuple(_moment(log, number) for number in around))


def _moment(log: Log, number: int) -> Moment:
    entry = log.read(number)
    written_at = datetime.fromtimestamp(entry.header.stamp_ms / 1000, UTC)
    changes_collections = registry_of(entry) is not None
    return Moment(number, written_at, 0 if changes_collections else entry.rows.num_rows)
