"""The documents log: the raw writes of callers, kept for ever. Its entry numbers are the one public position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import pyarrow as pa

from service.storage.entry import Entry
from service.storage.log import Log
from service.storage.objects import ObjectStore

ANY_POSITION = -1
SCHEMA = pa.schema(
    [
        ("request_id", pa.string()),
        ("source_id", pa.string()),
        ("delete", pa.bool_()),
        ("title", pa.string()),
        ("text", pa.string()),
        ("metadata", pa.string()),
        ("vector", pa.binary()),
        ("if_position", pa.int64()),
        ("collection", pa.int64()),
        ("registry", pa.string()),
        ("void", pa.string()),
    ]
)


class Document(msgspec.Struct, frozen=True):
    """One write: the new text of a source_id in its collection, with metadata as canonical JSON, or its deletion.

    `vector` was given with the text, as little-endian float32; it is empty if the text is to be embedded. With an
    `if_position` the write counts only if the document was last written there; 0 means that it must not exist.

    With a `registry` it is no document, but sets the collections that exist from now on. With a `void` it sets the
    writes that count no more.
    """

    request_id: str
    source_id: str
    delete: bool = False
    title: str = ""
    text: str = ""
    metadata: str = ""
    vector: bytes = b""
    if_position: int = ANY_POSITION
    collection: int = 0
    registry: str = ""
    void: str = ""


class Place(NamedTuple):
    """The place where a document was stored: item `item` of entry `position`."""

    position: int
    item: int


class PlacedDocument(msgspec.Struct, frozen=True):
    """A document with its place: item `item` of entry `position`."""

    position: int
    item: int
    document: Document


def documents_log(store: ObjectStore, until: int | None = None) -> Log:
    """Return the fleet's documents log, for a reader of a past state up to entry `until`."""
    return Log(store, "log/", "documents", SCHEMA, until)


def to_rows(documents: Sequence[Document]) -> pa.RecordBatch:
    """Return an entry's rows, item i in row i."""
    columns = [[getattr(document, name) for document in documents] for name in SCHEMA.names]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def written_as(entry: Entry, item: int) -> Document:
    """Return one document of an entry; raise IndexError if it has no such item."""
    return Document(*(column[item].as_py() for column in entry.rows.columns))


def from_entry(entry: Entry) -> Iterator[PlacedDocument]:
    """Yield the documents of an entry with their places."""
    columns = [column.to_pylist() for column in entry.rows.columns]
    for item, values in enumerate(zip(*columns, strict=True)):
        yield PlacedDocument(entry.header.number, item, Document(*values))
