"""Earlier writes of a shard, read from its log: whether each was rejected, and its chunks and vectors.

The shard log tells them as they were indexed, so a repair calls no model, and every indexer makes the same one.
"""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from service.storage.documents import ANY_POSITION, Place
from service.storage.entry import Entry
from service.storage.log import Log, Tail
from service.storage.repair import Change
from service.storage.shards import Record, from_entry
from service.storage.sources import READS_AT_ONCE, Source, batches
from service.storage.writes import Write

T = TypeVar("T")
PART_POSITIONS = 8  # read by one thread, which knows the entry that it read before
COLUMNS = ("position", "item", "collection", "source_id", "rejected", "if_position", "registry", "repaired_at")


class _Start(NamedTuple):
    """The documents position at which an entry of the shard log begins."""

    position: int
    number: int


class ShardWrites:
    """The writes in a shard log up to its `tail`, and in `held` records, which are to be appended next."""

    def __init__(self, log: Log, tail: Tail, held: Sequence[Record] = ()) -> None:
        self._log, self._held = log, held
        self._end = tail.end
        self._starts = [_Start(1, 1), _Start(tail.end, tail.number + 1)]
        self._learning = threading.Lock()

    def read(self, positions: Sequence[int]) -> Iterator[Write]:
        """Yield the writes at some documents positions, in any order; raise StoreError and Damaged."""
        wanted = set(positions)
        yield from (_write_of(one) for one in self._held if _is_write(one) and one.position in wanted)
        yield from (write for write in self._taken(positions, _writes_in) if write.place.position in wanted)

    def entries(self, positions: Sequence[int]) -> Iterator[Entry]:
        """Yield the entries that cover some documents positions, in any order; raise StoreError and Damaged."""
        return self._taken(positions, lambda entry: [entry])

    def records(self, changes: Sequence[Change], position: int) -> list[Record]:
        """Return the records that a void at a position makes: each document as it was last written, or its deletion."""
        wanted = {change.after.place for change in changes if change.after is not None}
        positions = sorted({place.position for place in wanted})
        found = {Place(one.position, one.item): one for one in self._held if _is_write(one)}
        for record in self._taken(positions, lambda entry: _records_at(entry, wanted)):
            found[Place(record.position, record.item)] = record
        return [
            _deletion(change.source, position)
            if change.after is None
            else msgspec.structs.replace(found[change.after.place], if_position=ANY_POSITION, repaired_at=position)
            for change in changes
        ]

    def _taken(self, positions: Sequence[int], take: Callable[[Entry], list[T]]) -> Iterator[T]:
        """Yield what `take` returns of each entry that covers one of the positions."""
        covered = [position for position in positions if position < self._end]
        parts = (covered[first : first + PART_POSITIONS] for first in range(0, len(covered), PART_POSITIONS))
        seen: set[int] = set()
        with ThreadPoolExecutor(READS_AT_ONCE) as pool:
            for batch in batches(parts):
                for number, taken in (one for part in pool.map(partial(self._taken_of, take), batch) for one in part):
                    if number not in seen:
                        seen.add(number)
                        yield from taken

    def _taken_of(self, take: Callable[[Entry], list[T]], positions: Sequence[int]) -> list[tuple[int, list[T]]]:
        """Read in a thread, and keep no entry: one may be large."""
        found: list[tuple[int, list[T]]] = []
        covered = range(0)
        for position in positions:
            if position not in covered:
                entry = self._at(position)
                found.append((entry.header.number, take(entry)))
                covered = range(entry.header.start, entry.header.end)
        return found

    def _at(self, position: int) -> Entry:
        """Return the entry that covers a documents position: guess by proportion, and halve the rest, in turn."""
        guesses = False
        while True:
            with self._learning:
                behind = bisect_right(self._starts, _Start(position, self._starts[-1].number))
                low, high = self._starts[behind - 1], self._starts[behind]
            guesses = not guesses
            share = (position - low.position) / (high.position - low.position) if guesses else 0.5
            entry = self._log.read(low.number + int((high.number - low.number) * share))
            if entry.header.start <= position < entry.header.end:
                return entry
            self._learn(entry)

    def _learn(self, entry: Entry) -> None:
        """Note where an entry and the one after it begin."""
        header = entry.header
        with self._learning:
            for start in (_Start(header.start, header.number), _Start(header.end, header.number + 1)):
                if start not in self._starts:
                    insort(self._starts, start)


def _is_write(record: Record) -> bool:
    return not record.repaired_at and not record.registry


def _write_of(record: Record) -> Write:
    source = Source(record.collection, record.source_id)
    return _write(record.position, record.item, source, len(record.chunks), record.rejected, record.if_position)


def _write(position: int, item: int, source: Source, chunks: int, rejected: str, if_position: int) -> Write:
    delete = not chunks and not rejected
    return Write(Place(position, item), source, delete, bool(rejected), if_position)


def _writes_in(entry: Entry) -> list[Write]:
    """Return the writes of an entry. Its repairs are none, and changes of the collections neither."""
    rows = entry.rows
    chunks = pc.list_value_length(rows.column("chunks")).to_pylist()
    plain = (rows.column(name).to_pylist() for name in COLUMNS)
    return [
        _write(position, item, Source(collection, source_id), count, rejected, condition)
        for count, position, item, collection, source_id, rejected, condition, registry, repaired_at in zip(
            chunks, *plain, strict=True
        )
        if not registry and not repaired_at
    ]


def _records_at(entry: Entry, wanted: Set[Place]) -> list[Record]:
    """Return the records of an entry that were written at some places, decoding no others."""
    places = zip(*(entry.rows.column(name).to_pylist() for name in ("position", "item", "repaired_at")), strict=True)
    chosen = [row for row, (position, item, at) in enumerate(places) if not at and Place(position, item) in wanted]
    return list(from_entry(Entry(entry.header, entry.rows.take(pa.array(chosen))))) if chosen else []


def _deletion(source: Source, position: int) -> Record:
    return Record(
        position=position,
        item=0,
        source_id=source.source_id,
        title="",
        content_hash=b"",
        chunks=[],
        vectors=np.empty((0, 0), np.float32),
        collection=source.collection,
        repaired_at=position,
    )
