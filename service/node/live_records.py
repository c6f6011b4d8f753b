"""The live records of a shard, read from S3: the newest snapshot at or before an entry, then the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from service.index.rows import digest_text, document_digest
from service.node.recovery import ShardStore, restore, tail_at
from service.storage.collections import Registry, from_text
from service.storage.entry import Damaged
from service.storage.log import Tail, tail_of
from service.storage.shards import Record, from_entry


def digest_of(records: Iterable[Record]) -> str:
    """Return the digest of live records, in any order."""
    terms = (document_digest(one.source_id, one.content_hash, one.collection) for one in records)
    return digest_text(sum(terms))


class LiveRecords:
    """The live records, by collection and source_id, folded in log order."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._of: dict[int, dict[str, Record]] = {}

    def of(self, collection: int) -> list[Record]:
        return list(self._of.get(collection, {}).values())

    def __iter__(self) -> Iterator[Record]:
        return (record for held in self._of.values() for record in held.values())

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    @property
    def digest(self) -> str:
        """The same digest as that of the shard's index."""
        return digest_of(self)

    def apply(self, record: Record) -> None:
        """Fold in the next record, as the shard's index does."""
        if record.registry:
            self.registry = from_text(record.registry)
            self._of = {collection: held for collection, held in self._of.items() if self.registry.get(collection)}
        elif self.registry.get(record.collection):
            self._replace(self._of.setdefault(record.collection, {}), record)

    @staticmethod
    def _replace(live: dict[str, Record], record: Record) -> None:
        held = live.get(record.source_id)
        if not record.counts(0 if held is None else held.position):
            return
        live.pop(record.source_id, None)
        if record.chunks:
            live[record.source_id] = record


def fold(shard: ShardStore, until: int) -> tuple[LiveRecords, Tail]:
    """Return the live records after log entry `until`, and the tail there; raise Damaged if they can't be computed."""
    live, tail = LiveRecords(Registry()), Tail()
    opened = restore(shard).opened
    if opened is not None and opened.manifest.entry <= until:
        live, tail = LiveRecords(opened.manifest.registry), tail_at(opened.manifest)
        for index in opened.index.collections:
            for record in index.base.rows.records(index.collection) if index.base is not None else ():
                live.apply(record)
    entries = shard.log.follow(tail)
    # Entries behind `until` are not read: a replica may have stopped at one of them.
    while tail.number < until and (entry := next(entries, None)) is not None:
        for record in from_entry(entry):
            live.apply(record)
        tail = tail_of(entry)
    if tail.number != until:
        raise Damaged(f"{shard.log.name}: ends at entry {tail.number}, but {until} was asked for")
    return live, tail
