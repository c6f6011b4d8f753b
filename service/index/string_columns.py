"""Columns of strings and bytes, read one value at a time from Arrow's buffers at a quarter of its scalars' cost."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import pyarrow as pa


class Views:
    """The values of a column of type pa.binary() or pa.string() without nulls, by row number."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        chunks = [chunk for chunk in column.chunks if len(chunk)]
        # A column of more than 2 GiB has several chunks.
        self._starts = [0, *np.cumsum([len(chunk) for chunk in chunks]).tolist()][: len(chunks)]
        self._chunks = [_opened(chunk) for chunk in chunks]

    def view(self, row: int) -> memoryview:
        """Return a value without copying it."""
        number = bisect_right(self._starts, row) - 1
        offsets, content = self._chunks[number]
        at = row - self._starts[number]
        return content[offsets[at] : offsets[at + 1]]


class Blobs(Views):
    """The values of a column as bytes."""

    def __getitem__(self, row: int) -> bytes:
        return bytes(self.view(row))


class Texts(Views):
    """The values of a column as strings."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        super().__init__(column)
        # There is almost always one chunk, and each search reads it ten times or more.
        self._only = self._chunks[0] if len(self._chunks) == 1 else None

    def __getitem__(self, row: int) -> str:
        if self._only is None:
            return str(self.view(row), "utf-8")
        offsets, content = self._only
        return str(content[offsets[row] : offsets[row + 1]], "utf-8")


def _opened(chunk: pa.Array) -> tuple[memoryview, memoryview]:
    """Return the offsets of a chunk's values, one more than there are values, and the bytes they point into."""
    _, offsets, content = chunk.buffers()
    held = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
    return held.data, memoryview(content if content is not None else b"")
