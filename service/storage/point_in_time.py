"""The documents position at a point in time, by the store's clock alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from service.storage.log import Log, tail_of


class Moment(NamedTuple):
    """One entry of the documents log: its position, when it was written, and how many documents it holds."""

    position: int
    written_at: datetime
    documents: int


class ResolvedTime(NamedTuple):
    """A time as a position: the newest entry written at that time or before, 0 before the first.

    `around` are the neighbouring entries, in order, for a person to check the result.
    """

    position: int
    head: int
    around: tuple[Moment, ...]


def position_at(log: Log, at: datetime, neighbours: int = 2) -> ResolvedTime:
    """Return the documents position at a time with a zone, by binary search: stamps never decrease along a log.

    Raise StoreError if the store does not answer, and Damaged if an entry on the way is damaged.
    """
    at_ms = at.timestamp() * 1000
    head = log.tail().number
    low, high = 0, head + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if tail_of(log.read(middle)).stamp_ms <= at_ms else (low, middle)
    around = range(max(1, low - neighbours), min(head, low + neighbours) + 1)
    return ResolvedTime(low, head, tuple(_moment(log, number) for number in around))


def _moment(log: Log, number: int) -> Moment:
    entry = log.read(number)
    written_at = datetime.fromtimestamp(entry.header.stamp_ms / 1000, UTC)
    no_documents = number in (entry.header.collections, entry.header.voids)
    return Moment(number, written_at, 0 if no_documents else entry.rows.num_rows)
