"""Blocks of facts about runs of the documents log's entries, stored beside it.

Every process makes the same block of the same entries. Blocks are a cache: the log has all that they hold.
"""

from __future__ import annotations

import logging

import pyarrow as pa

from service.storage.entry import PLAIN_FORMAT, Damaged, Entry, Header, decode, encode
from service.storage.objects import NoSuchKey, ObjectStore, PreconditionFailed, StoreError

log = logging.getLogger(__name__)


class Blocks:
    """The blocks below a prefix, with rows of a schema. A block's header says which entries it covers."""

    def __init__(self, store: ObjectStore, prefix: str, schema: pa.Schema) -> None:
        self._store, self._prefix, self._schema = store, prefix, schema
        self._name = prefix.removesuffix("/")

    def keys(self) -> list[str]:
        """List the blocks, oldest first. Raise StoreError."""
        return list(self._store.keys(self._prefix))

    def read(self, key: str) -> Entry | None:
        """Return one block, or None if it can't be used; then the log is read instead."""
        start = key.removeprefix(self._prefix).removesuffix(".arrow")
        try:
            return decode(self._store.get(key).body, log=self._name, number=int(start), schema=self._schema)
        except (Damaged, NoSuchKey, ValueError) as error:
            log.warning(f"a block of {self._name} can't be used", extra={"reason": str(error)})
            return None

    def seal(self, start: int, end: int, rows: pa.RecordBatch) -> None:
        """Store the block of the entries [start, end) unless it exists."""
        header = Header(
            format=PLAIN_FORMAT,
            log=self._name,
            number=start,
            append_id="",
            predecessor="",
            stamp_ms=0,
            start=start,
            end=end,
        )
        try:
            self._store.create(f"{self._prefix}{start:020d}.arrow", encode(header, rows))
        except PreconditionFailed:
            pass
        except StoreError as error:
            # The next process that reads these entries seals the block.
            log.warning(f"a block of {self._name} could not be stored", extra={"reason": str(error)})
