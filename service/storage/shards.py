"""Shard logs: for one build and shard, what the documents became: chunks with their vectors.

A record replaces everything that its source_id had by its chunks, in one object and applied at once, so no crash
and no second indexer can leave half a document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from service.storage.documents import ANY_POSITION
from service.storage.entry import Entry
from service.storage.log import Log
from service.storage.objects import ObjectStore

Vectors = npt.NDArray[np.float32]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """
    Replace `source_id` by these chunks; none deletes it.

    `vectors` has shape (chunks, dims). `rejected` says why a document could never be embedded; such a record
    changes nothing, and neither does one whose `if_position` is not where the document was last written.
    """

    position: int
    item: int
    source_id: str
    title: str
    content_hash: bytes
    chunks: list[str]
    vectors: Vectors
    rejected: str = ""
    metadata: str = ""
    if_position: int = ANY_POSITION

    def counts(self, held_position: int) -> bool:
        """Whether it changes anything where its document was last written at a position; 0 where there is none."""
        return not self.rejected and self.if_position in (ANY_POSITION, held_position)


def schema(dims: int) -> pa.Schema:
    """The columns of a shard entry whose vectors have `dims` components."""
    return pa.schema(
        [
            ("position", pa.int64()),
            ("item", pa.int32()),
            ("source_id", pa.string()),
            ("title", pa.string()),
            ("content_hash", pa.binary()),
            ("rejected", pa.string()),
            ("metadata", pa.string()),
            ("if_position", pa.int64()),
            ("chunks", pa.list_(pa.string())),
            ("vectors", pa.list_(pa.list_(pa.float32(), dims))),
        ]
    )


def shard_of(source_id: str, shards: int) -> int:
    """The shard that holds a source_id: the same in every process and version."""
    digest = hashlib.blake2b(source_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % shards


def shard_log(store: ObjectStore, build: str, shard: int, dims: int) -> Log:
    """The log of one shard of a build."""
    return Log(store, f"builds/{build}/shard-{shard:02d}/log/", f"{build}/shard-{shard:02d}", schema(dims))


def to_rows(records: Sequence[Record], dims: int) -> pa.RecordBatch:
    """An entry's rows, one per record, in order."""
    plain = schema(dims)
    arrays = [
        pa.array([getattr(record, name) for record in records], plain.field(name).type) for name in plain.names[:-1]
    ]
    arrays.append(_nested(records, dims))
    return pa.RecordBatch.from_arrays(arrays, schema=plain)


def chunk_count(rows: pa.RecordBatch) -> int:
    """Chunks in an entry's rows, which are the rows that nodes hold of it."""
    return len(rows.column("vectors").flatten())


def _nested(records: Sequence[Record], dims: int) -> pa.Array:
    """All vectors as one flat block: a Python list per component would cost a hundred times as much."""
    lengths = [len(record.chunks) for record in records]
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    blocks = [record.vectors.reshape(-1) for record in records if len(record.chunks)]
    flat = np.concatenate(blocks) if blocks else np.empty(0, np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), dims)
    return pa.ListArray.from_arrays(pa.array(offsets), vectors)


def from_entry(entry: Entry) -> Iterator[Record]:
    """The records of an entry, in order."""
    rows = entry.rows
    nested = rows.column("vectors")
    offsets = nested.offsets.to_numpy()
    dims = nested.type.value_type.list_size
    flat = nested.values.values.to_numpy(zero_copy_only=False).reshape(-1, dims)
    plain = [rows.column(name).to_pylist() for name in rows.schema.names[:-1]]
    for i, values in enumerate(zip(*plain, strict=True)):
        position, item, source_id, title, content, rejected, metadata, if_position, chunks = values
        yield Record(
            position=position,
            item=item,
            source_id=source_id,
            title=title,
            content_hash=content,
            rejected=rejected,
            metadata=metadata,
            if_position=if_position,
            chunks=chunks,
            vectors=flat[offsets[i] : offsets[i + 1]],
        )
