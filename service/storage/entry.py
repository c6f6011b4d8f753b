"""One log object: an Arrow IPC stream whose schema carries a header, then a digest over every byte before it.

Any Arrow reader can read the stream; it stops at the end-of-stream mark and never sees the digest. Ours checks
the digest first, so that a flipped or missing byte is refused by name instead of being decoded.
"""

from __future__ import annotations

import hashlib

import msgspec
import pyarrow as pa

FORMAT = 4
READABLE_FORMATS = (1, 2, 3, 4)
# Written as long as it can hold what there is, so that a version before the newest format goes on reading.
PLAIN_FORMAT = 3
# Columns that came later: the format that brought each, and what stands in it for the formats before.
ADDED: dict[str, tuple[int, str | bytes | int]] = {
    "metadata": (2, ""),
    "vector": (3, b""),
    "if_position": (3, -1),
    "collection": (4, 0),
    "registry": (4, ""),
    "apart": (4, b""),
}
_METADATA_KEY = b"vectorfleet"
_TRAILER_MARK = b"VFSHA256"
_TRAILER_BYTES = len(_TRAILER_MARK) + hashlib.sha256().digest_size


class Damaged(Exception):
    """An object is not what was written: the message names it and says what differs."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """
    What an entry says of itself.

    `log` and `number` are where it belongs; `predecessor` is the append_id of number - 1 (empty for the
    first); `stamp_ms` never decreases along a log. Entries of shard logs cover the documents positions
    [start, end). In the documents log `collections` is the newest entry, perhaps this one, that changed them; 0 before
    there was one.
    """

    format: int = FORMAT
    log: str
    number: int
    append_id: str
    predecessor: str
    stamp_ms: int
    start: int = 0
    end: int = 0
    collections: int = 0


class Entry(msgspec.Struct, frozen=True):
    """A header and its rows."""

    header: Header
    rows: pa.RecordBatch


def encode(header: Header, rows: pa.RecordBatch) -> bytes:
    """The bytes of an entry; the same arguments give the same bytes."""
    metadata = {_METADATA_KEY: msgspec.json.encode(header)}
    stamped = rows.replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, stamped.schema) as writer:
        writer.write_batch(stamped)
    body = sink.getvalue().to_pybytes()
    return bytes(body + _TRAILER_MARK + hashlib.sha256(body).digest())


def as_before(rows: pa.RecordBatch) -> pa.RecordBatch | None:
    """The rows without the columns that came after PLAIN_FORMAT; None where one of those says anything."""
    names = [name for name in rows.schema.names if ADDED.get(name, (0, ""))[0] > PLAIN_FORMAT]
    if any(set(rows.column(name).unique().to_pylist()) - {ADDED[name][1]} for name in names):
        return None
    return rows.drop_columns(names) if names else rows


def decode(body: bytes, *, log: str, number: int, schema: pa.Schema) -> Entry:
    """
    The entry of these bytes, if it is the one that belongs at `number` of `log` with rows of `schema`.

    Raises Damaged, naming log and number.
    """
    name = f"{log} entry {number}"
    header, rows = _read(_verified(body, name), name)
    if header.format not in READABLE_FORMATS:
        raise Damaged(f"{name}: format {header.format}, this version reads {READABLE_FORMATS}")
    if (header.log, header.number) != (log, number):
        raise Damaged(f"{name}: holds entry {header.number} of {header.log}")
    if header.format < FORMAT:
        rows = as_of_now(rows, header.format, schema)
    if not rows.schema.remove_metadata().equals(schema):
        raise Damaged(f"{name}: columns {rows.schema.names}, expected {schema.names}")
    return Entry(header, rows)


def as_of_now(rows: pa.RecordBatch, format_: int, schema: pa.Schema) -> pa.RecordBatch:
    """Rows of an older format with the columns that it lacks; rows that differ otherwise are left as they are."""
    blank = {name: value for name, (since, value) in ADDED.items() if format_ < since}
    if rows.schema.names != [name for name in schema.names if name not in blank]:
        return rows
    columns = [
        pa.array([blank[field.name]] * len(rows), field.type) if field.name in blank else rows.column(field.name)
        for field in schema
    ]
    types = [pa.field(field.name, column.type) for field, column in zip(schema, columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(types))


def _verified(body: bytes, name: str) -> bytes:
    stream, trailer = body[:-_TRAILER_BYTES], body[-_TRAILER_BYTES:]
    if not trailer.startswith(_TRAILER_MARK):
        raise Damaged(f"{name}: {len(body)} bytes without a digest at the end: cut short or not an entry")
    if hashlib.sha256(stream).digest() != trailer[len(_TRAILER_MARK) :]:
        raise Damaged(f"{name}: sha256 differs from the one written")
    return stream


def _read(stream: bytes, name: str) -> tuple[Header, pa.RecordBatch]:
    try:
        reader = pa.ipc.open_stream(stream)
        rows = reader.read_next_batch()
        header = msgspec.json.decode(reader.schema.metadata[_METADATA_KEY], type=Header)
    except (pa.ArrowException, OSError, KeyError, TypeError, StopIteration, msgspec.MsgspecError) as error:
        raise Damaged(f"{name}: not an entry: {error}") from error
    return header, rows
