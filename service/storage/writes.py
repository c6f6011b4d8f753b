"""Writes of documents without their contents: all that decides which of them counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from service.storage.documents import ANY_POSITION, Place
from service.storage.log import Log
from service.storage.sources import READS_AT_ONCE, Source, batches


class Write(NamedTuple):
    """A write or deletion of a source at a place; a `rejected` one changes nothing."""

    place: Place
    source: Source
    delete: bool
    rejected: bool
    if_position: int


def last_of(writes: Iterable[Write]) -> Write | None:
    """Return the write of one source that holds after all of them, in the order of their places; None if deleted."""
    held: Write | None = None
    for write in writes:
        position = 0 if held is None else held.place.position
        if not write.rejected and write.if_position in (ANY_POSITION, position):
            held = None if write.delete else write
    return held


def settles(write: Write) -> bool:
    """Return whether earlier writes of the source have no influence any more."""
    return not write.rejected and write.if_position == ANY_POSITION


def documents_reader(log: Log) -> Callable[[Sequence[int]], Iterator[Write]]:
    """Return a function that yields the writes at some positions of the documents log.

    Only indexers know which of them are rejected.
    """

    def written_at(position: int) -> list[Write]:
        entry = log.read(position)
        if position in (entry.header.collections, entry.header.voids):
            return []
        names = ("collection", "source_id", "delete", "if_position")
        rows = zip(*(entry.rows.column(name).to_pylist() for name in names), strict=True)
        return [
            Write(Place(position, item), Source(collection, source_id), delete, False, if_position)
            for item, (collection, source_id, delete, if_position) in enumerate(rows)
        ]

    def read(positions: Sequence[int]) -> Iterator[Write]:
        with ThreadPoolExecutor(READS_AT_ONCE) as pool:
            for batch in batches(positions):
                for writes in pool.map(written_at, batch):
                    yield from writes

    return read
