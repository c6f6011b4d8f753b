"""One log object: an Arrow IPC stream whose schema carries a header, then a digest of every byte before it.

Any Arrow reader can read the stream; it stops at the end-of-stream mark and never sees the digest. `decode` checks the
digest first, so a flipped or missing byte is refused by name instead of decoded.
"""

from __future__ import annotations

import hashlib

import msgspec
import pyarrow as pa

FORMAT = 5
READABLE_FORMATS = (1, 2, 3, 4, 5)
# Written as long as it can hold the rows, so that older versions can go on reading.
PLAIN_FORMAT = 3
# Columns added later: the format that added each, and its value in rows of older formats.
ADDED: dict[str, tuple[int, str | bytes | int]] = {
    "metadata": (2, ""),
    "vector": (3, b""),
    "if_position": (3, -1),
    "collection": (4, 0),
    "registry": (4, ""),
    "apart": (4, b""),
    "void": (5, ""),
    "repaired_at": (5, 0),
}
# A writer that does not know such a member of the header would drop it, so it may not read an entry that has it.
HEADER_ADDED = {"collections": 4, "voids": 5}
_METADATA_KEY = b"vectorfleet"
_TRAILER_MARK = b"VFSHA256"
_TRAILER_BYTES = len(_TRAILER_MARK) + hashlib.sha256().digest_size


class Damaged(Exception):
    """An object differs from what was written; the message names it and the difference."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The header of an entry.

    `log` and `number` are its place. `predecessor` is the append_id of entry number - 1, empty for the first.
    `stamp_ms` never decreases along a log. Entries of shard logs cover the documents positions [start, end). In the
    documents log `collections` and `voids` are the newest entries up to this one that changed the collections and that
    voided writes; 0 before there is one.
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
    voids: int = 0


class Entry(msgspec.Struct, frozen=True):
    header: Header
    rows: pa.RecordBatch


def encode(header: Header, rows: pa.RecordBatch) -> bytes:
    """Return the bytes of an entry; the same arguments give the same bytes."""
    metadata = {_METADATA_KEY: msgspec.json.encode(header)}
    stamped = rows.replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, stamped.schema) as writer:
        writer.write_batch(stamped)
    body = sink.getvalue().to_pybytes()
    return bytes(body + _TRAILER_MARK + hashlib.sha256(body).digest())


def in_oldest_format(entry: Entry) -> Entry:
    """Return an entry in the oldest format, from PLAIN_FORMAT on, that can hold its header and rows."""
    header, rows = entry.header, entry.rows
    added = {name: ADDED[name] for name in rows.schema.names if name in ADDED}
    used = [since for name, (since, blank) in added.items() if set(rows.column(name).unique().to_pylist()) - {blank}]
    used += [since for name, since in HEADER_ADDED.items() if getattr(header, name)]
    format_ = max(PLAIN_FORMAT, *used, 0)
    unused = [name for name, (since, _) in added.items() if since > format_]
    return Entry(msgspec.structs.replace(header, format=format_), rows.drop_columns(unused) if unused else rows)


def decode(body: bytes, *, log: str, number: int, schema: pa.Schema) -> Entry:
    """Decode the entry at `number` of `log` with rows of `schema`.

    Raise Damaged, naming log and number, if these bytes are not that entry.
    """
    name = f"{log} entry {number}"
    header, rows = _read(_verified(body, name), name)
    if header.format not in READABLE_FORMATS:
        raise Damaged(f"{name}: format {header.format}; this version reads {READABLE_FORMATS}")
    if (header.log, header.number) != (log, number):
        raise Damaged(f"{name}: holds entry {header.number} of {header.log}")
    if header.format < FORMAT:
        rows = as_of_now(rows, header.format, schema)
    if not rows.schema.remove_metadata().equals(schema):
        raise Damaged(f"{name}: columns {rows.schema.names}, expected {schema.names}")
    return Entry(header, rows)


def as_of_now(rows: pa.RecordBatch, format_: int, schema: pa.Schema) -> pa.RecordBatch:
    """Add the columns that rows of an older format lack; rows that differ otherwise are returned unchanged."""
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
