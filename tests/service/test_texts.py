"""Strings from Arrow's buffers are those that Arrow itself gives."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from service.index.texts import Texts

CHUNKS = st.lists(st.lists(st.text(max_size=5), max_size=6), max_size=5)


@given(chunks=CHUNKS, skipped=st.integers(0, 3))
def test_every_row_of_a_column_in_any_chunks_cut_anywhere(chunks: list[list[str]], skipped: int) -> None:
    column = pa.chunked_array([pa.array(chunk, pa.string()) for chunk in chunks], pa.string()).slice(skipped)
    texts = Texts(column)
    assert [texts[row] for row in range(len(column))] == column.to_pylist()
