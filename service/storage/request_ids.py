"""The place of each request_id's first write. Repeated writes get it as their answer, and the fold leaves them out.

A retry that arrives after newer writes of its document must not undo them, so no id is ever forgotten. Sealed blocks of
ids are stored beside the documents log, so a starting process need not read the whole log. The same entries make blocks
of sources.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pyarrow as pa

from service.storage import sources
from service.storage.blocks import Blocks
from service.storage.collections import salt_of
from service.storage.documents import Document, Place, PlacedDocument, documents_log
from service.storage.entry import Damaged, Entry
from service.storage.log import PREFETCH_ENTRIES
from service.storage.objects import NoSuchKey, ObjectStore
from service.storage.sorted_keys import (
    ARROW_KEY,
    KEY_BYTES,
    NOWHERE,
    Run,
    SortedKeys,
    from_column,
    sorted_run,
    to_column,
    to_keys,
)

BLOCK_IDS = 200_000
PREFIX = "requests/"
SCHEMA = pa.schema([("id", ARROW_KEY), ("position", pa.int64()), ("item", pa.int32())])
# An entry has at most 8 MiB, so its items stay far below this.
_ITEM_BITS = 24

log = logging.getLogger(__name__)


class RequestIds:
    """The first places of all ids in the documents log up to `number`, learned entry by entry. Not thread-safe.

    Ids of the newest block are in a dict, all others in sorted arrays.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._log = documents_log(store)
        self._blocks, self._source_blocks = Blocks(store, PREFIX, SCHEMA), sources.blocks(store)
        self.number = 0
        self._start = 1
        self._recent: dict[bytes, int] = {}
        self._sources: list[sources.Hashes] = []
        self._older = SortedKeys()
        self._whole = True

    @property
    def unsealed(self) -> sources.Unsealed:
        """The sources of the entries behind the last block, as long as no entry was skipped."""
        return sources.Unsealed(self._start, self._sources)

    def load(self) -> None:
        """Load the sealed blocks; the log has the rest. Raise StoreError if the store does not answer."""
        with ThreadPoolExecutor(PREFETCH_ENTRIES) as pool:
            for block in pool.map(self._blocks.read, self._blocks.keys()):
                if block is None or block.header.start > self.number + 1:
                    return
                if block.header.end > self.number + 1:
                    self._older.add(_from_rows(block.rows))
                    self.number, self._start = block.header.end - 1, block.header.end

    def advance(self, number: int, *, skip_damaged: bool = False) -> None:
        """Learn the entries up to `number`.

        Raise Damaged for a missing or damaged entry. With `skip_damaged` its ids stay unknown, and nothing is sealed
        from there on.
        """
        read = partial(self._read, skip_damaged=skip_damaged)
        with ThreadPoolExecutor(PREFETCH_ENTRIES) as pool:
            while self.number < number:
                last = min(number, self.number + PREFETCH_ENTRIES)
                for entry in pool.map(read, range(self.number + 1, last + 1)):
                    if entry is None:
                        self._whole, self.number = False, self.number + 1
                    else:
                        self.learn(entry)

    def learn(self, entry: Entry) -> None:
        """Learn the ids of the next entry, item by item. An id that is known already changes nothing."""
        number, ids = entry.header.number, ids_of(entry)
        if number <= self.number:
            return
        assert number == self.number + 1, f"entry {number} does not follow {self.number}"
        for item, known in enumerate(self._find(ids)):
            if known == NOWHERE:
                self._recent.setdefault(ids[item], number << _ITEM_BITS | item)
        self._sources.append(sources.hashes_of(entry))
        self.number = number
        if number - self._start + 1 >= sources.BLOCK_ENTRIES or len(self._recent) >= BLOCK_IDS:
            self._end_block()

    def places(self, documents: Iterable[Document]) -> list[Place | None]:
        """Return the place of each document's first write; None for a new request_id."""
        found = self._find([id_of(document.request_id, document.collection) for document in documents])
        return [None if one == NOWHERE else _place(one) for one in found]

    def first_writes(self, written: Sequence[PlacedDocument]) -> list[PlacedDocument]:
        """Return those of `written`, whose entries were learned, that are the first of their request_id."""
        firsts = self.places(one.document for one in written)
        return [one for one, first in zip(written, firsts, strict=True) if first == (one.position, one.item)]

    def _find(self, ids: Sequence[bytes]) -> list[int]:
        found = [self._recent.get(one, NOWHERE) for one in ids]
        unknown = [number for number, place in enumerate(found) if place == NOWHERE]
        for number, place in zip(unknown, self._older.find([ids[number] for number in unknown]), strict=True):
            found[number] = place
        return found

    def _end_block(self) -> None:
        run = sorted_run(to_keys([*self._recent]), np.array([*self._recent.values()], np.int64))
        if self._whole:
            self._blocks.seal(self._start, self.number + 1, _to_rows(run))
            sources.seal(self._source_blocks, self._start, self._sources)
        self._older.add(run)
        self._recent, self._sources, self._start = {}, [], self.number + 1

    def _read(self, number: int, *, skip_damaged: bool) -> Entry | None:
        try:
            return self._log.read(number)
        except (Damaged, NoSuchKey) as error:
            missing = f"{self._log.name} entry {number} is missing, but was there before"
            damage = error if isinstance(error, Damaged) else Damaged(missing)
            if not skip_damaged:
                raise damage from error
            log.error("the request ids of an entry are unknown", extra={"reason": str(damage)})
            return None


def id_of(request_id: str, collection: int) -> bytes:
    """Return the hash under which a request_id is kept. The same id for another collection is another write."""
    return hashlib.blake2b(request_id.encode(), digest_size=KEY_BYTES, salt=salt_of(collection)).digest()


def ids_of(entry: Entry) -> list[bytes]:
    """Return the ids of an entry of the documents log, item by item."""
    columns = (entry.rows.column(name).to_pylist() for name in ("request_id", "collection"))
    return [id_of(request_id, collection) for request_id, collection in zip(*columns, strict=True)]


def _place(number: int) -> Place:
    return Place(number >> _ITEM_BITS, number & (1 << _ITEM_BITS) - 1)


def _to_rows(run: Run) -> pa.RecordBatch:
    items = (run.places & (1 << _ITEM_BITS) - 1).astype(np.int32)
    columns = [to_column(run.keys), pa.array(run.places >> _ITEM_BITS), pa.array(items)]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _from_rows(rows: pa.RecordBatch) -> Run:
    positions, items = rows.column("position").to_numpy(), rows.column("item").to_numpy().astype(np.int64)
    return Run(from_column(rows.column("id")), positions << _ITEM_BITS | items)
