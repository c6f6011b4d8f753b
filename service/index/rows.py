"""The live chunks of a shard as a table. A snapshot stores it beside the index, and a base serves from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from service.index.string_columns import Blobs
from service.storage.collections import DEFAULT_ID, salt_of
from service.storage.entry import Damaged
from service.storage.shards import Record

Vectors = npt.NDArray[np.float32]
DIGEST_BYTES = 16


def schema(dims: int) -> pa.Schema:
    """Return the columns of a rows file; `text` is the chunk's."""
    return pa.schema(
        [
            ("source_id", pa.string()),
            ("ordinal", pa.int32()),
            ("position", pa.int64()),
            ("item", pa.int32()),
            ("content_hash", pa.binary()),
            ("title", pa.string()),
            ("text", pa.string()),
            ("metadata", pa.string()),
            ("vector", pa.list_(pa.float32(), dims)),
        ]
    )


class DocumentRows(NamedTuple):
    """The rows of a document and the place where it was written."""

    source_id: str
    position: int
    item: int
    content_hash: bytes
    rows: range


class Documents:
    """The documents of a table of `schema` by id, without an object for each: there are millions."""

    def __init__(self, table: pa.Table) -> None:
        starts = table.column("ordinal").to_numpy() == 0
        self._firsts = np.append(np.flatnonzero(starts), len(starts))
        names = table.column("source_id")
        if len(self) < len(starts):
            names = names.take(pa.array(self._firsts[:-1]))
        self.numbers: dict[str, int] = dict(zip(names.to_pylist(), range(len(self)), strict=True))
        self._positions, self._items = table.column("position").to_numpy(), table.column("item").to_numpy()
        self._hashes = Blobs(table.column("content_hash"))

    def __len__(self) -> int:
        return len(self._firsts) - 1

    def __iter__(self) -> Iterator[DocumentRows]:
        """Yield documents in the order of their rows, which are adjacent."""
        return (self.document(source_id, number) for source_id, number in self.numbers.items())

    def document(self, source_id: str, number: int) -> DocumentRows:
        """Return the document of this id and number."""
        first, end = int(self._firsts[number]), int(self._firsts[number + 1])
        place = int(self._positions[first]), int(self._items[first])
        return DocumentRows(source_id, *place, self._hashes[first], range(first, end))


class Rows(NamedTuple):
    """A table of `schema` and its vectors as one (rows, dims) array over the same memory."""

    table: pa.Table
    vectors: Vectors

    def records(self, collection: int) -> Iterator[Record]:
        """Yield the records that made these rows, one per document, for a collection."""
        title, text, metadata = (self.table.column(name).to_pylist() for name in ("title", "text", "metadata"))
        for source_id, position, item, content_hash, rows in Documents(self.table):
            yield Record(
                position=position,
                item=item,
                source_id=source_id,
                title=title[rows.start],
                metadata=metadata[rows.start],
                content_hash=content_hash,
                chunks=text[rows.start : rows.stop],
                vectors=self.vectors[rows.start : rows.stop],
                collection=collection,
            )


def from_records(records: Iterable[Record], dims: int) -> Rows:
    """Return the rows of live records, each document's chunks adjacent."""
    live = [record for record in records if record.chunks]
    plain: dict[str, list[object]] = {name: [] for name in schema(dims).names[:-1]}
    for record in live:
        count = len(record.chunks)
        plain["ordinal"].extend(range(count))
        plain["text"].extend(record.chunks)
        for name in ("source_id", "position", "item", "content_hash", "title", "metadata"):
            plain[name].extend([getattr(record, name)] * count)
    vectors = np.concatenate([record.vectors for record in live]) if live else np.empty((0, dims), np.float32)
    arrays = [pa.array(values, schema(dims).field(name).type) for name, values in plain.items()]
    arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), dims))
    return Rows(pa.Table.from_arrays(arrays, schema=schema(dims)), vectors)


def save(rows: Rows, path: Path) -> None:
    """Write rows as an Arrow IPC file, which `load` maps into memory."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, rows.table.schema) as writer:
        writer.write_table(rows.table.combine_chunks())


def load(path: Path, dims: int) -> Rows:
    """Map a rows file into memory; raise Damaged unless it holds vectors of `dims` dimensions."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (pa.ArrowException, OSError) as error:
        raise Damaged(f"{path.name}: not a rows file: {error}") from error
    if table.schema.names == [name for name in schema(dims).names if name != "metadata"]:
        # Written before documents had metadata.
        blank = pa.array([""] * len(table), pa.string())
        table = table.add_column(len(table.schema.names) - 1, "metadata", blank)
    if not table.schema.equals(schema(dims)):
        raise Damaged(f"{path.name}: columns {table.schema.names}, expected vectors of {dims} dimensions")
    chunks = [chunk.values.to_numpy() for chunk in table.column("vector").chunks]
    flat = chunks[0] if len(chunks) == 1 else np.concatenate([np.empty(0, np.float32), *chunks])
    return Rows(table, flat.reshape(-1, dims))


def document_digest(source_id: str, content_hash: bytes, collection: int = DEFAULT_ID) -> int:
    """Return a live document's term of a digest: a hash of (collection, source_id, content hash).

    It says nothing about chunks, so shards and builds that cut documents otherwise have comparable sums.
    """
    # The hash has a fixed length, so no two pairs give the same bytes.
    name = source_id.encode() + content_hash
    return int.from_bytes(hashlib.blake2b(name, digest_size=DIGEST_BYTES, salt=salt_of(collection)).digest(), "big")


def digest_text(total: int) -> str:
    """Return a sum of documents' terms as text. Order does not matter; a replaced document's term is subtracted."""
    modulus = 1 << (8 * DIGEST_BYTES)
    return f"{total % modulus:032x}"
