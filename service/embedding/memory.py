"""The embedding memory: vectors of texts that any indexer has embedded, so that the next build need not.

It is a cache. Losing or damaging it costs calls of the model, and never changes a vector.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TypeVar

import numpy as np
from prometheus_client import Counter, Gauge

from service.embedding.model import Vectors
from service.embedding.segments import Segment, Segments
from service.embedding.vector_cache import VectorCache
from service.storage.entry import Damaged
from service.storage.objects import NoSuchKey, StoreError
from service.storage.sorted_keys import NOWHERE, Keys, SortedKeys, each_key, sorted_run, to_keys

T = TypeVar("T")
SEGMENT_BYTES = 4 << 20
# A killed process loses so much, and another build may have to wait so long for the newest vectors.
WRITE_SECONDS = 5.0
LOOK_SECONDS = 60.0
CACHED_BYTES = 64 << 20
READS_AT_ONCE = 8
MOST_VECTORS = 120_000_000  # 24 bytes each in every indexer
MOST_BYTES = 512 << 30
_ROW_BITS = 24  # a segment has some thousand rows

DAMAGED = Counter("vectorfleet_memory_damaged_total", "Segments that can't be used")
FAILURES = Counter("vectorfleet_memory_failures_total", "Requests of the memory that S3 refused or did not answer")
SEGMENTS = Gauge("vectorfleet_memory_segments", "Segments of the embedding memory")
VECTORS = Gauge("vectorfleet_memory_vectors", "Vectors in those segments")
BYTES = Gauge("vectorfleet_memory_bytes", "Bytes of those segments")

log = logging.getLogger(__name__)


class VectorMemory:
    """Vectors by key: those that wait to be written, and those in segments, whichever process wrote them.

    Keys are held in this process, vectors in S3 and in a small cache. Not thread-safe. Nothing here fails: a vector
    that can't be read is not known, and one that can't be written is forgotten in the end.
    """

    def __init__(self, segments: Segments) -> None:
        self.segments = segments
        self._waiting: dict[bytes, Vectors] = {}
        self._tried_at = time.monotonic()
        self._keys = SortedKeys()
        # A number is never used again, so the place of a key shows if its segment is still held.
        self._held: dict[int, Segment] = {}
        self._next = self._count = 0
        self._unusable: set[Segment] = set()
        self._cache = VectorCache(CACHED_BYTES)
        self._pool = ThreadPoolExecutor(READS_AT_ONCE, "memory")
        self._look()
        # Those of earlier processes are merged too, or every restart would leave some.
        self._growing = sorted(filter(self._is_small, self._held), key=self._rows, reverse=True)

    def find(self, keys: Collection[bytes]) -> dict[bytes, Vectors]:
        """Return the vectors of those keys that are known, each of shape (dims,)."""
        found = {key: self._waiting[key] for key in keys if key in self._waiting}
        found |= self._stored([key for key in keys if key not in found])
        if len(found) < len(keys) and time.monotonic() - self._looked_at >= LOOK_SECONDS:
            self._look()
            found |= self._stored([key for key in keys if key not in found])
        return found

    def remember(self, vectors: Mapping[bytes, Vectors]) -> None:
        """Keep new vectors; write if enough wait, or since long enough."""
        if not self._waiting:
            self._tried_at = time.monotonic()
        self._waiting |= vectors
        self.write_due()

    def write_due(self) -> None:
        """Write the vectors that wait if they fill a segment, or have waited for WRITE_SECONDS."""
        if len(self._waiting) >= self._full or time.monotonic() - self._tried_at >= WRITE_SECONDS:
            self.write()

    def write(self) -> None:
        """Write all vectors that wait. If S3 refuses, they wait on, as long as two segments would hold them."""
        while batch := dict(islice(self._waiting.items(), self._full)):
            self._tried_at = time.monotonic()
            if not self._write(batch):
                if len(self._waiting) > 2 * self._full:
                    self._waiting.clear()
                return
            for key in batch:
                del self._waiting[key]
        self._limit()

    @property
    def _full(self) -> int:
        """The rows from which on a segment is not replaced by a larger one."""
        return max(1, SEGMENT_BYTES // self.segments.row_bytes)

    def _is_small(self, number: int) -> bool:
        return self._rows(number) < self._full

    def _rows(self, number: int) -> int:
        """Return the number of a segment's vectors; 0 if it is gone."""
        return self._held[number].rows if number in self._held else 0

    def _write(self, batch: dict[bytes, Vectors]) -> bool:
        """Store a segment of the batch and of small ones, which it replaces; return whether it is stored.

        It takes in segments of up to twice its size, so that each vector is written a few times only.
        """
        replaced: list[int] = []
        while self._growing and len(batch) < self._full and self._rows(self._growing[-1]) <= 2 * len(batch):
            number = self._growing.pop()
            if older := self._contents(number):
                replaced.append(number)
                batch = older | batch
        keys, vectors = to_keys([*batch]), np.stack([*batch.values()])
        try:
            segment = self.segments.create(keys, vectors)
        except StoreError as error:
            _failed("the embedding memory could not be written", error)
            self._growing += reversed(replaced)
            return False
        self._cache.put(segment.id.encode(), vectors)
        number = self._hold({segment: keys})
        for one in replaced:
            self._delete(one)
        if self._is_small(number):
            self._growing.append(number)
        return True

    def _contents(self, number: int) -> dict[bytes, Vectors]:
        """Return all vectors of a segment by their keys; none if it is gone or can't be read."""
        segment = self._held.get(number)
        if segment is None:
            return {}
        try:
            return dict(zip(each_key(self.segments.keys(segment)), self._vectors(segment), strict=True))
        except (StoreError, Damaged) as error:
            self._forgive(number, error)
            return {}

    def _stored(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        """Return the vectors of those keys that are in segments, reading each segment once."""
        wanted: dict[int, list[tuple[bytes, int]]] = {}
        for key, place in zip(keys, self._keys.find(keys), strict=True):
            if place != NOWHERE and place >> _ROW_BITS in self._held:
                wanted.setdefault(place >> _ROW_BITS, []).append((key, place & (1 << _ROW_BITS) - 1))
        found: dict[bytes, Vectors] = {}
        # Few at once, since a whole segment is read for each vector of it.
        numbers = [*wanted]
        for first in range(0, len(numbers), READS_AT_ONCE):
            some = numbers[first : first + READS_AT_ONCE]
            reads = self._pool.map(partial(_outcome, self._vectors), [self._held[number] for number in some])
            for number, read in zip(some, reads, strict=True):
                if isinstance(read, Exception):
                    self._forgive(number, read)
                else:
                    names, rows = zip(*wanted[number], strict=True)
                    found |= zip(names, read[list(rows)], strict=True)
        return found

    def _vectors(self, segment: Segment) -> Vectors:
        """Return a segment's vectors, from the cache or from S3."""
        name = segment.id.encode()
        vectors = self._cache.get(name)
        if vectors is None:
            vectors = self.segments.vectors(segment)
            self._cache.put(name, vectors)
        return vectors

    def _look(self) -> None:
        """Learn which segments exist now, and the keys of new ones."""
        self._looked_at = time.monotonic()
        try:
            listed = self.segments.list()
        except StoreError as error:
            return _failed("the embedding memory could not be listed", error)
        for number, segment in [*self._held.items()]:
            if segment not in listed:
                self._forget(number)
        self._unusable &= listed
        new = sorted(listed - self._unusable - {*self._held.values()})
        read = dict(zip(new, self._pool.map(partial(_outcome, self.segments.keys), new), strict=True))
        for segment, keys in read.items():
            if isinstance(keys, Exception):
                self._complain(segment, keys)
        self._hold({segment: keys for segment, keys in read.items() if not isinstance(keys, Exception)})
        self._limit()

    def _hold(self, keys_each: Mapping[Segment, Keys]) -> int:
        """Hold segments with these keys; return the number of the last one."""
        places = []
        for segment, keys in keys_each.items():
            self._held[self._next] = segment
            self._count += segment.rows
            places.append(self._next << _ROW_BITS | np.arange(len(keys), dtype=np.int64))
            self._next += 1
        if places:
            self._keys.add(sorted_run(np.concatenate([*keys_each.values()]), np.concatenate(places)))
        self._show()
        return self._next - 1

    def _forgive(self, number: int, error: Exception) -> None:
        """Go on without a segment that could not be read; keep it if S3 only gave no answer."""
        self._complain(self._held[number], error)
        if isinstance(error, NoSuchKey | Damaged):
            self._forget(number)
        if isinstance(error, NoSuchKey):
            # Another process may have merged it into a segment that only a listing shows.
            self._looked_at = -LOOK_SECONDS

    def _complain(self, segment: Segment, error: Exception) -> None:
        if isinstance(error, Damaged):
            self._unusable.add(segment)
            DAMAGED.inc()
            log.warning("a segment of the embedding memory is damaged", extra={"reason": str(error)})
        elif not isinstance(error, NoSuchKey):
            _failed("a segment of the embedding memory could not be read", error)

    def _forget(self, number: int) -> None:
        self._count -= self._held.pop(number).rows
        if 4 * (len(self._keys) - self._count) > len(self._keys):
            alive = np.zeros(self._next, dtype=bool)
            alive[[*self._held]] = True
            self._keys.keep(lambda places: alive[places >> _ROW_BITS])
        self._show()

    def _delete(self, number: int) -> None:
        try:
            self.segments.delete(self._held[number])
        except StoreError as error:
            _failed("a segment of the embedding memory could not be deleted", error)
        self._forget(number)

    def _limit(self) -> None:
        """Delete segments at random until the limits hold.

        A build reads the memory from old to new. If the oldest segments went first, a memory that is too small for the
        whole corpus would always lack what is needed next.
        """
        most = min(MOST_VECTORS, MOST_BYTES // self.segments.row_bytes)
        while self._count > most:
            self._delete(random.choice([*self._held]))

    def _show(self) -> None:
        SEGMENTS.set(len(self._held))
        VECTORS.set(self._count)
        BYTES.set(self._count * self.segments.row_bytes)


def _outcome(read: Callable[[Segment], T], segment: Segment) -> T | StoreError | Damaged:
    """Return what was read, or the error."""
    try:
        return read(segment)
    except (StoreError, Damaged) as error:
        return error


def _failed(what: str, error: Exception) -> None:
    FAILURES.inc()
    log.warning(what, extra={"reason": str(error)})
