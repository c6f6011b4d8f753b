"""Segments of an embedding memory in S3: vectors of texts, by keys that stand before them in the same object.

An object is two entries, one behind the other: the keys, then the vectors. Each has its own digest, and the object's
name says how long the first one is. So the keys can be read alone.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple
from uuid import uuid4

import pyarrow as pa

from service.embedding.model import Vectors
from service.embedding.splitter import SPLITTER
from service.storage.builds import Recipe
from service.storage.entry import Damaged, Header, decode, encode
from service.storage.objects import ObjectStore
from service.storage.sorted_keys import ARROW_KEY, KEY_BYTES, Keys, from_column, to_column

PREFIX = "memory/"
KEYS, VECTORS = 1, 2  # the numbers of the two entries
_SCHEMA = pa.schema([("key", ARROW_KEY)])
_NAME = re.compile(r"([0-9a-f]{32})-([1-9]\d*)-([1-9]\d*)\.arrow")


class Segment(NamedTuple):
    """One object: its id, the number of its vectors, and the bytes that its keys take."""

    id: str
    rows: int
    keys_bytes: int

    @property
    def name(self) -> str:
        return f"{self.id}-{self.rows}-{self.keys_bytes}.arrow"


def segments_of(store: ObjectStore, recipe: Recipe) -> Segments | None:
    """Return the segments that builds of a recipe use; None if their vectors are given."""
    if recipe.embedding.given:
        return None
    return Segments(store, recipe.fingerprint.removeprefix(f"{SPLITTER} "), recipe.embedding.dims)


class Segments:
    """The segments of one space, which is one fingerprint of a model and one number of dimensions."""

    def __init__(self, store: ObjectStore, fingerprint: str, dims: int) -> None:
        self.dims = dims
        self.row_bytes = 4 * dims + KEY_BYTES
        self._store = store
        space = f"{fingerprint}\0{dims}\0".encode()
        self._texts = hashlib.sha256(space)
        self.prefix = f"{PREFIX}{hashlib.sha256(space).hexdigest()[:16]}/"
        self._schema = pa.schema([("vector", pa.list_(pa.float32(), dims))])

    def key_of(self, text: str) -> bytes:
        """Return the key of a text: the beginning of the sha256 of fingerprint, dimensions and text."""
        sha = self._texts.copy()
        sha.update(text.encode())
        return sha.digest()[:KEY_BYTES]

    def list(self) -> set[Segment]:
        """Return all segments. Raise StoreError."""
        names = (key.removeprefix(self.prefix) for key in self._store.keys(self.prefix))
        found = (_NAME.fullmatch(name) for name in names)
        return {Segment(one[1], int(one[2]), int(one[3])) for one in found if one}

    def keys(self, segment: Segment) -> Keys:
        """Read the keys of a segment, in the order of its vectors. Raise StoreError and Damaged."""
        return self._keys(segment, self._store.part(self.prefix + segment.name, 0, segment.keys_bytes))

    def vectors(self, segment: Segment) -> Vectors:
        """Read the vectors of a segment, shape (rows, dims). Raise StoreError and Damaged."""
        body = self._store.part(self.prefix + segment.name, segment.keys_bytes)
        column = self._decoded(segment, VECTORS, body, self._schema)
        vectors: Vectors = column.flatten().to_numpy().reshape(-1, self.dims)
        return vectors

    def create(self, keys: Keys, vectors: Vectors) -> Segment:
        """Store vectors (rows, dims) and their keys as a new segment. Raise StoreError."""
        unnamed = Segment(uuid4().hex, len(keys), 0)
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), self.dims)
        first, second = (
            encode(self._header(unnamed, number), pa.RecordBatch.from_arrays([one], schema=schema))
            for number, one, schema in ((KEYS, to_column(keys), _SCHEMA), (VECTORS, column, self._schema))
        )
        segment = unnamed._replace(keys_bytes=len(first))
        self._store.create(self.prefix + segment.name, first + second)
        return segment

    def delete(self, segment: Segment) -> None:
        """Delete a segment; nothing happens if it is gone. Raise StoreError."""
        self._store.delete(self.prefix + segment.name)

    def _keys(self, segment: Segment, body: bytes) -> Keys:
        return from_column(self._decoded(segment, KEYS, body, _SCHEMA))

    def _header(self, segment: Segment, number: int) -> Header:
        log = f"{self.prefix}{segment.id}"
        return Header(log=log, number=number, append_id="", predecessor="", stamp_ms=0)

    def _decoded(self, segment: Segment, number: int, body: bytes, schema: pa.Schema) -> pa.Array:
        log = f"{self.prefix}{segment.id}"
        (column,) = decode(body, log=log, number=number, schema=schema).rows.columns
        if len(column) != segment.rows:
            raise Damaged(f"{log}: entry {number} has {len(column)} rows, its name says {segment.rows}")
        return column
