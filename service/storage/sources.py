"""The positions at which given documents were written. Blocks of them are stored beside the documents log.

A process that looks for a document's earlier writes so reads a few blocks instead of the whole log. Blocks are a cache:
entries that no block covers are read themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from service.storage.blocks import Blocks
from service.storage.collections import salt_of
from service.storage.documents import documents_log
from service.storage.entry import Entry
from service.storage.objects import ObjectStore

PREFIX = "sources/"
SCHEMA = pa.schema([("source", pa.uint64()), ("position", pa.int64())])
BLOCK_ENTRIES = 2_048
READS_AT_ONCE = 16

T = TypeVar("T")
Hashes = npt.NDArray[np.uint64]


class Source(NamedTuple):
    """A document of a collection, whichever of its writes counts."""

    collection: int
    source_id: str


class WrittenAt(NamedTuple):
    """The hashes of sources, and the position of a write of each."""

    sources: Hashes
    positions: npt.NDArray[np.int64]


class Unsealed(NamedTuple):
    """The hashes of each entry from `start` on, of which no block is made yet."""

    start: int
    written: Sequence[Hashes]


def hash_of(source: Source) -> int:
    """Return the hash under which a source is kept. Two sources may share one."""
    name, salt = source.source_id.encode(), salt_of(source.collection)
    return int.from_bytes(hashlib.blake2b(name, digest_size=8, salt=salt).digest(), "big")


def hashes_of(entry: Entry) -> Hashes:
    """Return the hashes of an entry of the documents log, item by item."""
    columns = (entry.rows.column(name).to_pylist() for name in Source._fields)
    return np.array([hash_of(Source(*values)) for values in zip(*columns, strict=True)], np.uint64)


def blocks(store: ObjectStore) -> Blocks:
    """Return the blocks of sources."""
    return Blocks(store, PREFIX, SCHEMA)


def seal(into: Blocks, start: int, written: Sequence[Hashes]) -> None:
    """Store the block of the entries from `start` on, each with its hashes, unless it exists."""
    found, positions = _written_at(start, written)
    order = np.lexsort((positions, found))
    rows = pa.RecordBatch.from_arrays([pa.array(found[order]), pa.array(positions[order])], schema=SCHEMA)
    into.seal(start, start + len(written), rows)


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield a few items at a time, so that a long list of reads is neither queued nor held at once."""
    rest = iter(items)
    while batch := list(islice(rest, READS_AT_ONCE)):
        yield batch


class Sources:
    """Positions of writes by source, read from blocks, and from entries that no block covers."""

    def __init__(self, store: ObjectStore) -> None:
        self._blocks, self._log = blocks(store), documents_log(store)

    def positions(self, wanted: Set[Source], before: int, unsealed: Unsealed | None = None) -> Iterator[list[int]]:
        """Yield the positions before `before` at which `wanted` may have been written, block by block, newest first.

        `wanted` may shrink meanwhile. `unsealed` saves reading the newest entries. Other sources' positions may be
        among those yielded, since hashes are short. Raise StoreError, and Damaged for a damaged entry without a block.
        """
        hashes = {source: hash_of(source) for source in wanted}
        upper, newest = before, True
        if unsealed is not None:
            yield _found(_written_at(*unsealed), hashes, wanted, upper)
            upper, newest = min(upper, unsealed.start), False
        with ThreadPoolExecutor(READS_AT_ONCE) as pool:
            for keys in batches(reversed(self._blocks.keys())):
                for block in pool.map(self._blocks.read, keys):
                    if block is None or block.header.start >= upper:
                        continue
                    for written in self._unblocked(pool, block.header.end, upper, newest=newest):
                        yield _found(written, hashes, wanted, upper)
                    yield _found(_from_rows(block.rows), hashes, wanted, min(upper, block.header.end))
                    upper, newest = block.header.start, False
            for written in self._unblocked(pool, 1, upper, newest=newest):
                yield _found(written, hashes, wanted, upper)

    def _unblocked(self, pool: ThreadPoolExecutor, start: int, end: int, *, newest: bool) -> Iterator[WrittenAt]:
        """Read the entries [start, end) themselves, newest first, and make blocks of them."""
        for first in reversed(range(start, end, BLOCK_ENTRIES)):
            last = min(first + BLOCK_ENTRIES, end)
            read = (self._hashes(pool, numbers) for numbers in batches(range(first, last)))
            written = [one for batch in read for one in batch]
            # Routers make the newest block, once it is complete.
            if not newest or last - first == BLOCK_ENTRIES:
                seal(self._blocks, first, written)
            yield _written_at(first, written)

    def _hashes(self, pool: ThreadPoolExecutor, numbers: Sequence[int]) -> list[Hashes]:
        return list(pool.map(lambda number: hashes_of(self._log.read(number)), numbers))


def _written_at(start: int, written: Sequence[Hashes]) -> WrittenAt:
    positions = np.repeat(np.arange(start, start + len(written)), [len(one) for one in written])
    return WrittenAt(np.concatenate([np.empty(0, np.uint64), *written]), positions)


def _from_rows(rows: pa.RecordBatch) -> WrittenAt:
    return WrittenAt(rows.column("source").to_numpy(), rows.column("position").to_numpy())


def _found(written: WrittenAt, hashes: Mapping[Source, int], wanted: Set[Source], end: int) -> list[int]:
    """Return the positions before `end` of the `wanted` sources, newest first."""
    chosen = np.isin(written.sources, np.array([hashes[source] for source in wanted], np.uint64))
    chosen &= written.positions < end
    found: list[int] = np.unique(written.positions[chosen])[::-1].tolist()
    return found
