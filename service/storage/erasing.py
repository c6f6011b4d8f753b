"""Log entries without the contents of erased documents.

An entry keeps its number, its append_id and its other rows, so the chain of its log holds. An erased write has become a
deletion, which every later reader folds as one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec
import numpy as np

from service.storage import documents, shards
from service.storage.content import content_hash
from service.storage.entry import Entry, encode, in_oldest_format
from service.storage.log import Log
from service.storage.objects import PreconditionFailed, StoreError
from service.storage.sources import Source
from service.storage.versions import VersionedBucket

ERASED = "erased"


def erased_documents(entry: Entry, sources: Collection[Source]) -> Entry | None:
    """Return an entry of the documents log without the contents of some sources; None if it has none of them."""
    written = [one.document for one in documents.from_entry(entry)]
    changed = [_erased_document(one) if Source(one.collection, one.source_id) in sources else one for one in written]
    if changed == written:
        return None
    return Entry(entry.header, documents.to_rows(changed))


def _erased_document(written: documents.Document) -> documents.Document:
    return msgspec.structs.replace(written, delete=True, title="", text="", metadata="", vector=b"")


def erased_records(entry: Entry, sources: Collection[Source]) -> Entry | None:
    """Return an entry of a shard log without the contents of some sources; None if it has none of them."""
    records, dims = list(shards.from_entry(entry)), shards.dims_of(entry)
    erased = [Source(one.collection, one.source_id) in sources and _has_contents(one) for one in records]
    if not any(erased):
        return None
    changed = [_erased_record(one, dims) if gone else one for one, gone in zip(records, erased, strict=True)]
    return Entry(entry.header, shards.to_rows(changed, dims))


def _has_contents(record: shards.Record) -> bool:
    return bool(record.chunks or record.title or record.metadata or record.rejected not in ("", ERASED))


def _erased_record(record: shards.Record, dims: int) -> shards.Record:
    return msgspec.structs.replace(
        record,
        title="",
        metadata="",
        content_hash=content_hash("", "", "", b""),
        chunks=[],
        vectors=np.empty((0, dims), np.float32),
        # A model's reason may repeat the text.
        rejected=ERASED if record.rejected else "",
    )


def rewrite(bucket: VersionedBucket, log: Log, number: int, erased: Callable[[Entry], Entry | None]) -> bool:
    """Replace entry `number` by what `erased` makes of it, and delete its older versions. Return whether it changed.

    The bucket refuses every put over an entry, so the entry is deleted first. Its last version stays until the new one
    is written, so `close_gaps` makes good a call that ended between them. A reader that meets the gap, some
    milliseconds long, tries again. Raise StoreError and Damaged.
    """
    key, entry = log.key(number), erased(log.read(number))
    if entry is not None:
        log.store.delete(key)
        plain = in_oldest_format(entry)
        try:
            log.store.create(key, encode(plain.header, plain.rows))
        except PreconditionFailed:
            # An indexer makes a lost entry of its shard log again, from documents that have no contents any more.
            raise StoreError(f"s3://{bucket.name}/{key} was written at the same moment; call it again") from None
    bucket.delete([one for one in bucket.versions(key) if not one.current])
    return entry is not None


def close_gaps(bucket: VersionedBucket, log: Log) -> None:
    """Bring back the entries of a log that `rewrite` has deleted and not written again. Raise StoreError."""
    bucket.delete([one for one in bucket.versions(log.prefix) if one.current and one.marker])


def has_row(entry: Entry, sources: Collection[Source]) -> bool:
    """Return whether an entry has a row of one of the sources."""
    columns = (entry.rows.column(name).to_pylist() for name in Source._fields)
    return any(Source(*values) in sources for values in zip(*columns, strict=True))
