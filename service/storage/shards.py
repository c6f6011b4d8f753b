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

from service.storage.collections import DEFAULT_ID
from service.storage.documents import ANY_POSITION
from service.storage.entry import Entry
from service.storage.log import Log
from service.storage.objects import ObjectStore

Vectors = npt.NDArray[np.float32]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """
    Replace `source_id` in its collection by these chunks; none deletes it.

    `vectors` has shape (chunks, dims), with the collection's dims. `rejected` says why a document could never be
    embedded; such a record changes nothing, and neither does one whose `if_position` is not where the document was
    last written. One with a `registry` says which collections there are from now on: the others' rows are gone.
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

    def counts(self, held_position: int) -> bool:
        """Whether it changes anything where its document was last written at a position; 0 where there is none."""
        return not self.rejected and self.if_position in (ANY_POSITION, held_position)


def schema(dims: int) -> pa.Schema:
    """
    The columns of a shard entry of a build with vectors of `dims` components; those of another length stand `apart`, as
    little-endian float32.
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
            ("apart", pa.binary()),
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
    """Chunks in an entry's rows, which are the rows that nodes hold of it."""
    return len(rows.column("chunks").flatten())


def _nested(vectors_each: Sequence[Vectors], dims: int) -> pa.Array:
    """All vectors as one flat block: a Python list per component would cost a hundred times as much."""
    offsets = np.concatenate(([0], np.cumsum(list(map(len, vectors_each))))).astype(np.int32)
    blocks = [vectors.reshape(-1) for vectors in vectors_each if len(vectors)]
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
    names = [name for name in rows.schema.names if name not in ("apart", "vectors")]
    plain = zip(*(rows.column(name).to_pylist() for name in names), strict=True)
    for i, (values, apart) in enumerate(zip(plain, rows.column("apart").to_pylist(), strict=True)):
        of = dict(zip(names, values, strict=True))
        fitting = flat[offsets[i] : offsets[i + 1]]
        vectors = np.frombuffer(apart, "<f4").reshape(len(of["chunks"]), -1) if apart else fitting
        yield Record(**of, vectors=vectors)
