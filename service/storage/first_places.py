"""The place of each request_id's first write: repetitions are answered with it, and the fold leaves them out.

A retry that arrives after newer writes of its document must not undo them, so no id is ever forgotten. Sealed blocks
of the ids lie beside the documents log, so that a process that starts need not read all of it again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from service.storage.collections import salt_of
from service.storage.documents import Document, Written, documents_log
from service.storage.entry import Damaged, Entry, Header, decode, encode
from service.storage.log import PREFETCH_ENTRIES
from service.storage.objects import Missing, ObjectStore, Refused, StoreError

ID_BYTES = 16
BLOCK_ENTRIES = 2_048
BLOCK_IDS = 200_000
PREFIX = "requests/"
LOG_NAME = "requests"
SCHEMA = pa.schema([("id", pa.binary(ID_BYTES)), ("position", pa.int64()), ("item", pa.int32())])
# An entry has at most 8 MiB, so its items stay far below this.
_ITEM_BITS = 24
_UNKNOWN = -1

log = logging.getLogger(__name__)


class Place(NamedTuple):
    """The place where a document was stored: item `item` of entry `position`."""

    position: int
    item: int


class _Run(NamedTuple):
    """Ids in order, and the place of each as one number."""

    ids: npt.NDArray[np.bytes_]
    places: npt.NDArray[np.int64]


class FirstPlaces:
    """
    Takes in the documents log up to `number`, entry by entry. Not for use by several threads.

    One id takes 24 bytes: those of the newest block are in a dict, all others in a few sorted arrays.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store, self._log = store, documents_log(store)
        self.number = 0
        self._start = 1
        self._recent: dict[bytes, int] = {}
        self._runs: list[_Run] = []
        self._whole = True

    def load(self) -> None:
        """Take in the sealed blocks; the log has what they lack. Raises StoreError where the store does not answer."""
        with ThreadPoolExecutor(PREFETCH_ENTRIES) as pool:
            for block in pool.map(self._block, list(self._store.keys(PREFIX))):
                if block is None or block.header.start > self.number + 1:
                    return
                if block.header.end > self.number + 1:
                    self._add(_from_rows(block.rows))
                    self.number, self._start = block.header.end - 1, block.header.end

    def advance(self, number: int, *, skip_damaged: bool = False) -> None:
        """
        Take in the entries up to `number`.

        Raises Damaged for one that is missing or damaged; with `skip_damaged` its ids stay unknown, and nothing is
        sealed from there on.
        """
        read = partial(self._read, skip_damaged=skip_damaged)
        with ThreadPoolExecutor(PREFETCH_ENTRIES) as pool:
            while self.number < number:
                last = min(number, self.number + PREFETCH_ENTRIES)
                for entry in pool.map(read, range(self.number + 1, last + 1)):
                    self.learn(self.number + 1, () if entry is None else ids_of(entry))
                    self._whole = self._whole and entry is not None

    def learn(self, number: int, ids: Sequence[bytes]) -> None:
        """Take in the ids of entry `number`, item by item; one that is known already changes nothing."""
        if number <= self.number:
            return
        assert number == self.number + 1, f"entry {number} does not follow {self.number}"
        for item, known in enumerate(self._find(ids)):
            if known == _UNKNOWN:
                self._recent.setdefault(ids[item], number << _ITEM_BITS | item)
        self.number = number
        if number - self._start + 1 >= BLOCK_ENTRIES or len(self._recent) >= BLOCK_IDS:
            self._end_block()

    def places(self, documents: Iterable[Document]) -> list[Place | None]:
        """The place of each document's first write; None for a request_id that is new."""
        found = self._find([id_of(document.request_id, document.collection) for document in documents])
        return [None if one == _UNKNOWN else _place(one) for one in found]

    def first_writes(self, written: Sequence[Written]) -> list[Written]:
        """Keep those of `written`, whose entries were learned, that are the first of their request_id."""
        firsts = self.places(one.document for one in written)
        return [one for one, first in zip(written, firsts, strict=True) if first == (one.position, one.item)]

    def _find(self, ids: Sequence[bytes]) -> list[int]:
        found = [self._recent.get(one, _UNKNOWN) for one in ids]
        for run in self._runs:
            wanted = [number for number, place in enumerate(found) if place == _UNKNOWN]
            if not wanted:
                break
            keys = np.array([ids[number] for number in wanted], run.ids.dtype)
            at = np.minimum(np.searchsorted(run.ids, keys), len(run.ids) - 1)
            for number, place, hit in zip(wanted, run.places[at].tolist(), run.ids[at] == keys, strict=True):
                if hit:
                    found[number] = place
        return found

    def _end_block(self) -> None:
        run = _sorted([*self._recent], [*self._recent.values()])
        if self._whole:
            self._seal(run)
        self._add(run)
        self._recent, self._start = {}, self.number + 1

    def _add(self, run: _Run) -> None:
        """Merge runs of like sizes, so that there are few and each id is moved seldom."""
        if not len(run.ids):
            return
        while self._runs and len(self._runs[-1].ids) <= 2 * len(run.ids):
            one = self._runs.pop()
            ids, places = np.concatenate([one.ids, run.ids]), np.concatenate([one.places, run.places])
            order = np.argsort(ids, kind="stable")
            run = _Run(ids[order], places[order])
        self._runs.append(run)

    def _seal(self, run: _Run) -> None:
        """Store the block, unless somebody has; every process makes the same of the same entries."""
        header = Header(
            log=LOG_NAME,
            number=self._start,
            append_id="",
            predecessor="",
            stamp_ms=0,
            start=self._start,
            end=self.number + 1,
        )
        try:
            self._store.create(f"{PREFIX}{self._start:020d}.arrow", encode(header, _to_rows(run)))
        except Refused:
            pass
        except StoreError as error:
            # The log has it all: whoever starts reads more of it, and seals this block.
            log.warning("a block of request ids could not be stored", extra={"reason": str(error)})

    def _block(self, key: str) -> Entry | None:
        """One block; None where it can't be used, and the log is read instead."""
        start = key.removeprefix(PREFIX).removesuffix(".arrow")
        try:
            return decode(self._store.get(key).body, log=LOG_NAME, number=int(start), schema=SCHEMA)
        except (Damaged, Missing, ValueError) as error:
            log.warning("a block of request ids can't be used", extra={"reason": str(error)})
            return None

    def _read(self, number: int, *, skip_damaged: bool) -> Entry | None:
        try:
            return self._log.read(number)
        except (Damaged, Missing) as error:
            missing = f"{self._log.name} entry {number} is missing, and was there once"
            damage = error if isinstance(error, Damaged) else Damaged(missing)
            if not skip_damaged:
                raise damage from error
            log.error("the request ids of an entry are unknown", extra={"reason": str(damage)})
            return None


def id_of(request_id: str, collection: int) -> bytes:
    """A request_id as it is kept: one source's ids for another collection, or a later namesake, are no repetitions."""
    return hashlib.blake2b(request_id.encode(), digest_size=ID_BYTES, salt=salt_of(collection)).digest()


def ids_of(entry: Entry) -> list[bytes]:
    """The ids of an entry of the documents log, item by item."""
    columns = (entry.rows.column(name).to_pylist() for name in ("request_id", "collection"))
    return [id_of(request_id, collection) for request_id, collection in zip(*columns, strict=True)]


def _place(number: int) -> Place:
    return Place(number >> _ITEM_BITS, number & (1 << _ITEM_BITS) - 1)


def _sorted(ids: Sequence[bytes], places: Sequence[int]) -> _Run:
    keys = np.array(ids, f"S{ID_BYTES}")
    order = np.argsort(keys, kind="stable")
    return _Run(keys[order], np.array(places, np.int64)[order])


def _to_rows(run: _Run) -> pa.RecordBatch:
    count = len(run.ids)
    ids = pa.FixedSizeBinaryArray.from_buffers(SCHEMA.field("id").type, count, [None, pa.py_buffer(run.ids.tobytes())])
    items = (run.places & (1 << _ITEM_BITS) - 1).astype(np.int32)
    return pa.RecordBatch.from_arrays([ids, pa.array(run.places >> _ITEM_BITS), pa.array(items)], schema=SCHEMA)


def _from_rows(rows: pa.RecordBatch) -> _Run:
    ids = rows.column("id")
    keys = np.frombuffer(ids.buffers()[1], f"S{ID_BYTES}", len(ids), ids.offset * ID_BYTES)
    positions, items = rows.column("position").to_numpy(), rows.column("item").to_numpy().astype(np.int64)
    return _Run(keys, positions << _ITEM_BITS | items)
