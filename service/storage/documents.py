"""The documents log: what callers wrote, raw, for ever. Its entry numbers are the one public position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
    ]
)


class Document(msgspec.Struct, frozen=True):
    """
    One write: this source_id's text in its collection from now on, with metadata as canonical JSON, or its deletion.

    `vector` is the one that was given for it, as little-endian float32; empty where the text is to be embedded. With an
    `if_position` it counts only where the document was last written there; 0 means that there must be none.

    With a `registry` it is no document, but says which collections there are from now on.
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


class Written(msgspec.Struct, frozen=True):
    """A document with its place: item `item` of entry `position`."""

    position: int
    item: int
    document: Document


def documents_log(store: ObjectStore) -> Log:
    """The fleet's documents log."""
    return Log(store, "log/", "documents", SCHEMA)


def to_rows(documents: Sequence[Document]) -> pa.RecordBatch:
    """An entry's rows, item i in row i."""
    columns = [[getattr(document, name) for document in documents] for name in SCHEMA.names]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def written_as(entry: Entry, item: int) -> Document:
    """One document of an entry; IndexError where it has no such item."""
    return Document(*(column[item].as_py() for column in entry.rows.columns))


def from_entry(entry: Entry) -> Iterator[Written]:
    """The documents of an entry with their places."""
    columns = [column.to_pylist() for column in entry.rows.columns]
    for item, values in enumerate(zip(*columns, strict=True)):
        yield Written(entry.header.number, item, Document(*values))
