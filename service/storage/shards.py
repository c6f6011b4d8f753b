"""Shard logs: the chunks and vectors of the documents, for one build and shard.

A record replaces all chunks of its source_id, in one object and applied at once, so no crash and no second indexer can
leave half a document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from service.storage.builds import shard_prefix
from service.storage.collections import DEFAULT_ID
from service.storage.documents import ANY_POSITION
from service.storage.entry import Entry
from service.storage.log import Log
from service.storage.objects import ObjectStore

Vectors = npt.NDArray[np.float32]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The new chunks of `source_id` in its collection; none deletes it.

    `vectors` has shape (chunks, dims), with the collection's dims. `rejected` says why a document could never be
    embedded; such a record changes nothing. Neither does one whose `if_position` is not where the document was last
    written. A record with a `registry` sets the collections that exist from now on: rows of all others are gone.

    A record with a `repaired_at` was made by the void at that position. It sets the document to an earlier write, at
    `position` and `item`, or deletes it.
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
    collection: int = DEFAULT_ID
    registry: str = ""
    repaired_at: int = 0

    @property
    def made_at(self) -> int:
        """The documents position whose indexing made the record."""
        return self.repaired_at or self.position

    def counts(self, held_position: int) -> bool:
        """Return whether it changes a document last written at a position; 0 if there is none."""
        return not self.rejected and self.if_position in (ANY_POSITION, held_position)


def schema(dims: int) -> pa.Schema:
    """Return the columns of a shard entry for vectors of `dims` components.

    Vectors of another length are in `apart`, as little-endian float32.
    """
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
            ("collection", pa.int64()),
            ("registry", pa.string()),
            ("repaired_at", pa.int64()),
            ("apart", pa.binary()),
            ("chunks", pa.list_(pa.string())),
            ("vectors", pa.list_(pa.list_(pa.float32(), dims))),
        ]
    )


# The entries of every shard log end at each multiple, so the digests of any shards can be compared there.
STEP_ENTRIES = 16


def shard_of(source_id: str, shards: int) -> int:
    """Return the shard of a source_id: the same in every process and version."""
    digest = hashlib.blake2b(source_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % shards


def shard_log(store: ObjectStore, build: str, shard: int, dims: int) -> Log:
    """Return the log of one shard of a build."""
    return Log(store, f"{shard_prefix(build, shard)}log/", f"{build}/shard-{shard:02d}", schema(dims))


def to_rows(records: Sequence[Record], dims: int) -> pa.RecordBatch:
    """Return an entry's rows, one per record, in order."""
    plain = schema(dims)
    fitting = [record.vectors if _fits(record, dims) else np.empty((0, dims), np.float32) for record in records]
    columns = [
        [getattr(record, name) for record in records] for name in plain.names if name not in ("apart", "vectors")
    ]
    columns.insert(plain.get_field_index("apart"), [_apart(record, dims) for record in records])
    arrays = [pa.array(values, field.type) for values, field in zip(columns, plain, strict=False)]
    return pa.RecordBatch.from_arrays([*arrays, _nested(fitting, dims)], schema=plain)


def _fits(record: Record, dims: int) -> bool:
    return bool(record.vectors.shape[1] == dims)


def _apart(record: Record, dims: int) -> bytes:
    return b"" if _fits(record, dims) else record.vectors.astype("<f4").tobytes()


def chunk_count(rows: pa.RecordBatch) -> int:
    """Return the chunks in an entry's rows, which are the rows that nodes hold of it."""
    return len(rows.column("chunks").flatten())


def _nested(vectors_each: Sequence[Vectors], dims: int) -> pa.Array:
    """Return all vectors as one flat block: a Python list per component would cost a hundred times as much."""
    offsets = np.concatenate(([0], np.cumsum(list(map(len, vectors_each))))).astype(np.int32)
    blocks = [vectors.reshape(-1) for vectors in vectors_each if len(vectors)]
    flat = np.concatenate(blocks) if blocks else np.empty(0, np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), dims)
    return pa.ListArray.from_arrays(pa.array(offsets), vectors)


def dims_of(entry: Entry) -> int:
    """Return the components of the vectors in an entry, of those that are not apart."""
    return int(entry.rows.schema.field("vectors").type.value_type.list_size)


def from_entry(entry: Entry) -> Iterator[Record]:
    """Yield the records of an entry, in order."""
    rows = entry.rows
    nested, dims = rows.column("vectors"), dims_of(entry)
    offsets = nested.offsets.to_numpy()
    flat = nested.values.values.to_numpy(zero_copy_only=False).reshape(-1, dims)
    names = [name for name in rows.schema.names if name not in ("apart", "vectors")]
    plain = zip(*(rows.column(name).to_pylist() for name in names), strict=True)
    for i, (values, apart) in enumerate(zip(plain, rows.column("apart").to_pylist(), strict=True)):
        of = dict(zip(names, values, strict=True))
        fitting = flat[offsets[i] : offsets[i + 1]]
        vectors = np.frombuffer(apart, "<f4").reshape(len(of["chunks"]), -1) if apart else fitting
        yield Record(**of, vectors=vectors)
